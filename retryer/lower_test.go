package retryer

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// soldOutSale is a campaign with five slots, which users 1 to 5 hold.
func soldOutSale(t *testing.T) (*world, *Retryer) {
	t.Helper()
	w, r := opened(t, sale)
	w.ledger[sale].Quota, w.gates[sale].quota = 5, 5
	for user := domain.UserID(1); user <= 5; user++ {
		w.issue(user, domain.Slot(user))
		w.hold(user, domain.Slot(user))
	}
	return w, r
}

// setQuota is what an operator does.
func (w *world) setQuota(t *testing.T, quota int64) {
	t.Helper()
	changed, err := w.ledger[sale].Apply(domain.CampaignChange{Quota: &quota})
	require.NoError(t, err)
	w.ledger[sale].Campaign = changed
}

func (w *world) takeBack(user domain.UserID) {
	coupon := w.ledger[sale].coupons[user]
	coupon.RevokedSlot, coupon.Slot = coupon.Slot, domain.NoSlot
	w.ledger[sale].coupons[user] = coupon
}

func sweep(t *testing.T, r *Retryer, times int) {
	t.Helper()
	for range times {
		require.NoError(t, r.SweepOnce(t.Context()))
	}
}

func TestALowerQuotaIsGrantedOnceTheHoldersFit(t *testing.T) {
	w, r := soldOutSale(t)
	w.setQuota(t, 4)
	sweep(t, r, 5)
	l, g := w.ledger[sale], w.gates[sale]
	assert.Equal(t, int64(5), l.Quota)
	assert.Equal(t, int64(4), l.WantedQuota, "one holder too many: the wish stays")
	assert.Equal(t, int64(4), g.quota, "and nobody is given a slot beyond it")
	assert.Equal(t, int64(1), g.epoch, "without a rebuild")

	w.takeBack(3)
	sweep(t, r, 3)
	assert.Equal(t, int64(4), l.Quota, "the wish is granted by itself")
	assert.Zero(t, l.WantedQuota)
	assert.Equal(t, int64(5), l.HighestSlot(), "user 5 keeps slot 5")
	assert.Equal(t, int64(4), g.quota)
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(5), w.slotOf(sale, 5), "through a rebuild, too")
	_, found := g.lowestFree()
	assert.False(t, found, "slot 3 is not given to the next applicant")

	w.takeBack(5)
	sweep(t, r, 1)
	slot, found := g.lowestFree()
	assert.True(t, found)
	assert.Equal(t, domain.Slot(3), slot)
}

// A coupon was revoked before the quota was lowered: the freed slot must not go out again.
func TestARevokedSlotIsNotHandedOutAgainUnderALowerQuota(t *testing.T) {
	for name, rebuilt := range map[string]bool{"in an open gate": false, "by a rebuild": true} {
		t.Run(name, func(t *testing.T) {
			w, r := soldOutSale(t)
			w.takeBack(3)
			sweep(t, r, 1)
			w.setQuota(t, 4)
			w.gates[sale].open = !rebuilt
			sweep(t, r, 3)
			assert.Equal(t, int64(4), w.ledger[sale].Quota)
			assert.Zero(t, w.ledger[sale].WantedQuota)
			_, found := w.gates[sale].lowestFree()
			assert.False(t, found)
			assert.Equal(t, domain.Slot(5), w.slotOf(sale, 5))
		})
	}
}

func TestAnOperatorTakesTheWishBack(t *testing.T) {
	w, r := soldOutSale(t)
	w.setQuota(t, 3)
	sweep(t, r, 2)
	w.setQuota(t, 6)
	sweep(t, r, 2)
	assert.Equal(t, int64(6), w.ledger[sale].Quota)
	assert.Zero(t, w.ledger[sale].WantedQuota)
	slot, found := w.gates[sale].lowestFree()
	assert.True(t, found)
	assert.Equal(t, domain.Slot(6), slot)
}

// Somebody who waits for a slot waits for the holders to fit as well.
func TestAPromiseIsNotServedBeyondAWish(t *testing.T) {
	w, r := soldOutSale(t)
	w.setQuota(t, 4)
	event := refusedEvent(9, domain.NoSlot, 1)
	event.Reason = domain.ReasonNoSlotLeft
	w.fail(event)
	w.takeBack(3)
	w.gates[sale].open = false
	sweep(t, r, 3)
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 9))
	w.setQuota(t, 5)
	sweep(t, r, 3)
	retryUntilIdle(t, r)
	assert.Equal(t, domain.Slot(3), w.ledger[sale].coupons[9].Slot)
}

// A slow retryer has read the row before an operator paused the campaign.
func TestASlowSweepUndoesNoPause(t *testing.T) {
	w, r := opened(t, sale)
	w.setQuota(t, 200)
	w.before = func(call, _ string) error {
		if call != "apply" {
			return nil
		}
		w.before = nil
		paused := domain.CampaignPaused
		changed, err := w.ledger[sale].Apply(domain.CampaignChange{State: &paused})
		require.NoError(t, err)
		w.ledger[sale].Campaign = changed
		return w.retryer(t, Config{}).SweepOnce(t.Context())
	}
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.Equal(t, domain.CampaignPaused, w.gates[sale].state)
	assert.Equal(t, w.ledger[sale].SettingsVersion, w.gates[sale].version)
}

// The row was read before it was changed, or the database went back to an older state.
func TestAGateWithNewerSettingsIsRebuiltOnlyIfTheLedgerWentBack(t *testing.T) {
	w, r := opened(t, sale)
	w.setQuota(t, 200)
	older := w.ledger[sale].Campaign
	older.SettingsVersion--
	sweep(t, r, 1)
	w.before = func(call, _ string) error {
		if call == "inspect" {
			w.ledger[sale].SettingsVersion++
		}
		return nil
	}
	w.ledger[sale].SettingsVersion--
	sweep(t, r, 1)
	assert.Equal(t, int64(1), w.gates[sale].epoch)

	w.before = nil
	older.Epoch = w.ledger[sale].Epoch
	w.ledger[sale].Campaign = older
	sweep(t, r, 1)
	assert.Equal(t, int64(2), w.gates[sale].epoch)
	assert.Equal(t, older.SettingsVersion, w.gates[sale].version)
}

// loweredSale is a campaign whose quota is to become 5 after it was 9, while users 1 to 5 hold slots 1 to 4 and 9.
func loweredSale(t *testing.T) (*world, *Retryer) {
	t.Helper()
	w, r := opened(t, sale)
	w.ledger[sale].Quota, w.gates[sale].quota = 9, 9
	for user, slot := range map[domain.UserID]domain.Slot{1: 1, 2: 2, 3: 3, 4: 4, 5: 9} {
		w.issue(user, slot)
	}
	w.setQuota(t, 5)
	return w, r
}

// rebuildLowered rebuilds the gate, and says that nobody but users 1 to 5 has a slot.
func rebuildLowered(t *testing.T, w *world, r *Retryer) {
	t.Helper()
	w.gates[sale].open = false
	require.NoError(t, r.Rebuild(t.Context(), sale))
	require.Equal(t, int64(5), w.ledger[sale].Quota)
	require.Equal(t, int64(9), w.ledger[sale].HighestSlot())
	assert.Equal(t, domain.Slot(9), w.slotOf(sale, 5), "user 5 was told it")
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 6), "slot 7 would be a sixth coupon of five")
}

// A slot between the quota and the limit is free, but there are as many holders as the quota.
func TestAFreeSlotAboveALoweredQuotaIsNobodysAnyMore(t *testing.T) {
	for name, add := range map[string]func(*world){
		"a record of the topic": func(w *world) { w.topic = append(w.topic, domain.Delivery{Winner: promise(6, 7, 1, at(10))}) },
		"a late record":         func(w *world) { w.acknowledgeBefore("finish", promise(6, 7, 1, at(10))) },
		"a fail event":          func(w *world) { w.fail(refusedEvent(6, 7, 1)) },
		"the closed gate":       func(w *world) { w.hold(6, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			w, r := loweredSale(t)
			w.gates[sale].open = false
			require.NoError(t, r.Rebuild(t.Context(), sale))
			add(w)
			rebuildLowered(t, w, r)
		})
	}
}

// One holder too many has no record yet when Redis loses its data. The rebuild grants the wish, and then the record comes.
func TestALateRecordBreaksNoQuotaThatTheRebuildHasJustLowered(t *testing.T) {
	w, r := loweredSale(t)
	w.gates[sale].users = map[domain.UserID]domain.GateWinner{}
	w.acknowledgeBefore("finish", promise(6, 7, 1, at(10)))
	rebuildLowered(t, w, r)
}

func TestASlotThatWasToldIsKeptWhileALowerQuotaIsOnlyAWish(t *testing.T) {
	w, r := loweredSale(t)
	w.topic = append(w.topic, domain.Delivery{Winner: promise(6, 7, 1, at(10))})
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(7), w.slotOf(sale, 6))
	assert.Equal(t, int64(9), w.ledger[sale].Quota, "six holders do not fit")
	assert.Equal(t, int64(5), w.ledger[sale].WantedQuota)
}
