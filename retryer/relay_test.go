package retryer

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// await puts entries of one winner each into the gate's pending stream, each a second younger than the one before.
func (w *world) await(code string, epoch int64, ages ...time.Duration) {
	g := w.gates[code]
	for _, age := range ages {
		winner := promise(domain.UserID(len(g.pending)+1), domain.Slot(len(g.pending)+1), epoch, start)
		winner.Campaign = code
		g.pending = append(g.pending, domain.PendingEntry{
			ID: fmt.Sprintf("%06d", len(g.pending)), Age: age, Winners: []domain.Winner{winner},
		})
	}
}

func TestTheRelaySendsWhatHasWaitedLongEnoughAndNothingElse(t *testing.T) {
	w, r := opened(t, sale)
	w.await(sale, 1, 5*time.Second, 2*time.Second, time.Second)
	sent, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, sent)
	assert.Len(t, w.published, 2)
	assert.Len(t, w.gates[sale].pending, 1, "the youngest is somebody's who is still waiting for Kafka")
	assert.InDelta(t, 2, testutil.ToFloat64(r.metrics.relayed), 0)
}

func TestTheRelaySendsWhatIsFromTheFuture(t *testing.T) {
	w, r := opened(t, sale)
	w.await(sale, 1, -2*time.Minute, -time.Millisecond)
	sent, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, sent, "Redis's clock was set back; nobody waits until it has caught up")
	assert.Empty(t, w.gates[sale].pending)
}

func TestWhatCouldNotBeSentStays(t *testing.T) {
	w, r := opened(t, "a", "b")
	w.await("a", 1, time.Minute)
	w.await("b", 1, time.Minute)
	w.before = func(call, campaign string) error {
		if call == "publish" && campaign == "a" {
			return domain.Errorf(domain.CodeOutcomeUnknown, "no answer")
		}
		return nil
	}
	sent, err := r.relayOnce(t.Context())
	require.Error(t, err)
	assert.Equal(t, 1, sent)
	assert.Len(t, w.gates["a"].pending, 1)
	assert.Empty(t, w.gates["b"].pending, "the other campaign is served")
}

func TestEntriesAreRemovedOnlyUnderTheirOwnEpoch(t *testing.T) {
	w, r := opened(t, sale)
	w.await(sale, 1, time.Minute)
	w.before = func(call, _ string) error {
		if call == "acknowledge" { // The gate is rebuilt between the sending and the acknowledgement.
			w.see(func() { w.gates[sale].epoch = 2 })
		}
		return nil
	}
	_, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Len(t, w.gates[sale].pending, 1)
}

func TestAClosedGatesEntriesAreTheRebuilds(t *testing.T) {
	w, r := opened(t, sale)
	w.await(sale, 1, time.Minute)
	w.gates[sale].open = false
	_, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Empty(t, w.published)
	assert.Len(t, w.gates[sale].pending, 1)
}

func TestTheRelayWorksInBoundedPages(t *testing.T) {
	w, r := opened(t, sale)
	for range maxRelayPages*relayPage + 7 {
		w.await(sale, 1, time.Minute)
	}
	sent, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, maxRelayPages*relayPage, sent)
	sent, err = r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 7, sent)
	assert.Empty(t, w.gates[sale].pending)
}

func TestWhatARebuildLeftPendingIsSentUnderTheNewEpoch(t *testing.T) {
	w, r := opened(t, sale)
	w.await(sale, 1, 0)
	w.gates[sale].open = false
	require.NoError(t, r.SweepOnce(t.Context()))
	w.gates[sale].pending[0].Age = time.Minute
	_, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	require.Len(t, w.published, 1)
	assert.Equal(t, int64(2), w.published[0].Epoch)
	assert.Equal(t, domain.Slot(1), w.published[0].Slot)
}

func TestAnEntryWithoutWinnersIsPassedOver(t *testing.T) {
	groups := byEpoch([]domain.PendingEntry{
		{ID: "a"},
		{ID: "b", Winners: []domain.Winner{promise(1, 1, 4, start), promise(2, 2, 4, start)}},
		{ID: "c", Winners: []domain.Winner{promise(3, 3, 4, start)}},
		{ID: "d", Winners: []domain.Winner{promise(4, 4, 5, start)}},
	})
	require.Len(t, groups, 2)
	assert.Equal(t, []string{"b", "c"}, groups[0].ids)
	assert.Len(t, groups[0].winners, 3)
	assert.Equal(t, int64(5), groups[1].epoch)
}
