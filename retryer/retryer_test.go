package retryer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runJob schedules one job as Run does, for a while.
func runJob(r *Retryer, d time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	times := newTimetable(r.logger)
	times.add(100*time.Millisecond, r.runner(ctx, job{"test", 100 * time.Millisecond, run}))
	time.AfterFunc(d, cancel)
	times.run(ctx)
}

func TestAPanicDoesNotStopAJobForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld(sale).retryer(t, Config{})
		runs := 0
		runJob(r, 950*time.Millisecond, func(context.Context) error {
			runs++
			if runs == 1 {
				panic("a defect")
			}
			return nil
		})
		assert.Equal(t, 9, runs)
		assert.InDelta(t, 1, testutil.ToFloat64(r.metrics.jobs.WithLabelValues("test", "panic")), 0)
		assert.InDelta(t, 8, testutil.ToFloat64(r.metrics.jobs.WithLabelValues("test", "ok")), 0)
	})
}

func TestAJobNeverOverlapsWithItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld(sale).retryer(t, Config{})
		running, runs := 0, 0
		runJob(r, 950*time.Millisecond, func(context.Context) error {
			running++
			assert.Equal(t, 1, running)
			time.Sleep(250 * time.Millisecond)
			running--
			runs++
			return nil
		})
		assert.Equal(t, 3, runs)
	})
}

func TestAFailingJobIsLoggedOnceUntilItWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, err := New(Config{}, newWorld(sale).ports(), prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		runs := 0
		runJob(r, 950*time.Millisecond, func(context.Context) error {
			runs++
			if runs < 6 {
				return errors.New("no")
			}
			return nil
		})
		assert.Equal(t, 1, strings.Count(log.String(), "job fails"))
		assert.Equal(t, 1, strings.Count(log.String(), "job works again"))
	})
}

func TestRunRunsEveryJobAndStopsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(sale)
		r := w.retryer(t, Config{PurgeEvery: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(11 * time.Second)
		cancel()
		require.NoError(t, <-ended)
		for call, least := range map[string]int{
			"claim": 10, "rescue": 2, "purge": 10, "unreleased": 20, "inspect": 30,
		} {
			assert.GreaterOrEqual(t, w.calls[call], least, call)
		}
		calls := w.calls["claim"]
		time.Sleep(10 * time.Second)
		assert.Equal(t, calls, w.calls["claim"], "nothing runs after the end")
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	ports := newWorld(sale).ports()
	for name, cfg := range map[string]Config{
		"negative interval":   {SweepEvery: -1},
		"claim limit":         {ClaimLimit: maxClaimLimit + 1},
		"negative claims":     {ClaimLimit: -1},
		"rebuilds":            {ConcurrentRebuilds: maxConcurrentRebuilds + 1},
		"attempts":            {MaxAttempts: -1},
		"backoff upside down": {BackoffMin: time.Minute, BackoffMax: time.Second},
	} {
		_, err := New(cfg, ports, prometheus.NewRegistry(), slog.Default())
		assert.Error(t, err, name)
	}
	_, err := New(Config{}, Ports{}, prometheus.NewRegistry(), slog.Default())
	require.Error(t, err)
}
