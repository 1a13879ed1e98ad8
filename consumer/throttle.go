package consumer

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// biteEvery is how much time's worth of rows are stored together at most, so that a slow rate comes as many small
// batches and not as a rare big one.
const biteEvery = 100 * time.Millisecond

// throttle limits the rows that this process stores: the total, times its share of the partitions. Both may change
// at any time, also while somebody waits.
type throttle struct {
	maxBite int
	waited  prometheus.Observer

	mu      sync.Mutex
	total   float64 // rows per second over all processes; 0 for no limit
	share   float64 // of the partitions, above 0
	limiter *rate.Limiter
	changed chan struct{} // closed when the limit changes
}

func newThrottle(total float64, maxBite int, waited prometheus.Observer) *throttle {
	t := &throttle{maxBite: maxBite, waited: waited, total: total, share: 1, changed: make(chan struct{})}
	t.limiter = rate.NewLimiter(t.limit(), t.burst())
	return t
}

// setTotal changes the limit of all processes together and says whether it was another one.
func (t *throttle) setTotal(rowsPerSecond float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total == rowsPerSecond {
		return false
	}
	t.total = rowsPerSecond
	t.update()
	return true
}

// setShare says how many of the topic's partitions are this process's. Without any (before the first assignment,
// or when they were just taken away) it counts as one: rows in hand are still stored.
func (t *throttle) setShare(owned, total int) {
	share := 1.0
	if total > 0 {
		share = float64(min(max(owned, 1), total)) / float64(total)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.share != share {
		t.share = share
		t.update()
	}
}

func (t *throttle) update() {
	now := time.Now()
	t.limiter.SetLimitAt(now, t.limit())
	t.limiter.SetBurstAt(now, t.burst())
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *throttle) limit() rate.Limit {
	if t.total == 0 {
		return rate.Inf
	}
	return rate.Limit(t.total * t.share)
}

// burst is how many rows may be stored at once: what the limit gives in biteEvery, at least one.
func (t *throttle) burst() int {
	rows := float64(t.limit()) * biteEvery.Seconds()
	return int(min(max(math.Ceil(rows), 1), float64(t.maxBite)))
}

func (t *throttle) rowsPerSecond() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// allowed is how many rows this process may store in such a time.
func (t *throttle) allowed(d time.Duration) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.limit()) * d.Seconds()
}

// bite is how many records the next batch may hold.
func (t *throttle) bite() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.burst()
}

// wait returns when this many rows may be stored, or with the context's error.
func (t *throttle) wait(ctx context.Context, rows int) error {
	started := time.Now()
	for rows > 0 {
		passed, err := t.waitOnce(ctx, rows)
		if err != nil {
			return err
		}
		rows -= passed
	}
	t.waited.Observe(time.Since(started).Seconds())
	return nil
}

// waitOnce waits for as many rows as one burst allows and says how many it was; 0 when the limit changed meanwhile.
func (t *throttle) waitOnce(ctx context.Context, rows int) (int, error) {
	t.mu.Lock()
	rows = min(rows, t.burst())
	reservation := t.limiter.ReserveN(time.Now(), rows)
	changed := t.changed
	t.mu.Unlock()
	if reservation.Delay() == 0 {
		return rows, nil
	}
	timer := time.NewTimer(reservation.Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
		return rows, nil
	case <-changed:
		reservation.Cancel()
		return 0, nil
	case <-ctx.Done():
		reservation.Cancel()
		return 0, ctx.Err()
	}
}
