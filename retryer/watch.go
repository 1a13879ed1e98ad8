package retryer

import (
	"sync"
	"time"
)

// watch keeps retryers from overtaking each other without end: each rebuild makes the one before it worthless, so two
// that start anew as soon as they see a closed gate would never finish.
//
// A closed gate is rebuilt at once when this process saw its campaign open at that epoch, or raised the epoch itself, or
// knows nothing yet. When somebody else has raised the epoch meanwhile, their rebuild is under way: it gets time.
type watch struct {
	patience time.Duration

	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	epoch int64
	// notBefore is when a rebuild of ours may begin; zero for at once.
	notBefore time.Time
	// tries counts what went wrong since the gate was last seen open: our failures, and the rebuilds of others that
	// we had to take over. Each makes the next wait longer.
	tries int
}

const (
	// maxDoublings bounds the growth of the patience with others.
	maxDoublings = 6
	// After a failure of our own we wait this long at first, and at most.
	minRebuildWait = 500 * time.Millisecond
	maxRebuildWait = 30 * time.Second
)

func newWatch(patience time.Duration) *watch {
	return &watch{patience: patience, seen: map[string]sighting{}}
}

// open notes that the campaign's gate is open at its row's epoch.
func (w *watch) open(code string, epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[code] = sighting{epoch: epoch}
}

// raised notes that this process raised the epoch.
func (w *watch) raised(code string, epoch int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[code] = sighting{epoch: epoch, tries: w.seen[code].tries}
}

// failed notes that this process's rebuild failed, so that the next one waits a while.
func (w *watch) failed(code string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.seen[code]
	last.notBefore = now.Add(min(minRebuildWait<<last.tries, maxRebuildWait))
	last.tries = min(last.tries+1, maxDoublings)
	w.seen[code] = last
}

// mayRebuild says whether a gate that must be rebuilt, whose campaign row is at this epoch, is ours to rebuild now.
func (w *watch) mayRebuild(code string, epoch int64, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, known := w.seen[code]
	switch {
	case !known:
		w.seen[code] = sighting{epoch: epoch}
		return true
	case last.epoch != epoch:
		w.seen[code] = sighting{
			epoch: epoch, notBefore: now.Add(w.patience << last.tries), tries: min(last.tries+1, maxDoublings),
		}
		return false
	}
	return !now.Before(last.notBefore)
}
