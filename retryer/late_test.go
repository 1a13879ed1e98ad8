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

// Kafka acknowledges the record of a winner that the gate admitted before it was closed, while the rebuild is at any of
// its steps.
func TestAWinnerWhoComesToTheTopicDuringTheRebuildIsKnownToTheGateThatOpens(t *testing.T) {
	for _, step := range []string{"visit", "visit winners", "write", "tail on", "finish"} {
		t.Run("before "+step, func(t *testing.T) {
			w, r := opened(t, sale)
			w.topic = append(w.topic, domain.Delivery{Winner: promise(2, 2, 1, at(20))})
			w.acknowledgeBefore(step, promise(1, 1, 1, at(10)))
			require.NoError(t, r.Rebuild(context.Background(), sale))
			assert.Equal(t, domain.Slot(1), w.slotOf(sale, 1), "the slot would go to the next newcomer")
			assert.Equal(t, domain.Slot(2), w.slotOf(sale, 2))
			assert.Equal(t, at(10), w.gates[sale].users[1].AdmittedAt)
			sent := map[domain.UserID]domain.Slot{}
			for _, entry := range w.gates[sale].pending {
				for _, winner := range entry.Winners {
					sent[winner.UserID] = winner.Slot
				}
			}
			assert.Equal(t, map[domain.UserID]domain.Slot{1: 1, 2: 2}, sent, "under the new epoch")
		})
	}
}

func TestALateWinnerForWhomNoSlotIsLeftIsOwedOne(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota = 1
	w.topic = append(w.topic, domain.Delivery{Winner: promise(2, 1, 1, at(20))})
	w.acknowledgeBefore("visit", promise(1, 1, 1, at(10)))
	require.NoError(t, r.Rebuild(context.Background(), sale))
	assert.Equal(t, domain.Slot(1), w.slotOf(sale, 2))
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 1), "nobody with a record on the topic is told that it is sold out")
	assert.Empty(t, w.published, "the record is on the topic, and the consumer makes it a fail event")
}

// A retryer that is still connected to a server which was replaced rebuilds the gate there. The gate of the other server is
// open meanwhile, and tells a slot, until the processes that ask it know of the new epoch.
func TestAGateThatIsBehindTheLedgerOpensOnlyOnceEveryProcessKnowsOfItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		w.ledger[sale].Epoch = 2
		time.AfterFunc(epochSpread-time.Millisecond, func() {
			w.see(func() { w.topic = append(w.topic, domain.Delivery{Winner: promise(1, 1, 2, at(10))}) })
		})
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Equal(t, domain.Slot(1), w.slotOf(sale, 1), "the other gate told this slot")
	})
}

// The slots that are left are given when the other gate tells none any more.
func TestASlotThatAnotherGateTellsMeanwhileIsNotGivenToSomebodyWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		w.ledger[sale].Epoch = 2
		w.fail(refusedEvent(1, domain.NoSlot, 2))
		time.AfterFunc(epochSpread-time.Millisecond, func() {
			w.see(func() { w.topic = append(w.topic, domain.Delivery{Winner: promise(2, 1, 2, at(20))}) })
		})
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Equal(t, domain.Slot(1), w.slotOf(sale, 2), "the other gate told this slot")
		assert.Equal(t, domain.Slot(2), w.slotOf(sale, 1))
	})
}

// Somebody known by a fail event without a slot may be told one by the other gate, too.
func TestASlotThatAnotherGateTellsToSomebodyWhoWaitsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		w.ledger[sale].Epoch = 2
		w.fail(refusedEvent(1, domain.NoSlot, 2))
		time.AfterFunc(epochSpread-time.Millisecond, func() {
			w.see(func() { w.topic = append(w.topic, domain.Delivery{Winner: promise(1, 2, 2, at(20))}) })
		})
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Equal(t, domain.Slot(2), w.slotOf(sale, 1), "the other gate told this slot")
	})
}

// A gate in line with the ledger is the only one, and need not wait.
func TestAGateInLineWithTheLedgerOpensAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := opened(t, sale)
		began := time.Now()
		require.NoError(t, r.Rebuild(t.Context(), sale))
		assert.Zero(t, time.Since(began))
	})
}

// Those that the rebuild knows already are not written twice.
func TestARecordThatComesLateOfSomebodyWhoIsKnownChangesNothing(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].coupons[1] = domain.Coupon{Campaign: sale, UserID: 1, Slot: 1}
	w.fail(refusedEvent(2, 2, 1))
	w.topic = append(w.topic, domain.Delivery{Winner: promise(3, 3, 1, at(1))})
	w.gates[sale].users[4] = domain.GateWinner{UserID: 4, Slot: 4, AdmittedAt: at(1)}
	for user := domain.UserID(1); user <= 4; user++ {
		w.acknowledgeBefore("finish", promise(user, domain.Slot(user+10), 1, at(9)))
	}
	require.NoError(t, r.Rebuild(context.Background(), sale))
	for user := domain.UserID(1); user <= 4; user++ {
		assert.Equal(t, domain.Slot(user), w.slotOf(sale, user))
	}
}

// Somebody who floods the topic keeps no gate closed.
func TestARebuildReadsOnOnlySoOften(t *testing.T) {
	w, r := opened(t, sale)
	delete(w.calls, "tail on")
	user := domain.UserID(0)
	w.before = func(call, _ string) error {
		if call == "tail on" {
			user++
			w.see(func() { w.topic = append(w.topic, domain.Delivery{Winner: promise(user, domain.Slot(user), 1, at(1))}) })
		}
		return nil
	}
	require.NoError(t, r.Rebuild(context.Background(), sale))
	assert.True(t, w.gates[sale].open)
	assert.Equal(t, 2*maxLateReadings, w.calls["tail on"])
}

// acknowledgeBefore puts a record on the topic before the first call of that name.
func (w *world) acknowledgeBefore(step string, winner domain.Winner) {
	earlier, done := w.before, false
	w.before = func(call, code string) error {
		if call == step && !done {
			done = true
			w.see(func() { w.topic = append(w.topic, domain.Delivery{Winner: winner}) })
		}
		if earlier != nil {
			return earlier(call, code)
		}
		return nil
	}
}
