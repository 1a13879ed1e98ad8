package retryer

import (
	"context"
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

// State says how each job does, in the order in which Run knows them. It may be called at any time.
func (r *Retryer) State() domain.RetryerState {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	var state domain.RetryerState
	for _, j := range r.jobs() {
		if known, ok := r.states[j.name]; ok {
			state.Jobs = append(state.Jobs, known)
		}
	}
	return state
}

// noteNext notes that a job begins, or that it waits for its first turn.
func (r *Retryer) noteNext(j job, now time.Time) {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	state := r.states[j.name]
	state.Name, state.Every, state.NextRunAt = j.name, j.every, now.Add(j.every)
	r.states[j.name] = state
}

func (r *Retryer) noteEnd(j job, now time.Time, err error) {
	r.statesMu.Lock()
	defer r.statesMu.Unlock()
	state := r.states[j.name]
	state.LastRunAt, state.LastError = now, ""
	if err != nil {
		state.LastError = reasonOf(err)
	}
	r.states[j.name] = state
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
		for _, one := range jobs {
			one.Run()
		}
	}
}
