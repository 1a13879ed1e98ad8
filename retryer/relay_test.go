package retryer

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// slowTopic takes only so many winners at a time, and refuses some for good.
type slowTopic struct {
	*world
	takes   int
	refuses map[domain.UserID]bool
	asked   int
}

func (s *slowTopic) PublishEach(_ context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	for place, winner := range winners {
		s.asked++
		switch {
		case s.refuses[winner.UserID]:
			settled([]int{place}, domain.Errorf(domain.CodeRecordRefused, "too large"))
		case s.takes > 0:
			s.takes--
			settled([]int{place}, nil)
		default:
			settled([]int{place}, domain.Errorf(domain.CodeOutcomeUnknown, "no answer"))
		}
	}
}

func slowRelay(t *testing.T, w *world, topic *slowTopic) *Retryer {
	t.Helper()
	ports := w.ports()
	ports.Publisher = topic
	r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return r
}

// However little a slow Kafka takes in one run, the next one goes on from there: entries went only once a whole page was
// taken, and its beginning was sent again each second.
func TestASlowKafkaGetsOnWithEachRun(t *testing.T) {
	w, _ := opened(t, sale)
	w.await(sale, 1, 9*time.Second, 8*time.Second)
	g := w.gates[sale]
	for user := domain.UserID(11); user <= 18; user++ {
		g.pending[0].Winners = append(g.pending[0].Winners, promise(user, domain.Slot(user), 1, start))
	}
	topic := &slowTopic{world: w}
	r := slowRelay(t, w, topic)
	for run, left := range []int{2, 2, 1, 0} {
		topic.takes = 3
		sent, err := r.relayOnce(t.Context())
		assert.Equal(t, left > 0, err != nil, run)
		assert.LessOrEqual(t, sent, 3)
		assert.Len(t, g.pending, left, "run %d", run)
	}
	assert.Equal(t, 10+7+4+1, topic.asked, "nobody who was taken is sent again")
	assert.Empty(t, r.relayed.seen)
}

// A record that Kafka refuses for good holds up nobody, and ends as an event from which the coupon is stored.
func TestARecordThatKafkaRefusesBecomesAFailEvent(t *testing.T) {
	w, _ := opened(t, sale)
	w.await(sale, 1, 9*time.Second, 8*time.Second, 7*time.Second)
	r := slowRelay(t, w, &slowTopic{world: w, takes: 9, refuses: map[domain.UserID]bool{1: true}})
	away := true
	w.before = func(call, _ string) error {
		if call == "fail event" && away {
			return errAway
		}
		return nil
	}
	_, err := r.relayOnce(t.Context())
	require.Error(t, err)
	assert.Len(t, w.gates[sale].pending, 1, "it waits for the ledger, and those behind it don't")
	away = false
	_, err = r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Empty(t, w.gates[sale].pending)
	require.Len(t, w.events, 1)
	assert.Equal(t, domain.ReasonRecordRefused, w.events[1].Reason)
	assert.Equal(t, domain.Slot(1), w.events[1].Slot)
}
