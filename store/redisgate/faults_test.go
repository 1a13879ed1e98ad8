//go:build !release

package redisgate

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// faultyBench is a bench whose gate reaches its server through a proxy; its campaign has room for many.
func faultyBench(t *testing.T, config Config) (*bench, *proxy) {
	t.Helper()
	server := startRedis(t)
	b := newBench(t, []string{server.Addr()})
	b.campaign.Quota = 1000
	b.reopen(t)
	p := startProxy(t, server.Addr())
	config.Addrs = []string{p.addr()}
	b.Gate = openGate(t, config)
	require.Eventually(t, func() bool { // the connection and the script are there from here on
		_, err := b.Admit(t.Context(), b.campaign.Code, 1)
		return err == nil
	}, patience, time.Millisecond)
	return b, p
}

func TestWhoLeavesAfterTheCallWasSentIsToldToAskAgain(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.Admit(ctx, b.campaign.Code, 101)
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
	p.release()
	again, err := b.Admit(t.Context(), b.campaign.Code, 101)
	require.NoError(t, err)
	assert.False(t, again.New, "the first call had its effect")
}

func TestALostAnswerIsAskedForAgainAndGivesNoSecondSlot(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	before, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	p.cutAnswers(1)
	got, err := b.Admit(t.Context(), b.campaign.Code, 101)
	require.NoError(t, err)
	assert.False(t, got.New, "admitted by the call whose answer was lost; the relay sends the record")
	assert.False(t, got.InQueue)
	after, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	assert.Equal(t, before.Winners+1, after.Winners)

	p.cutAnswers(2)
	_, err = b.Admit(t.Context(), b.campaign.Code, 102)
	assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
}

func TestARebuildIsNotWrittenTwice(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	target, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch+1)
	require.NoError(t, err)
	require.NoError(t, b.WriteWinners(t.Context(), target, []domain.GateWinner{{UserID: 1, Slot: 1, AdmittedAt: time.Now(), Pending: true}}))
	p.cutAnswers(1)
	err = b.WriteWinners(t.Context(), target, []domain.GateWinner{{UserID: 2, Slot: 2, AdmittedAt: time.Now(), Pending: true}})
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
	err = b.OpenRebuilt(t.Context(), target, b.campaign)
	require.Equal(t, domain.CodeOvertaken, domain.CodeOf(err), "a rebuild that failed is begun again: %v", err)
	b.reopen(t)
}

func TestASilentServerIsGivenUpInTime(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: 50 * time.Millisecond})
	p.hold()
	_, err := b.Admit(t.Context(), b.campaign.Code, 101)
	assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
	_, err = b.Inspect(t.Context(), b.campaign.Code)
	assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
	assert.Error(t, b.Ping(t.Context()))
}

func TestAServerThatIsAwayHadNoEffect(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	gate := openGate(t, Config{Addrs: []string{addr}, CallTimeout: patience})
	_, err = domain.Admit(t.Context(), gate, "sale", 1)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(gate.Ping(t.Context())))
	assert.Empty(t, gate.Warnings(t.Context()))
}

func TestACallThatIsUnderWayAtTheEndHasAnUnknownOutcome(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	answer := make(chan error, 1)
	go func() { _, err := b.Admit(t.Context(), b.campaign.Code, 101); answer <- err }()
	direct := openGate(t, Config{Addrs: b.addrs, CallTimeout: patience})
	require.Eventually(t, func() bool {
		_, err := direct.Lookup(t.Context(), b.campaign.Code, 101)
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, b.Close())
	err := <-answer
	assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "the user was admitted: %v", err)
	_, err = b.Admit(t.Context(), b.campaign.Code, 301)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
}

func TestMetricsCountWhatWasDecided(t *testing.T) {
	server := startRedis(t)
	registry := prometheus.NewRegistry()
	b := newBench(t, []string{server.Addr()})
	gate, err := Open(Config{Addrs: b.addrs, CallTimeout: patience}, registry, b.logger)
	require.NoError(t, err)
	defer gate.Close()
	b.reopen(t)
	for _, user := range []domain.UserID{1, 50, 50, 3} {
		_, _ = domain.Admit(t.Context(), gate, b.campaign.Code, user)
	}
	for result, want := range map[int]float64{resultNew: 1, resultKnown: 2, resultRevoked: 1, resultSoldOut: 0} {
		assert.InDelta(t, want, testutil.ToFloat64(gate.metrics.decisions[result]), 0, resultNames[result])
	}
	server.FlushAll()
	_, _ = domain.Admit(t.Context(), gate, b.campaign.Code, 1)
	assert.InDelta(t, 1, testutil.ToFloat64(gate.metrics.closedAnswers), 0)
	families, err := registry.Gather()
	require.NoError(t, err)
	assert.Len(t, families, 4)

	_, err = Open(Config{Addrs: b.addrs}, registry, b.logger)
	require.Error(t, err, "two gates can't share their metrics")
	_, err = Open(Config{}, nil, b.logger)
	require.Error(t, err, "no address has a default")
}
