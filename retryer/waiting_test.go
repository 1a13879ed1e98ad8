package retryer

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// waitingSale is a campaign with one slot, which user 1 has, and promises to users 7, 8 and 9 for which there is none;
// user 9 was admitted first, user 8 last.
func waitingSale(t *testing.T) (*world, *Retryer, map[domain.UserID]int64) {
	t.Helper()
	w, r := opened(t, sale)
	w.ledger[sale].Quota, w.gates[sale].quota = 1, 1
	w.issue(1, 1)
	w.hold(1, 1)
	ids := map[domain.UserID]int64{}
	for user, admittedAt := range map[domain.UserID]time.Time{7: at(2), 8: at(3), 9: at(1)} {
		event := refusedEvent(user, domain.NoSlot, 1)
		event.Reason, event.AdmittedAt = domain.ReasonSlotTaken, admittedAt
		ids[user] = w.fail(event)
	}
	return w, r, ids
}

// retryUntilIdle makes attempts until none is due.
func retryUntilIdle(t *testing.T, r *Retryer) {
	t.Helper()
	for range 10 {
		count, err := r.retryOnce(t.Context())
		require.NoError(t, err)
		if len(count) == 0 {
			return
		}
	}
}

func TestAPromiseWithoutASlotWaitsAndNeverDies(t *testing.T) {
	w, r, ids := waitingSale(t)
	for range 3 * r.policy.maxAttempts {
		for _, id := range ids {
			w.events[id].NextAttemptAt = time.Time{}
		}
		retryUntilIdle(t, r)
	}
	for user, id := range ids {
		assert.Equal(t, domain.FailStatusFail, w.events[id].Status)
		assert.Equal(t, domain.ReasonNoSlotLeft, w.events[id].Reason)
		assert.Zero(t, w.events[id].Attempts, "to wait uses up no attempt")
		assert.Equal(t, domain.SlotOwed, w.slotOf(sale, user))
	}
	w.calls["wake"] = 0
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.Zero(t, w.calls["wake"], "there is no slot to wake anybody for")
	assert.InDelta(t, 3, testutil.ToFloat64(r.metrics.withoutSlot.WithLabelValues(sale)), 0)
}

func TestNewCapacityMakesThoseDueWhoWereAdmittedFirst(t *testing.T) {
	w, r, ids := waitingSale(t)
	retryUntilIdle(t, r)
	w.ledger[sale].Quota = 2
	require.NoError(t, r.SweepOnce(t.Context())) // brings the quota to the gate
	require.NoError(t, r.SweepOnce(t.Context())) // finds the slot
	retryUntilIdle(t, r)
	assert.Equal(t, domain.FailStatusSuccess, w.events[ids[9]].Status, "who was admitted first")
	assert.Equal(t, domain.Slot(2), w.ledger[sale].coupons[9].Slot)
	assert.Equal(t, domain.FailStatusFail, w.events[ids[7]].Status)

	w.ledger[sale].coupons[1] = domain.Coupon{Campaign: sale, UserID: 1, RevokedSlot: 1}
	require.NoError(t, r.SweepOnce(t.Context())) // releases the slot
	require.NoError(t, r.SweepOnce(t.Context()))
	retryUntilIdle(t, r)
	assert.Equal(t, domain.Slot(1), w.ledger[sale].coupons[7].Slot, "a freed slot goes to the next of them")
	assert.Equal(t, domain.FailStatusFail, w.events[ids[8]].Status)
}

func TestARebuildWithFreeSlotsMakesThoseDueWhoWait(t *testing.T) {
	w, r, ids := waitingSale(t)
	retryUntilIdle(t, r)
	w.ledger[sale].Quota, w.gates[sale].open = 3, false
	require.NoError(t, r.SweepOnce(t.Context()))
	retryUntilIdle(t, r)
	assert.Equal(t, domain.Slot(2), w.ledger[sale].coupons[9].Slot)
	assert.Equal(t, domain.Slot(3), w.ledger[sale].coupons[7].Slot)
	assert.Equal(t, domain.FailStatusFail, w.events[ids[8]].Status)
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 8))
}

// Two records of one user are two events, and the gate owes that user one slot. Nor need the slot come by an event: anybody who
// waits for one may apply again.
func TestNoEventWaitsOnWhenNobodyIsOwedASlotAnyMore(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota, w.gates[sale].quota = 1, 1
	w.issue(1, 1)
	w.hold(1, 1)
	var ids []int64
	for range 2 {
		event := refusedEvent(7, domain.NoSlot, 1)
		event.Reason = domain.ReasonSlotTaken
		ids = append(ids, w.fail(event))
	}
	retryUntilIdle(t, r)
	w.ledger[sale].Quota = 2
	require.NoError(t, r.SweepOnce(t.Context())) // brings the quota to the gate
	require.NoError(t, r.SweepOnce(t.Context())) // finds the slot
	retryUntilIdle(t, r)
	require.Equal(t, domain.Slot(2), w.ledger[sale].coupons[7].Slot)

	require.NoError(t, r.SweepOnce(t.Context()))
	retryUntilIdle(t, r)
	for _, id := range ids {
		assert.Equal(t, domain.FailStatusSuccess, w.events[id].Status)
	}
	w.calls["wake"] = 0
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.Zero(t, w.calls["wake"], "a sweep asks for them once")
}
