package retryer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"firstcome/domain"
)

const (
	// requestEvery is how often a retryer looks whether an operator wants its jobs to run now, requestTimeout how long
	// it waits for the answer.
	requestEvery   = time.Second
	requestTimeout = 2 * time.Second
)

const (
	// overdueAfter is when a job that was not started counts as stopped, and stuckAfter when one that does not end does.
	overdueAfter = 5 * time.Second
	stuckAfter   = 5 * time.Minute
)

// jobNote is what is known of a job. Its times carry the elapsed time, by which they are compared.
type jobNote struct {
	state domain.JobState
	// beganAt is zero while the job does not run.
	beganAt time.Time
}

// State says how each job does, in the order in which Run knows them. It may be called at any time. Its moments are by
// the wall clock as it is now, however it was set since they were noted.
func (r *Retryer) State() domain.RetryerState {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	now := time.Now()
	var state domain.RetryerState
	for _, j := range r.jobs() {
		if known, ok := r.states[j.name]; ok {
			shown := known.state
			shown.LastRunAt, shown.NextRunAt = byTheClock(shown.LastRunAt, now), byTheClock(shown.NextRunAt, now)
			state.Jobs = append(state.Jobs, shown)
		}
	}
	return state
}

// byTheClock says what the wall clock that shows now would have shown, or will show, at the moment.
func byTheClock(moment, now time.Time) time.Time {
	if moment.IsZero() {
		return moment
	}
	return now.Add(moment.Sub(now)).Round(0)
}

// Ready says whether the jobs run when it is their time. CodeUnavailable: one was not started, or does not end.
func (r *Retryer) Ready(context.Context) error {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	now := time.Now()
	for _, j := range r.jobs() {
		if why := r.states[j.name].stopped(j, now); why != "" {
			return domain.Errorf(domain.CodeUnavailable, "the job %s %s", j.name, why)
		}
	}
	return nil
}

// stopped says why a job does not do its work; empty when it does. An audit may take as long as it takes.
func (n jobNote) stopped(j job, now time.Time) string {
	switch {
	case n.state.Name == "":
		return "was never planned"
	case !n.beganAt.IsZero():
		if took := now.Sub(n.beganAt); took > stuckAfter && j.name != jobAudit {
			return fmt.Sprintf("has been running for %v", took.Round(time.Second))
		}
	case now.Sub(n.state.NextRunAt) > overdueAfter:
		return fmt.Sprintf("was to be started %v ago", now.Sub(n.state.NextRunAt).Round(time.Second))
	}
	return ""
}

// note changes what is known of a job.
func (r *Retryer) note(j job, change func(*jobNote)) {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	known := r.states[j.name]
	known.state.Name, known.state.Every = j.name, j.every
	change(&known)
	r.states[j.name] = known
}

// noteNext notes that a job waits for its first turn.
func (r *Retryer) noteNext(j job, now time.Time) {
	r.note(j, func(n *jobNote) { n.state.NextRunAt = now.Add(j.every) })
}

func (r *Retryer) noteBegin(j job, now time.Time) {
	r.note(j, func(n *jobNote) { n.state.NextRunAt, n.beganAt = now.Add(j.every), now })
}

// noteEnd is called however a run ends, noteResult only when it did not panic.
func (r *Retryer) noteEnd(j job) { r.note(j, func(n *jobNote) { n.beganAt = time.Time{} }) }

func (r *Retryer) noteResult(j job, now time.Time, err error) {
	r.note(j, func(n *jobNote) {
		n.state.LastRunAt, n.state.LastError = now, ""
		if err != nil {
			n.state.LastError = reasonOf(err)
		}
	})
}

// requests gives a look at the setting by which operators have every retryer's jobs run at once. What the setting holds
// at the first look was asked for earlier. A job that is running is not started again.
func (r *Retryer) requests(jobs []cron.Job) func(context.Context) {
	first, seen := true, ""
	return func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		asked, err := r.ports.Settings.Setting(ctx, domain.SettingRetryerRun)
		if err != nil {
			return // the jobs run by themselves soon
		}
		run := !first && asked != seen
		first, seen = false, asked
		if !run {
			return
		}
		r.logger.Info("an operator wants the jobs to run now")
		var started sync.WaitGroup
		for _, one := range jobs {
			started.Go(one.Run)
		}
		started.Wait()
	}
}
