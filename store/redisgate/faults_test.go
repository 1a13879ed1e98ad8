//go:build !release

package redisgate

import (
	"context"
	"net"
	"slices"
	"sync"
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
	_, err := b.Admit(t.Context(), b.campaign.Code, 1) // the connection and the script are there from here on
	require.NoError(t, err)
	return b, p
}

type outcome struct {
	admission domain.Admission
	err       error
}

// start has a user ask, and gives the answer when it comes.
func (b *bench) start(ctx context.Context, user domain.UserID) <-chan outcome {
	answer := make(chan outcome, 1)
	go func() {
		admission, err := b.Admit(ctx, b.campaign.Code, user)
		answer <- outcome{admission, err}
	}()
	return answer
}

// fillLine has users 101 and 102 ask, one call each, which stay under way while the proxy holds.
func (b *bench) fillLine(t *testing.T) []<-chan outcome {
	t.Helper()
	c, err := b.campaigns.find(b.campaign.Code)
	require.NoError(t, err)
	var answers []<-chan outcome
	for i := range callsUnderWay {
		answers = append(answers, b.start(t.Context(), domain.UserID(101+i)))
		require.Eventually(t, func() bool {
			c.admit.mu.Lock()
			defer c.admit.mu.Unlock()
			return c.admit.workers == i+1 && len(c.admit.calls) == 0
		}, patience, time.Millisecond)
	}
	return answers
}

func (b *bench) waitForWaiting(t *testing.T, count int) {
	t.Helper()
	c, err := b.campaigns.find(b.campaign.Code)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		c.admit.mu.Lock()
		defer c.admit.mu.Unlock()
		return len(c.admit.calls) == count
	}, patience, time.Millisecond)
}

func TestWhoWaitsSharesTheNextBatchInTheOrderOfArrival(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	first := b.fillLine(t)
	const waiters = 40
	var answers []<-chan outcome
	for i := range waiters {
		answers = append(answers, b.start(t.Context(), domain.UserID(1000-i)))
		b.waitForWaiting(t, i+1)
	}
	p.release()
	for _, answer := range first {
		require.NoError(t, (<-answer).err)
	}
	last := domain.Slot(0)
	for _, answer := range answers {
		got := <-answer
		require.NoError(t, got.err)
		assert.Greater(t, got.admission.Slot, last)
		assert.Equal(t, waiters, got.admission.EntrySize, "one call for all")
		last = got.admission.Slot
	}
	entries, err := b.Pending(t.Context(), b.campaign.Code, "", 100)
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(entries, func(entry domain.PendingEntry) bool { return len(entry.Winners) == waiters }))
}

func TestOneBatchMayHoldTheSameUserTwice(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	b.fillLine(t)
	var answers []<-chan outcome
	for i, user := range []domain.UserID{7, 8, 7} {
		answers = append(answers, b.start(t.Context(), user))
		b.waitForWaiting(t, i+1)
	}
	p.release()
	one, other, again := <-answers[0], <-answers[1], <-answers[2]
	require.NoError(t, again.err)
	assert.True(t, one.admission.New)
	assert.Equal(t, one.admission.Winner, again.admission.Winner)
	assert.False(t, again.admission.New)
	assert.False(t, again.admission.InQueue)
	assert.Equal(t, 2, one.admission.EntrySize, "two winners, not three")
	assert.Equal(t, one.admission.Slot+1, other.admission.Slot)
}

func TestWhoLeavesTheQueueIsNotAdmitted(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	answers := b.fillLine(t)
	ctx, leave := context.WithCancel(t.Context())
	left, stayed := b.start(ctx, 103), b.start(t.Context(), 104)
	b.waitForWaiting(t, 2)
	leave()
	require.ErrorIs(t, (<-left).err, context.Canceled)
	p.release()
	for _, answer := range append(answers, stayed) {
		require.NoError(t, (<-answer).err)
	}
	_, err := b.Lookup(t.Context(), b.campaign.Code, 103)
	assert.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
}

func TestWhoLeavesAfterTheCallWasSentIsToldToAskAgain(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got := <-b.start(ctx, 101)
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(got.err), "%v", got.err)
	p.release()
	again, err := b.Admit(t.Context(), b.campaign.Code, 101)
	require.NoError(t, err)
	assert.False(t, again.New, "the first call had its effect")
}

func TestAFullQueueRefuses(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience, MaxQueue: 3})
	p.hold()
	answers := b.fillLine(t)
	for i := range 3 {
		answers = append(answers, b.start(t.Context(), domain.UserID(200+i)))
	}
	b.waitForWaiting(t, 3)
	_, err := b.Admit(t.Context(), b.campaign.Code, 300)
	assert.Equal(t, domain.CodeOverloaded, domain.CodeOf(err))
	p.release()
	for _, answer := range answers {
		require.NoError(t, (<-answer).err)
	}
	_, err = b.Lookup(t.Context(), b.campaign.Code, 300)
	assert.Equal(t, domain.CodeNotFound, domain.CodeOf(err), "it was not looked at")
}

func TestABatchKeepsItsLimit(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience, MaxBatch: 10})
	p.hold()
	b.fillLine(t)
	var answers []<-chan outcome
	for i := range 35 {
		answers = append(answers, b.start(t.Context(), domain.UserID(200+i)))
	}
	b.waitForWaiting(t, 35)
	p.release()
	for _, answer := range answers {
		got := <-answer
		require.NoError(t, got.err)
		assert.LessOrEqual(t, got.admission.EntrySize, 10)
	}
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
	_, err = gate.Admit(t.Context(), "sale", 1)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(gate.Ping(t.Context())))
	assert.Empty(t, gate.Warnings(t.Context()))
}

func TestCloseAnswersWhoWaits(t *testing.T) {
	b, p := faultyBench(t, Config{CallTimeout: patience})
	p.hold()
	answers := b.fillLine(t)
	answers = append(answers, b.start(t.Context(), 201))
	b.waitForWaiting(t, 1)
	var closing sync.WaitGroup
	closing.Go(func() { assert.NoError(t, b.Close()) })
	require.Eventually(t, func() bool {
		b.crew.mu.Lock()
		defer b.crew.mu.Unlock()
		return b.crew.stopped
	}, patience, time.Millisecond)
	p.release()
	for _, answer := range answers {
		require.NoError(t, (<-answer).err)
	}
	closing.Wait()
	_, err := b.Admit(t.Context(), b.campaign.Code, 301)
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
		_, _ = gate.Admit(t.Context(), b.campaign.Code, user)
	}
	for result, want := range map[int]float64{resultNew: 1, resultKnown: 2, resultRevoked: 1, resultSoldOut: 0} {
		assert.InDelta(t, want, testutil.ToFloat64(gate.metrics.decisions[result]), 0, resultNames[result])
	}
	server.FlushAll()
	_, _ = gate.Admit(t.Context(), b.campaign.Code, 1)
	assert.InDelta(t, 1, testutil.ToFloat64(gate.metrics.closedAnswers), 0)
	families, err := registry.Gather()
	require.NoError(t, err)
	assert.Len(t, families, 6)

	_, err = Open(Config{Addrs: b.addrs}, registry, b.logger)
	require.Error(t, err, "two gates can't share their metrics")
	_, err = Open(Config{}, nil, b.logger)
	require.Error(t, err, "no address has a default")
}
