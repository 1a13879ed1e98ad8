package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// fakeWarner is a store that warns of what a test says.
type fakeWarner struct {
	said []string
	away bool
	// hangs makes Warnings wait for the end of its context.
	hangs bool
	asked atomic.Int64
}

func (f *fakeWarner) Warnings(ctx context.Context) []string {
	f.asked.Add(1)
	if f.hangs {
		<-ctx.Done()
	}
	if f.away {
		return nil
	}
	return f.said
}

func (f *fakeWarner) Ping(context.Context) error {
	if f.away {
		return domain.Errorf(domain.CodeUnavailable, "away")
	}
	return nil
}

func newTestWatch(t *testing.T, stores ...watchedStore) (*warningWatch, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	watch, err := newWarningWatch(stores, instruments{prometheus.NewRegistry(), slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	return watch, log
}

func TestAWarningIsLoggedWhenItComesAndWhenItGoes(t *testing.T) {
	redis, kafka := &fakeWarner{said: []string{"appendonly is no"}}, &fakeWarner{}
	watch, log := newTestWatch(t, watchedStore{"redis", redis}, watchedStore{"kafka", kafka})
	want := []domain.StoreWarning{{Store: "redis", Text: "appendonly is no"}}
	for range 3 {
		watch.lookOnce(t.Context())
		assert.Equal(t, want, watch.current())
	}
	assert.Equal(t, 1, strings.Count(log.String(), "appendonly is no"), "said once, as long as it holds")
	assert.InDelta(t, 1, testutil.ToFloat64(watch.counts.WithLabelValues("redis")), 0)
	assert.InDelta(t, 0, testutil.ToFloat64(watch.counts.WithLabelValues("kafka")), 0)

	redis.away = true
	watch.lookOnce(t.Context())
	assert.Equal(t, want, watch.current(), "a store that is away has put nothing right")

	redis.away, redis.said = false, nil
	watch.lookOnce(t.Context())
	assert.Empty(t, watch.current())
	assert.Contains(t, log.String(), "no longer holds")
	assert.InDelta(t, 0, testutil.ToFloat64(watch.counts.WithLabelValues("redis")), 0)
}

func TestStoresAreAskedAtOnceAndThenNowAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, other := &fakeWarner{hangs: true, said: []string{"slow"}}, &fakeWarner{said: []string{"quick"}}
		watch, _ := newTestWatch(t, watchedStore{"kafka", hanging}, watchedStore{"redis", other})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); watch.run(ctx) }()
		time.Sleep(warningsTimeout + time.Millisecond)
		assert.Len(t, watch.current(), 2, "one that hangs keeps the next from being asked for no longer than it may take")
		time.Sleep(10 * warningsEvery)
		assert.EqualValues(t, 11, other.asked.Load())
		stop()
		<-ended
	})
}

func TestWarningsAreFewAndShortEnoughForAHeartbeat(t *testing.T) {
	long := strings.Repeat("ü", maxWarningBytes)
	many := &fakeWarner{said: strings.Split(strings.Repeat(long+",", 10*maxWarnings), ",")}
	watch, _ := newTestWatch(t, watchedStore{"redis", many})
	watch.lookOnce(t.Context())
	require.Len(t, watch.current(), maxWarnings)
	for _, warning := range watch.current() {
		assert.LessOrEqual(t, len(warning.Text), maxWarningBytes)
		assert.True(t, utf8.ValidString(warning.Text))
	}
}

func TestAStoresWarningReachesReadinessAndOperators(t *testing.T) {
	env := newEnvironment(t)
	p, err := newProgram(env.config, env.at)
	require.NoError(t, err)
	defer func() { p.server.Close(); require.NoError(t, p.stores.close()) }()
	for i := range p.warnings.stores {
		p.warnings.stores[i].store = &fakeWarner{said: []string{"is set up badly"}}
	}
	p.warnings.lookOnce(t.Context())
	want := []domain.StoreWarning{
		{Store: "redis", Text: "is set up badly"}, {Store: "kafka", Text: "is set up badly"}, {Store: "database", Text: "is set up badly"},
	}
	assert.Equal(t, want, p.heartbeat().Warnings)
	assert.Equal(t, want, p.apiPorts().Warnings())
}
