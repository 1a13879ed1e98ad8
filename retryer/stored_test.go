package retryer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// A database went back, Redis was emptied, and the offsets were committed before: only the topic's older records still
// say who was told which slot.
func TestARebuildKeepsTheSlotsOfCouponsThatTheDatabaseLost(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota = 6
	for user := domain.UserID(1); user <= 6; user++ {
		slot := domain.Slot(7 - user)
		w.stored = append(w.stored, domain.Delivery{Winner: promise(user, slot, 1, at(int(user)))})
		if user%2 == 0 {
			w.issue(user, slot)
		}
	}
	w.stored = append(w.stored, domain.Delivery{Winner: domain.Winner{UserID: 9}, External: true})
	w.gates[sale] = &gate{users: map[domain.UserID]domain.GateWinner{}}

	require.NoError(t, r.Rebuild(t.Context(), sale))
	for user := domain.UserID(1); user <= 6; user++ {
		assert.Equal(t, domain.Slot(7-user), w.slotOf(sale, user), "user %d was told this slot", user)
	}
	assert.NotContains(t, w.gates[sale].users, domain.UserID(9), "a record from outside was promised nothing")
	assert.Len(t, w.gates[sale].pending, 3, "the records of those whose coupons are lost are sent again, and no others")
}

// What the newest records show of a loss may be its end only: a backup of last week was restored.
func TestALossAmongTheNewestRecordsHasAllOfThemRead(t *testing.T) {
	w, r := opened(t, sale)
	quota := lookBack + 10
	w.ledger[sale].Quota = int64(quota)
	for i := range quota {
		user := domain.UserID(i + 1)
		w.stored = append(w.stored, domain.Delivery{Winner: promise(user, domain.Slot(i+1), 1, start)})
		if i > 2 && i < quota-1 {
			w.issue(user, domain.Slot(i+1))
		}
	}
	w.gates[sale] = &gate{users: map[domain.UserID]domain.GateWinner{}}
	require.NoError(t, r.Rebuild(t.Context(), sale))
	for _, user := range []domain.UserID{1, 2, 3, domain.UserID(quota)} {
		assert.Equal(t, domain.Slot(user), w.slotOf(sale, user))
	}
	assert.Len(t, w.gates[sale].pending, 4)
}

// revokedSale is a campaign with two slots whose database has lost everything: user 1 won slot 1 and was revoked, and user 3
// was told that slot. The topic still has all records.
func revokedSale(t *testing.T) (*world, *Retryer) {
	t.Helper()
	w, r := opened(t, sale)
	w.ledger[sale].Quota, w.gates[sale].quota = 2, 2
	for user, slot := range map[domain.UserID]domain.Slot{1: 1, 2: 2, 3: 1} {
		w.stored = append(w.stored, domain.Delivery{Winner: promise(user, slot, 1, at(int(user)))})
	}
	return w, r
}

func TestWhoWasRevokedStaysSoWhenTheDatabaseGoesBack(t *testing.T) {
	w, r := revokedSale(t)
	users := w.gates[sale].users
	users[1] = domain.GateWinner{UserID: 1, Slot: domain.NoSlot, AdmittedAt: at(1)}
	users[2] = domain.GateWinner{UserID: 2, Slot: 2, AdmittedAt: at(2)}
	users[3] = domain.GateWinner{UserID: 3, Slot: 1, AdmittedAt: at(3)}
	users[4] = domain.GateWinner{UserID: 4, Slot: domain.NoSlot, AdmittedAt: at(1)}
	w.topic = append(w.topic, domain.Delivery{Winner: promise(4, 2, 1, at(1))})
	w.acknowledgeBefore("finish", promise(1, 1, 1, at(1)))
	for range 2 { // the mark is kept by each rebuild
		require.NoError(t, r.Rebuild(t.Context(), sale))
		for user, slot := range map[domain.UserID]domain.Slot{1: domain.NoSlot, 2: 2, 3: 1, 4: domain.NoSlot} {
			require.Contains(t, w.gates[sale].users, user, "who is forgotten may apply again")
			assert.Equal(t, slot, w.slotOf(sale, user), "user %d", user)
		}
	}
	lost := testutil.ToFloat64(r.metrics.recalled.WithLabelValues("topic"))
	assert.EqualValues(t, 2, lost, "a revocation that is lost is no coupon that is lost")
}

// The record of user 3 is gone, and so is the mark that user 1 was revoked: the gate says whose slot it is.
func TestAHolderOfTheGateKeepsTheSlotAgainstAStoredRecordOfAnother(t *testing.T) {
	for name, recordEpoch := range map[string]int64{"of the gate's epoch": 1, "of a newer epoch": 5} {
		t.Run(name, func(t *testing.T) {
			w, r := opened(t, sale)
			w.hold(3, 1)
			w.stored = append(w.stored, domain.Delivery{Winner: promise(1, 1, recordEpoch, at(1))})
			require.NoError(t, r.Rebuild(t.Context(), sale))
			holder := map[bool]domain.UserID{true: 3, false: 1}[recordEpoch == 1]
			assert.Equal(t, domain.Slot(1), w.slotOf(sale, holder))
		})
	}
}

func TestWithoutAGateTheLaterOfTwoStoredRecordsHoldsTheSlot(t *testing.T) {
	w, r := revokedSale(t)
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(1), w.slotOf(sale, 3), "it was freed, and given to user 3")
	assert.Equal(t, domain.Slot(2), w.slotOf(sale, 2))
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 1))
}

// slowStored takes a second for what is committed before a reading begins.
type slowStored struct {
	mu        sync.Mutex
	committed []domain.Winner
	readings  int
	shown     int
	panics    bool
}

func (s *slowStored) ReadStored(
	_ context.Context, part domain.StoredPart, visit func(domain.Delivery) error,
) (domain.StoredRead, error) {
	s.mu.Lock()
	s.readings++
	committed, panics := s.committed, s.panics
	s.mu.Unlock()
	time.Sleep(time.Second)
	if panics {
		panic("what nobody thought of")
	}
	for _, winner := range committed[part.After[0].Offset:] {
		s.shown++
		if err := visit(domain.Delivery{Winner: winner}); err != nil {
			return domain.StoredRead{}, err
		}
	}
	return domain.StoredRead{Ends: domain.TailEnds{0: {Offset: int64(len(committed))}}, Whole: true}, nil
}

func (s *slowStored) commit(campaign string, users ...domain.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.committed = append(s.committed, domain.Winner{Campaign: campaign, UserID: user, Slot: domain.Slot(user)})
	}
}

func usersOf(winners []domain.Winner) []domain.UserID {
	var users []domain.UserID
	for _, winner := range winners {
		users = append(users, winner.UserID)
	}
	return users
}

// What is committed between the reading of the tail and that of the newest records would be in neither.
func TestWhoAsksForTheNewestRecordsSeesAllThatAreCommittedByThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowStored{}
		newest := newNewestRecords(reader)
		var asking sync.WaitGroup
		ask := func(campaign string, wanted ...domain.UserID) {
			asking.Go(func() {
				found, err := newest.of(t.Context(), campaign)
				assert.NoError(t, err)
				assert.Equal(t, wanted, usersOf(found.winners))
				assert.True(t, found.whole)
			})
		}
		reader.commit("a", 1)
		ask("a", 1)
		synctest.Wait() // a reading has begun
		reader.commit("a", 2)
		reader.commit("b", 3)
		for range 10 {
			ask("a", 1, 2)
			ask("b", 3)
		}
		asking.Wait()
		assert.Equal(t, 2, reader.readings)
		assert.Equal(t, 3, reader.shown, "the second one reads on")
		reader.commit("a", 4)
		ask("a", 1, 2, 4)
		asking.Wait()
		assert.Equal(t, 4, reader.shown)

		time.Sleep(lookBackAge)
		synctest.Wait()
		assert.Nil(t, newest.kept.winners, "its memory is given back")
		ask("b", 3)
		asking.Wait()
		assert.Equal(t, 4, reader.readings)
		assert.Equal(t, 8, reader.shown, "all of them again")
	})
}

func TestWhoTakesPartInAReadingThatFailsAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newest := newNewestRecords(&slowStored{})
		ctx, end := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		ask := func(ctx context.Context, check func(error)) {
			asking.Go(func() {
				_, err := newest.of(ctx, "a")
				check(err)
			})
			synctest.Wait()
		}
		ask(t.Context(), func(err error) { assert.NoError(t, err) })
		ask(ctx, func(err error) { assert.ErrorIs(t, err, context.Canceled) })
		ask(t.Context(), func(err error) { assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err)) })
		end()
		asking.Wait()
		_, err := newest.of(t.Context(), "a")
		require.NoError(t, err)
	})
}
