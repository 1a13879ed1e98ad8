package retryer

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/assert"
)

// punctual is what a timetable may be late after a step of the wall clock; promised are 3 s.
const punctual = 3 * time.Second

// starts has one job run for a while, lets a test disturb the timetable, and gives when the job was started.
func starts(every, length time.Duration, disturb func(*timetable, *entry)) []time.Duration {
	var started []time.Duration
	began := time.Now()
	times := newTimetable(slog.New(slog.DiscardHandler))
	e := times.add(every, cron.FuncJob(func() { started = append(started, time.Since(began)) }))
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	go disturb(times, e)
	times.run(ctx)
	return started
}

// requireInTime asserts that the job was started each time within a few seconds of its time, and no more often.
func requireInTime(t *testing.T, every, length time.Duration, started []time.Duration) {
	t.Helper()
	last := time.Duration(0)
	for _, at := range append(started, length) {
		assert.LessOrEqual(t, at-last, every+punctual, "%v", started)
		last = at
	}
	for i := 1; i < len(started); i++ {
		assert.GreaterOrEqual(t, started[i]-started[i-1], every-maxEarly, "%v", started)
	}
}

// A wall clock that is set back leaves cron waiting for a moment that is an hour away.
func TestAJobThatCronPutsOffIsStartedInTime(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 10 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			started := starts(every, 20*time.Minute, func(times *timetable, e *entry) {
				time.Sleep(90*time.Second + 300*time.Millisecond)
				times.cron.Remove(e.id)
				times.cron.Schedule(&schedule{first: time.Hour, every: every}, e)
			})
			requireInTime(t, every, 20*time.Minute, started)
		})
	}
}

// A wall clock that is set forward has cron start everything at once, and count anew from there.
func TestAJobThatCronStartsTooEarlyWaitsForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := starts(10*time.Minute, 40*time.Minute, func(times *timetable, e *entry) {
			time.Sleep(14 * time.Minute)
			times.cron.Remove(e.id)
			times.cron.Schedule(&schedule{every: 10 * time.Minute}, e)
		})
		requireInTime(t, 10*time.Minute, 40*time.Minute, started)
		assert.Len(t, started, 3)
	})
}

func TestAJobThatIsStillRunningIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := newTimetable(slog.New(slog.DiscardHandler))
		runs := 0
		e := times.add(time.Second, cron.FuncJob(func() { runs++; time.Sleep(time.Minute) }))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		first := e.id
		times.run(ctx)
		assert.Equal(t, 1, runs)
		assert.Equal(t, first, e.id, "it is not handed to cron anew")
	})
}

func TestReadinessSaysThatAJobWasNotStartedOrDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld(sale).retryer(t, Config{})
		assert.ErrorContains(t, r.Ready(t.Context()), "was never planned")
		for _, j := range r.jobs() {
			r.noteNext(j, time.Now())
		}
		assert.NoError(t, r.Ready(t.Context()))
		time.Sleep(2 * time.Second)
		assert.NoError(t, r.Ready(t.Context()))
		time.Sleep(10 * time.Second)
		assert.ErrorContains(t, r.Ready(t.Context()), "was to be started 11s ago")
		for _, j := range r.jobs() {
			r.noteBegin(j, time.Now())
		}
		assert.NoError(t, r.Ready(t.Context()))
		time.Sleep(stuckAfter + time.Second)
		assert.ErrorContains(t, r.Ready(t.Context()), "has been running for 5m1s")
		for _, j := range r.jobs() {
			r.noteEnd(j)
			r.noteNext(j, time.Now())
		}
		assert.NoError(t, r.Ready(t.Context()))
	})
}
