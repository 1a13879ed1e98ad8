package main

import (
	"context"
	"sync"
	"time"

	"firstcome/bench/gauge"
)

// watched is one look at a process under load.
type watched struct {
	at       time.Time
	accepted float64
	resident float64
}

// watch looks at a process while something else goes on.
type watch struct {
	stop    context.CancelFunc
	done    sync.WaitGroup
	samples []watched
}

// watchProcess looks at a process from now until end. A look that fails, because the process has too much to do, is one
// less.
func watchProcess(ctx context.Context, p *process) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop}
	w.done.Go(func() {
		for {
			outcomes, err := counters(ctx, p, "firstcome_applications_total", "outcome")
			if err == nil {
				w.samples = append(w.samples, watched{time.Now(), outcomes["accepted"], gauge.ResidentMiB(p.pid())})
			}
			if !gauge.Pause(ctx, 100*time.Millisecond) {
				return
			}
		}
	})
	return w
}

// end gives what was seen.
func (w *watch) end() looks {
	w.stop()
	w.done.Wait()
	return w.samples
}

// looks are in the order of time.
type looks []watched

// winnersPerSecond is about the time from one moment to another, as far as there were looks; 0 for less than two.
func (l looks) winnersPerSecond(from, to time.Time) float64 {
	var first, last *watched
	for i := range l {
		switch look := &l[i]; {
		case look.at.Before(from) || look.at.After(to):
		case first == nil:
			first = look
		default:
			last = look
		}
	}
	if last == nil {
		return 0
	}
	return (last.accepted - first.accepted) / last.at.Sub(first.at).Seconds()
}

func (l looks) peakMiB() float64 {
	peak := 0.0
	for _, look := range l {
		peak = max(peak, look.resident)
	}
	return peak
}
