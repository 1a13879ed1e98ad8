package consumer

import (
	"math/bits"
	"sync"
	"time"
)

// The steps of the automatic rate: it grows by a little while the database answers as fast as it can, and shrinks by a
// large part when it answers much slower, as congestion control does in networks.
const (
	// autoMin and autoMax bound the rate, in rows a second over all consumers; autoStart is where it begins.
	autoMin, autoMax, autoStart = 100, 50_000, 1000
	// autoEvery is how often the rate is decided on.
	autoEvery = settingEvery
	// autoSlower is what the rate is multiplied by when inserts take autoSlowerAt times as long as at best, or fail.
	autoSlower, autoSlowerAt = 0.7, 2.0
	// autoFaster is what it is multiplied by while they take less than autoFasterBelow times as long, and the rate was used.
	autoFaster, autoFasterBelow = 1.1, 1.5
	// autoUsed is the part of the allowed rows that must have been stored for the rate to grow: where the topic brings
	// less, nothing is learned about the database.
	autoUsed = 0.5
	// autoFloorDrift lets the best time follow a database that has become slower for good: it doubles in six minutes.
	autoFloorDrift = 1.002
	// sizeClasses is one for each power of two of a transaction's rows: a small insert takes less than a big one.
	sizeClasses = 11
)

// autoRate is the rate, and for each size of transaction how long one takes when the database is at its ease; 0 is unknown.
type autoRate struct {
	rate  float64
	floor [sizeClasses]time.Duration
}

// autoWindow is what was seen since the last decision.
type autoWindow struct {
	inserts [sizeClasses]int
	took    [sizeClasses]time.Duration
	rows    int
	failed  bool
}

func sizeClass(rows int) int { return min(max(bits.Len(uint(rows))-1, 0), sizeClasses-1) }

func (w *autoWindow) add(rows int, took time.Duration) {
	class := sizeClass(rows)
	w.inserts[class]++
	w.took[class] += took
	w.rows += rows
}

// next decides on the rate of the next window. allowed is how many rows this process might have stored in this one.
func (a autoRate) next(w autoWindow, allowed float64) autoRate {
	var took, best time.Duration
	for class, inserts := range w.inserts {
		if inserts == 0 {
			continue
		}
		a.floor[class] = a.newFloor(class, w.took[class]/time.Duration(inserts))
		took += w.took[class]
		best += a.floor[class] * time.Duration(inserts)
	}
	slowness := 0.0
	if best > 0 {
		slowness = float64(took) / float64(best)
	}
	switch {
	case w.failed || slowness > autoSlowerAt:
		a.rate *= autoSlower
	case slowness > 0 && slowness < autoFasterBelow && float64(w.rows) >= autoUsed*allowed:
		a.rate *= autoFaster
	}
	a.rate = min(max(a.rate, autoMin), autoMax)
	return a
}

// newFloor gives the best time of a size after it took so long on average. A size that is seen for the first time takes
// no longer at best than a bigger one: else the small transactions of a rate that was just lowered would pass for fast.
func (a autoRate) newFloor(class int, mean time.Duration) time.Duration {
	floor := a.floor[class]
	if floor > 0 {
		floor = time.Duration(float64(floor) * autoFloorDrift)
	}
	for bigger := class + 1; floor == 0 && bigger < sizeClasses; bigger++ {
		floor = a.floor[bigger]
	}
	if floor == 0 {
		return mean
	}
	return min(floor, mean)
}

// pacemaker collects what inserts took, and decides on the automatic rate.
type pacemaker struct {
	mu     sync.Mutex
	auto   autoRate
	window autoWindow
}

func newPacemaker() *pacemaker { return &pacemaker{auto: autoRate{rate: autoStart}} }

func (p *pacemaker) stored(rows int, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.add(rows, took)
}

func (p *pacemaker) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.failed = true
}

// decide ends a window in which this process might have stored so many rows, and gives the rate of the next.
func (p *pacemaker) decide(allowed float64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auto = p.auto.next(p.window, allowed)
	p.window = autoWindow{}
	return p.auto.rate
}

// rate gives the rate as it was last decided.
func (p *pacemaker) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.auto.rate
}
