package retryer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

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

// countingStored gives one record of each campaign.
type countingStored struct{ readings int }

func (s *countingStored) ReadStored(_ context.Context, _ int64, visit func(domain.Delivery) error) (bool, error) {
	s.readings++
	for _, campaign := range []string{"a", "b"} {
		if err := visit(domain.Delivery{Winner: domain.Winner{Campaign: campaign, UserID: 1}}); err != nil {
			return false, err
		}
	}
	return true, nil
}

func TestRebuildsShareAReadingForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &countingStored{}
		stored := newStoredRecords(reader)
		for _, campaign := range []string{"a", "b", "a"} {
			found, err := stored.newest(t.Context(), campaign)
			require.NoError(t, err)
			require.Len(t, found.winners, 1)
			assert.Equal(t, campaign, found.winners[0].Campaign)
		}
		assert.Equal(t, 1, reader.readings)
		time.Sleep(lookBackAge + time.Millisecond)
		synctest.Wait()
		assert.Nil(t, stored.recent, "its memory is given back")
		_, err := stored.newest(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, 2, reader.readings)
		time.Sleep(lookBackAge + time.Millisecond)
	})
}
