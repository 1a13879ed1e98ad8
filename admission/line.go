package admission

import (
	"context"
	"slices"
	"sync"
	"time"

	"firstcome/domain"
)

// application is one applicant who waits, and later the answer.
type application struct {
	// ctx ends when the client leaves. Nobody listens to it from when the application was taken out of the line.
	ctx   context.Context
	user  domain.UserID
	since time.Time
	given Answer
	// done holds a token once the answer is there.
	done chan struct{}
}

func newApplication() any { return &application{done: make(chan struct{}, 1)} }

// answered tells the applicant, once.
func (a *application) answered(given Answer) {
	a.given = given
	a.done <- struct{}{}
}

// answeredIn tells a winner after some time, as nobody else may contradict the answer. Until then the application is held by
// its connection alone.
func (a *application) answeredIn(wait time.Duration, given Answer) {
	if wait <= 0 {
		a.answered(given)
		return
	}
	time.AfterFunc(wait, func() { a.answered(given) })
}

// line is where the applications for one campaign wait while earlier ones are decided. What has come when the gate is
// free again is taken together: no timer makes anybody wait, so a lone application is not delayed.
type line struct {
	limits *lineLimits

	mu      sync.Mutex
	waiting []*application
	// emptyAt is when the line was last found empty.
	emptyAt time.Time
	// working is how many workers take from the line, underWay the batches they have handed on to Kafka, oldest first,
	// and winnersUnderWay how many winners these hold.
	working         int
	underWay        []*trip
	winnersUnderWay int
	// unconfirmed is how many of the campaign's winners wait for its gate to confirm (confirm.go).
	unconfirmed int64
	// moved holds a token when a batch came back from Kafka, or a full one waits.
	moved chan struct{}
}

// keptPlaces is how many places an empty line keeps: a crowd at one campaign after the other must not fill the memory.
const keptPlaces = 64

// trip is a batch on its way to Kafka and back.
type trip struct {
	since   time.Time
	winners int
}

// lineLimits are the bounds of all lines of a process.
type lineLimits struct {
	// maxBatch is how many applications are decided together.
	maxBatch int
	// workers is how many batches of a line are at the gate at a time, batches how many are at Kafka before the next
	// one waits for more applications, but no longer than patience.
	workers, batches int
	patience         time.Duration
	// kafkaCrowd is how many winners on their way to Kafka may keep others from being admitted (overload.go).
	kafkaCrowd int
	// waiting are the places in all lines, unconfirmed those for winners who wait for a gate to confirm.
	waiting, unconfirmed places
}

func newLine(limits *lineLimits) *line {
	return &line{limits: limits, moved: make(chan struct{}, 1)}
}

// join puts an application into the line, and says whether a worker is to be started for it. CodeOverloaded.
func (l *line) join(a *application) (startWorker bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limits.waiting.take(int64(len(l.waiting)), 1) {
		return false, errOverloaded
	}
	if len(l.waiting) == 0 {
		l.emptyAt = a.since
	}
	l.waiting = append(l.waiting, a)
	if len(l.waiting) == l.limits.maxBatch {
		l.tell()
	}
	if l.working == l.limits.workers {
		return false, nil
	}
	l.working++
	return true, nil
}

func (l *line) tell() {
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// take moves to batch the longest waiting of those whose turn it is, and to late those who have waited for too long. Both
// may be empty for a moment. When nobody waits, the worker that asks is dismissed.
func (l *line) take(batch, late []*application) (_, _ []*application, dismissed bool) {
	l.hold()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	late = l.leave(late, l.late(now))
	turns := min(len(l.waiting), l.limits.maxBatch)
	if l.kafkaIsBehind(now) {
		turns = 0
	}
	batch = l.leave(batch, turns)
	if len(batch)+len(late)+len(l.waiting) == 0 {
		l.working--
		if cap(l.waiting) > keptPlaces {
			l.waiting = nil
		}
		return batch, late, true
	}
	return batch, late, false
}

// leave takes the first n out of the line.
func (l *line) leave(to []*application, n int) []*application {
	to = append(to[:0], l.waiting[:n]...)
	rest := copy(l.waiting, l.waiting[n:])
	clear(l.waiting[rest:])
	l.waiting = l.waiting[:rest]
	l.limits.waiting.give(int64(n))
	return to
}

// hold waits until the next batch may go, but not longer than patience: sooner it would only be smaller, and cost Redis
// and Kafka as much.
func (l *line) hold() {
	if l.mayGo() {
		return
	}
	timer := time.NewTimer(l.limits.patience)
	defer timer.Stop()
	for !l.mayGo() {
		select {
		case <-l.moved:
		case <-timer.C:
			return
		}
	}
}

func (l *line) mayGo() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.waiting) == 0:
		return true
	case l.kafkaIsBehind(time.Now()):
		return false
	}
	return len(l.underWay) < l.limits.batches || len(l.waiting) >= l.limits.maxBatch
}

// handedOn notes a batch of winners that goes on to Kafka, cameBack its end.
func (l *line) handedOn(winners int) *trip {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := &trip{time.Now(), winners}
	l.underWay = append(l.underWay, gone)
	l.winnersUnderWay += winners
	return gone
}

func (l *line) cameBack(gone *trip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.underWay, gone)
	l.underWay = slices.Delete(l.underWay, place, place+1)
	l.winnersUnderWay -= gone.winners
	l.tell()
}

// awaitsGate notes winners who wait for the campaign's gate to confirm, unless too many do already.
func (l *line) awaitsGate(winners int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limits.unconfirmed.take(l.unconfirmed, winners) {
		return false
	}
	l.unconfirmed += winners
	return true
}

func (l *line) heardOfGate(winners int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unconfirmed -= winners
	l.limits.unconfirmed.give(winners)
}
