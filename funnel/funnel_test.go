package funnel

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore sums what it is given.
type fakeStore struct {
	mu     sync.Mutex
	sums   map[domain.FunnelCount]int64
	err    error
	purged []int
}

func newStore() *fakeStore { return &fakeStore{sums: map[domain.FunnelCount]int64{}} }

func (s *fakeStore) AddFunnel(_ context.Context, _ time.Time, counts []domain.FunnelCount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, count := range counts {
		s.sums[domain.FunnelCount{Campaign: count.Campaign, Outcome: count.Outcome}] += count.Count
	}
	return nil
}

func (s *fakeStore) PurgeFunnel(context.Context, time.Time, int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	purged := s.purged[0]
	s.purged = s.purged[1:]
	return purged, nil
}

func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeStore) sum(campaign string, outcome domain.FunnelOutcome) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums[domain.FunnelCount{Campaign: campaign, Outcome: outcome}]
}

func newCounters(store domain.FunnelWriter) *Counters {
	return New(store, slog.New(slog.DiscardHandler))
}

func TestCountsOfManyAtOnceAreEachFlushedOnce(t *testing.T) {
	store := newStore()
	counters := newCounters(store)
	const workers, each = 8, 500
	flushing, stop := sync.WaitGroup{}, make(chan struct{})
	flushing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, counters.flushOnce(t.Context()))
			}
		}
	})
	var counting sync.WaitGroup
	for range workers {
		counting.Go(func() {
			for range each {
				counters.Count("spring", domain.FunnelAccepted, 1)
				counters.Count("autumn", domain.FunnelIssued, 2)
			}
		})
	}
	counting.Wait()
	close(stop)
	flushing.Wait()
	require.NoError(t, counters.flushOnce(t.Context()))
	require.NoError(t, counters.flushOnce(t.Context()))
	assert.EqualValues(t, workers*each, store.sum("spring", domain.FunnelAccepted))
	assert.EqualValues(t, 2*workers*each, store.sum("autumn", domain.FunnelIssued))
}

func TestCountsWaitForALedgerThatIsAway(t *testing.T) {
	for _, away := range []error{domain.Errorf(domain.CodeUnavailable, "the ledger is away"), errors.New("of no known kind")} {
		store := newStore()
		counters := newCounters(store)
		store.fail(away)
		counters.Count("spring", domain.FunnelAccepted, 3)
		require.ErrorIs(t, counters.flushOnce(t.Context()), away)
		counters.Count("spring", domain.FunnelAccepted, 4)
		store.fail(nil)
		require.NoError(t, counters.flushOnce(t.Context()))
		assert.EqualValues(t, 7, store.sum("spring", domain.FunnelAccepted))
	}
}

// A commit that may have happened is not done again: the figures may fall short, and never say too much.
func TestCountsWhoseFateIsUnknownAreNotAddedTwice(t *testing.T) {
	store := newStore()
	counters := newCounters(store)
	store.fail(domain.Errorf(domain.CodeOutcomeUnknown, "the connection broke during the commit"))
	counters.Count("spring", domain.FunnelAccepted, 3)
	require.Error(t, counters.flushOnce(t.Context()))
	store.fail(nil)
	require.NoError(t, counters.flushOnce(t.Context()))
	assert.Zero(t, store.sum("spring", domain.FunnelAccepted))
}

func TestAnOutcomeWithoutACounterIsAnInternalOne(t *testing.T) {
	store := newStore()
	counters := newCounters(store)
	counters.Count("spring", "SOMETHING_NEW", 1)
	require.NoError(t, counters.flushOnce(t.Context()))
	assert.EqualValues(t, 1, store.sum("spring", domain.FunnelOutcome(domain.CodeInternal)))
}

// A process that is killed loses what came since its last flush, which is never longer ago than one interval.
func TestCountsAreFlushedEachIntervalAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		counters := newCounters(store)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { counters.Run(ctx) })
		counters.Count("spring", domain.FunnelAccepted, 1)
		<-time.After(flushEvery)
		synctest.Wait()
		assert.EqualValues(t, 1, store.sum("spring", domain.FunnelAccepted))
		counters.Count("spring", domain.FunnelAccepted, 1)
		stop()
		running.Wait()
		assert.EqualValues(t, 2, store.sum("spring", domain.FunnelAccepted), "the end of the process loses nothing")
	})
}

func TestMemoryIsBoundedByTheCampaignsAndNotByTheCounts(t *testing.T) {
	counters := newCounters(newStore())
	for range 10_000 {
		for _, outcome := range outcomes {
			counters.Count("spring", outcome, 1)
			counters.Count("autumn", outcome, 1)
		}
	}
	assert.LessOrEqual(t, len(counters.take()), 2*len(outcomes))
	assert.Empty(t, counters.take())
}

func TestAPurgeStopsAfterAShortPageAndIsBounded(t *testing.T) {
	store := newStore()
	store.purged = []int{domain.MaxPage, 3, 5}
	require.NoError(t, newCounters(store).purgeOnce(t.Context()))
	assert.Equal(t, []int{5}, store.purged, "a page that is not full is the last one")
	store.purged = make([]int, maxPurges+1)
	for i := range store.purged {
		store.purged[i] = domain.MaxPage
	}
	require.NoError(t, newCounters(store).purgeOnce(t.Context()))
	assert.Len(t, store.purged, 1)
}
