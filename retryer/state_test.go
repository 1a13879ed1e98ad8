package retryer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

// asked is what operators set.
type asked struct{ value atomic.Pointer[string] }

func (a *asked) Setting(context.Context, string) (string, error) {
	if value := a.value.Load(); value != nil {
		return *value, nil
	}
	return "", domain.Errorf(domain.CodeUnavailable, "away")
}

func TestAnOperatorHasTheJobsRunNow(t *testing.T) {
	r := newWorld(sale).retryer(t, Config{})
	setting := &asked{}
	r.ports.Settings = setting
	runs := 0
	look := r.requests([]cron.Job{cron.FuncJob(func() { runs++ })})
	set := func(value string) { setting.value.Store(&value); look(t.Context()) }
	look(t.Context())
	set("1")
	assert.Zero(t, runs, "what was asked for before the start is past")
	set("2")
	assert.Equal(t, 1, runs)
	look(t.Context())
	assert.Equal(t, 1, runs, "once is enough")
	set("3")
	assert.Equal(t, 2, runs)
}

func TestTheStateOfAJobSaysHowItWentAndWhenItComesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld(sale).retryer(t, Config{})
		j := job{"retry", time.Second, func(context.Context) error {
			return domain.Wrap(domain.CodeUnavailable, errors.New("dial tcp 10.0.0.7:3306: refused"), "the ledger is away")
		}}
		started := time.Now()
		r.runner(t.Context(), j).Run()
		state := r.State()
		assert.Equal(t, []domain.JobState{{
			Name: "retry", Every: time.Second, LastRunAt: started, NextRunAt: started.Add(time.Second),
			LastError: "unavailable: the ledger is away", // what the driver said is for the log
		}}, state.Jobs)
	})
}
