package retryer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"golang.org/x/time/rate"
)

// timetable has cron run jobs, each again when its interval of elapsed time is over.
//
// cron counts by the wall clock, which somebody may set. Set back by an hour, cron waits for an hour before it starts
// anything; set forward, it starts at once what has still time. So each entry keeps by the elapsed time when it is due:
// what cron starts too early waits, and what cron has not started when it was due is handed to cron anew.
type timetable struct {
	cron    *cron.Cron
	chain   cron.Chain
	logger  *slog.Logger
	warn    rate.Sometimes
	entries []*entry
}

const (
	// lookEvery is how often the timetable looks whether cron is late, and lateAfter the lateness that it bears:
	// under any step of the clock a job runs within their sum of its time.
	lookEvery = 500 * time.Millisecond
	lateAfter = 500 * time.Millisecond
	// maxEarly is how early cron may start a job, at most half its interval: it takes the time before the job does.
	maxEarly = time.Second
)

// newTimetable gives a timetable whose jobs never overlap with themselves and survive their own panics. The order of
// the chain matters: were Recover the outer one, a panic would leave the job marked as running without end.
func newTimetable(logger *slog.Logger) *timetable {
	adapter := cronLogger{logger}
	return &timetable{
		cron:   cron.New(cron.WithLogger(adapter)),
		chain:  cron.NewChain(cron.SkipIfStillRunning(adapter), cron.Recover(adapter)),
		logger: logger,
		warn:   rate.Sometimes{Interval: time.Minute},
	}
}

// add gives the job to cron, for the first time when one interval is over. Only before run.
func (t *timetable) add(every time.Duration, job cron.Job) *entry {
	e := &entry{every: every, due: time.Now().Add(every), job: t.chain.Then(job)}
	e.id = t.cron.Schedule(&schedule{first: every, every: every}, e)
	t.entries = append(t.entries, e)
	return e
}

// run runs the jobs until the context ends, and waits for those under way.
func (t *timetable) run(ctx context.Context) {
	t.cron.Start()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-look.C:
			t.wake(time.Now())
		}
	}
	<-t.cron.Stop().Done()
}

// wake hands to cron anew what cron should have started.
func (t *timetable) wake(now time.Time) {
	late := 0
	for _, e := range t.entries {
		if !e.isLate(now) {
			continue
		}
		t.cron.Remove(e.id)
		e.id = t.cron.Schedule(&schedule{every: e.every}, e)
		late++
	}
	if late > 0 {
		t.warn.Do(func() {
			t.logger.Warn("jobs were not started in time and are started now; the wall clock was set, or the machine is too busy",
				"jobs", late)
		})
	}
}

// entry is a job with its place in the timetable.
type entry struct {
	every time.Duration
	job   cron.Job
	// id is cron's; only run uses it.
	id cron.EntryID

	mu sync.Mutex
	// due is when the job is to be started next. Like all times that are not sent away it carries the elapsed time, by
	// which it is compared.
	due time.Time
}

// Run is what cron calls. A job that is still running counts as started.
func (e *entry) Run() {
	if e.begin(time.Now()) {
		e.job.Run()
	}
}

// begin says whether the job may start, and if so notes when it is due again.
func (e *entry) begin(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due.Sub(now) > min(maxEarly, e.every/2) {
		return false
	}
	e.due = now.Add(e.every)
	return true
}

func (e *entry) isLate(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return now.Sub(e.due) > lateAfter
}

// schedule tells cron to run a job after first, and then again and again; cron's own is no finer than a second.
type schedule struct{ first, every time.Duration }

// Next says when the job runs after the given moment.
func (s *schedule) Next(after time.Time) time.Time {
	next := after.Add(s.first)
	s.first = s.every
	return next
}
