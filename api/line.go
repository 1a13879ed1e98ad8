package api

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// application is one applicant who waits, and later the answer.
type application struct {
	// ctx ends when the client leaves. Nobody listens to it from when the application was taken out of the line.
	ctx   context.Context
	user  domain.UserID
	since time.Time
	answer
	// done holds a token once the answer is there.
	done chan struct{}
}

// answer is the status and what the winner is told, or the refusal.
type answer struct {
	status int
	view   winnerView
	err    error
}

// outcome is what was answered, as it is counted.
func (a *answer) outcome() domain.FunnelOutcome {
	switch {
	case a.err != nil:
		return domain.FunnelOutcome(codeOf(a.err))
	case a.status == http.StatusOK:
		return domain.FunnelKnown
	}
	return domain.FunnelOutcome(a.view.Status)
}

func newApplication() any { return &application{done: make(chan struct{}, 1)} }

// answered tells the applicant, once.
func (a *application) answered(status int, view winnerView, err error) {
	a.answer = answer{status, view, err}
	a.done <- struct{}{}
}

// line is where the applications for one campaign wait while earlier ones are decided. What has come when the gate is
// free again is taken together: no timer makes anybody wait, so a lone application is not delayed.
type line struct {
	limits *lineLimits

	mu      sync.Mutex
	waiting []*application
	// working is how many workers take from the line, underWay how many batches they have handed on to Kafka.
	working, underWay int
	// moved holds a token when a batch came back from Kafka, or a full one waits.
	moved chan struct{}
}

// lineLimits are the bounds of all lines of a process.
type lineLimits struct {
	// maxBatch is how many applications are decided together, maxWaiting how many wait in all lines.
	maxBatch, maxWaiting int
	// workers is how many batches of a line are at the gate at a time, batches how many are at Kafka before the next
	// one waits for more applications, but no longer than patience: with Kafka away, everybody is still admitted.
	workers, batches int
	patience         time.Duration
	waiting          atomic.Int64
}

func newLine(limits *lineLimits) *line {
	return &line{limits: limits, moved: make(chan struct{}, 1)}
}

// join puts an application into the line, and says whether a worker is to be started for it. CodeOverloaded.
func (l *line) join(a *application) (startWorker bool, err error) {
	if l.limits.waiting.Add(1) > int64(l.limits.maxWaiting) {
		l.limits.waiting.Add(-1)
		return false, errOverloaded
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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

var errOverloaded = &domain.Error{
	Code: domain.CodeOverloaded, Message: "too many applications are waiting", RetryAfter: time.Second,
}

func (l *line) tell() {
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// take moves the longest waiting to batch. When nobody waits, the worker that asks is dismissed.
func (l *line) take(batch []*application) []*application {
	l.hold()
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := min(len(l.waiting), l.limits.maxBatch)
	batch = append(batch[:0], l.waiting[:taken]...)
	rest := copy(l.waiting, l.waiting[taken:])
	clear(l.waiting[rest:])
	l.waiting = l.waiting[:rest]
	l.limits.waiting.Add(int64(-taken))
	if taken == 0 {
		l.working--
	}
	return batch
}

// hold waits until the next batch may go: sooner it would only be smaller, and cost Redis and Kafka as much.
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
	return l.underWay < l.limits.batches || len(l.waiting) == 0 || len(l.waiting) >= l.limits.maxBatch
}

// handedOn notes a batch that went on to Kafka, cameBack its end.
func (l *line) handedOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay++
}

func (l *line) cameBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	l.tell()
}
