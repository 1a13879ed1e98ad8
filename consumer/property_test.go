package consumer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// storm makes calls fail before or after their effect, rebuilds gates, and kills consumers: a killed one reaches no
// store any more, whatever it tries.
type storm struct {
	chance
	percent    int
	dead       bool
	killed     chan struct{}
	callsUntil int
}

var errKilled = domain.Errorf(domain.CodeUnavailable, "this process is dead")

func (s *storm) strike(w *world, call string) error {
	if s.dead {
		return errKilled
	}
	s.callsUntil--
	if s.callsUntil == 0 {
		s.dead = true
		close(s.killed)
		return errKilled
	}
	if call == "setting" || !s.hits(s.percent) {
		return nil
	}
	switch s.IntN(4) {
	case 0:
		return domain.Errorf(domain.CodeOutcomeUnknown, "no answer")
	case 1:
		w.campaigns[sale].rebuild()
		return nil
	}
	return errAway
}

func (s *storm) revive(calls int) {
	s.dead, s.killed, s.callsUntil = false, make(chan struct{}), calls
}

func TestNoRecordIsEverLostOrStoredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(withoutDeadline{t}, func(t *rapid.T) {
			w := newWorld(rapid.IntRange(1, 3).Draw(t, "partitions"))
			w.campaigns[sale].quota = rapid.Int64Range(1, 60).Draw(t, "quota")
			w.refused = refusals(t)
			produceAny(t, w)
			s := &storm{
				chance:  newChance(rapid.Uint64().Draw(t, "seed")),
				percent: rapid.IntRange(0, 30).Draw(t, "accidents"),
			}
			w.before = func(call string) error { return s.strike(w, call) }
			w.after = w.before
			consumeThroughCrashes(t, w, s)
			checkNothingLost(t, w)
		})
	})
}

// withoutDeadline hides the test's deadline, which may not be asked for where time is simulated.
type withoutDeadline struct{ rapid.TB }

func refusals(t *rapid.T) map[domain.UserID]bool {
	refused := map[domain.UserID]bool{}
	for _, user := range rapid.SliceOfN(rapid.Int64Range(1, 40), 0, 5).Draw(t, "refused") {
		refused[domain.UserID(user)] = true
	}
	return refused
}

// produceAny fills the topic with winners (some twice, some with slots that others have, some of another epoch, some
// unknown to the gate), applications from outside and unreadable records.
func produceAny(t *rapid.T, w *world) {
	count := rapid.IntRange(1, 60).Draw(t, "records")
	for range count {
		partition := rapid.IntRange(0, len(w.partitions)-1).Draw(t, "partition")
		user := domain.UserID(rapid.Int64Range(1, 40).Draw(t, "user"))
		slot := domain.Slot(rapid.Int64Range(1, 70).Draw(t, "slot"))
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			w.produce(partition, domain.Delivery{Problem: errors.New("unreadable"), Raw: []byte("?")})
		case 1, 2:
			w.produce(partition, domain.Delivery{External: true, Winner: domain.Winner{UserID: user}})
		case 3:
			w.produce(partition, domain.Delivery{Winner: winner(user, slot, rapid.Int64Range(0, 3).Draw(t, "epoch"))})
		default:
			w.admitted(partition, user, slot)
		}
	}
}

// consumeThroughCrashes starts consumers, each of which is killed after some calls, until the topic is consumed.
func consumeThroughCrashes(t *rapid.T, w *world, s *storm) {
	const maxLives = 30
	for life := range maxLives {
		w.see(func() {
			s.revive(rapid.IntRange(1, 80).Draw(t, "calls"))
			if life == maxLives-1 {
				s.revive(-1)
				s.percent = 0
			}
			w.rejoin()
		})
		stop := w.consumer(t, Config{BatchSize: rapid.IntRange(1, 20).Draw(t, "batch"), Linger: time.Millisecond}).start()
		select {
		case <-s.killed:
		case <-time.After(5 * time.Minute):
		}
		require.NoError(t, stop())
		if w.drained() {
			return
		}
	}
	t.Fatalf("the topic was never consumed: %v of %v", w.committed, len(w.partitions[0]))
}

func checkNothingLost(t *rapid.T, w *world) {
	c := w.campaigns[sale]
	require.LessOrEqual(t, int64(len(c.rows)), c.quota)
	holders := map[domain.Slot]domain.UserID{}
	for user, slot := range c.rows {
		require.Zero(t, holders[slot], "slot %d has two rows", slot)
		require.LessOrEqual(t, int64(slot), c.quota)
		holders[slot] = user
	}
	for _, partition := range w.partitions {
		for _, delivery := range partition {
			_, failed := w.events[delivery.Position]
			_, stored := c.rows[delivery.Winner.UserID]
			_, elsewhere := w.eventOf(delivery.Winner.UserID)
			switch {
			case delivery.Problem != nil:
				require.True(t, failed, "an unreadable record was lost")
			case delivery.External:
				require.True(t, stored || elsewhere || soldOut(w, delivery.Winner.UserID), "an application was lost")
			default:
				require.True(t, stored || elsewhere, "winner %d was lost", delivery.Winner.UserID)
			}
		}
	}
}

// soldOut says whether a refusal was possible: the gate has no slot for the user.
func soldOut(w *world, user domain.UserID) bool {
	return w.campaigns[sale].gate[user] < 1
}
