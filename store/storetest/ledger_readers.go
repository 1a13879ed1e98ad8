package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerReaderTests = map[string]func(*testing.T, Ledger){
	"CouponsComeInTheOrderOfStoring":               testCouponList,
	"FailEventsAreFiltered":                        testEventList,
	"CountsOfFailEventsStopAtTheirLimit":           testEventCounts,
	"HoldersAreCouponsThenUnresolvedEvents":        testHolders,
	"HoldersAreOfOneMoment":                        testHoldersSnapshot,
	"AVisitorsErrorEndsTheVisit":                   testHoldersError,
	"HoldersOfAnotherEpochAreRefused":              testHoldersOvertaken,
	"HoldersOfManyPagesComeOnce":                   testHoldersPages,
	"CountsTellWhoWaits":                           testCounts,
	"AListWithAnImpossibleLimitIsRefused":          testListLimits,
	"ACallWhoseContextHasEndedIsUnavailable":       testEndedContext,
	"AnUnresolvedEventOfAUserWithACouponIsNotHeld": testHoldersEventWithCoupon,
}

func testCouponList(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	assert.Empty(t, allCoupons(t, ledger, "spring"))
	for _, slot := range []domain.Slot{5, 3, 4, 1, 2} {
		storeAll(t, ledger, campaign, winner(campaign, domain.UserID(100-slot), slot))
		var slots []domain.Slot
		for _, coupon := range allCoupons(t, ledger, "spring") {
			slots = append(slots, coupon.Slot)
		}
		require.Equal(t, slot, slots[len(slots)-1])
	}
	assert.Len(t, allCoupons(t, ledger, "spring"), 5)
}

func testEventList(t *testing.T, ledger Ledger) {
	spring, autumn := openCampaign(t, ledger, "spring", 10), openCampaign(t, ledger, "autumn", 10)
	first := record(t, ledger, failEvent(winner(spring, 11, 1), 1))
	second := deadEvent(t, ledger, winner(autumn, 11, 1), 2)
	other := failEvent(winner(spring, 12, 2), 3)
	other.Reason = domain.ReasonOverQuota
	third := record(t, ledger, other)
	for name, check := range map[string]struct {
		filter domain.FailEventFilter
		want   []domain.FailEvent
	}{
		"all":      {domain.FailEventFilter{Limit: 10}, []domain.FailEvent{third, second, first}},
		"limit":    {domain.FailEventFilter{Limit: 2}, []domain.FailEvent{third, second}},
		"before":   {domain.FailEventFilter{Limit: 2, BeforeID: second.ID}, []domain.FailEvent{first}},
		"status":   {domain.FailEventFilter{Limit: 10, Status: domain.FailStatusDead}, []domain.FailEvent{second}},
		"reason":   {domain.FailEventFilter{Limit: 10, Reason: domain.ReasonOverQuota}, []domain.FailEvent{third}},
		"campaign": {domain.FailEventFilter{Limit: 10, Campaign: "spring"}, []domain.FailEvent{third, first}},
		"user":     {domain.FailEventFilter{Limit: 10, UserID: 11}, []domain.FailEvent{second, first}},
		"both":     {domain.FailEventFilter{Limit: 10, UserID: 11, Campaign: "spring"}, []domain.FailEvent{first}},
		"nothing":  {domain.FailEventFilter{Limit: 10, Campaign: "' OR 1=1 --"}, []domain.FailEvent{}},
	} {
		events, err := ledger.FailEvents(t.Context(), check.filter)
		require.NoError(t, err, name)
		assert.Equal(t, check.want, events, name)
	}
}

func testEventCounts(t *testing.T, ledger Ledger) {
	spring, autumn := openCampaign(t, ledger, "spring", 10), openCampaign(t, ledger, "autumn", 10)
	for i := range int64(3) {
		record(t, ledger, failEvent(winner(spring, domain.UserID(i+1), domain.Slot(i+1)), i))
	}
	other := failEvent(winner(autumn, 8, 1), 8)
	other.Reason = domain.ReasonOverQuota
	record(t, ledger, other)
	deadEvent(t, ledger, winner(spring, 9, 9), 9)
	discarded := deadEvent(t, ledger, winner(spring, 10, 10), 10)
	_, err := ledger.DiscardFailEvent(t.Context(), discarded.ID, "no use", "ann")
	require.NoError(t, err)
	counts, err := ledger.CountFailEvents(t.Context(), "", 100)
	require.NoError(t, err)
	assert.ElementsMatch(t, []domain.FailEventCount{
		{Status: domain.FailStatusFail, Reason: domain.ReasonRowRefused, Count: 3},
		{Status: domain.FailStatusFail, Reason: domain.ReasonOverQuota, Count: 1},
		{Status: domain.FailStatusDead, Reason: domain.ReasonRowRefused, Count: 1},
	}, counts)
	counts, err = ledger.CountFailEvents(t.Context(), "spring", 2)
	require.NoError(t, err)
	assert.ElementsMatch(t, []domain.FailEventCount{
		{Status: domain.FailStatusFail, Reason: domain.ReasonRowRefused, Count: 2},
		{Status: domain.FailStatusDead, Reason: domain.ReasonRowRefused, Count: 1},
	}, counts)
}

func testHolders(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2))
	record(t, ledger, failEvent(winner(campaign, 13, 3), 3))
	deadEvent(t, ledger, winner(campaign, 14, domain.NoSlot), 4)
	withoutTime := winner(campaign, 15, domain.NoSlot)
	withoutTime.AdmittedAt = time.Time{}
	record(t, ledger, failEvent(withoutTime, 5))
	at := func(slot domain.Slot) time.Time { return winner(campaign, 1, slot).AdmittedAt }
	assert.Equal(t, []domain.Holder{
		{UserID: 11, Slot: 1, AdmittedAt: at(1)},
		{UserID: 12, Slot: 2, AdmittedAt: at(2)},
		{UserID: 13, Slot: 3, AdmittedAt: at(3), ByFailEvent: true, Epoch: campaign.Epoch},
		{UserID: 14, Slot: domain.SlotOwed, AdmittedAt: at(0), ByFailEvent: true, Epoch: campaign.Epoch},
		{UserID: 15, Slot: domain.SlotOwed, ByFailEvent: true, Epoch: campaign.Epoch},
	}, holders(t, ledger, "spring"))
}

func testHoldersEventWithCoupon(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	storeAll(t, ledger, campaign, winner(campaign, 11, 2))
	all := holders(t, ledger, "spring")
	require.Len(t, all, 1, "the row stands for the user, and slot 1 is free")
	assert.EqualValues(t, 2, all[0].Slot)
}

func testHoldersSnapshot(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2))
	record(t, ledger, failEvent(winner(campaign, 13, 3), 1))
	claimed := claim(t, ledger)
	var seen []domain.UserID
	require.NoError(t, ledger.VisitHolders(t.Context(), campaign, func(holder domain.Holder) error {
		if len(seen) == 0 {
			storeAll(t, ledger, campaign, winner(campaign, 14, 4))
			_, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
			require.NoError(t, err)
		}
		seen = append(seen, holder.UserID)
		return nil
	}))
	assert.Equal(t, []domain.UserID{11, 12, 13}, seen,
		"who moves from an event to a row meanwhile is seen where they were, exactly once")
	assert.Len(t, holders(t, ledger, "spring"), 4)
}

func testHoldersError(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2))
	enough := errors.New("enough")
	calls := 0
	err := ledger.VisitHolders(t.Context(), campaign, func(domain.Holder) error {
		calls++
		return enough
	})
	require.ErrorIs(t, err, enough)
	assert.Equal(t, 1, calls)
	requireCode(t, domain.CodeUnknownCampaign, ledger.VisitHolders(t.Context(), domain.Campaign{Code: "ghost"}, func(domain.Holder) error { return nil }))
}

// testHoldersOvertaken: what an overtaken rebuilder, or one whose question went to a replica that lags behind, would read
// is of another moment than what it writes.
func testHoldersOvertaken(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	newer := campaign
	newer.Epoch, newer.Fencing = campaign.Epoch+1, campaign.Fencing+1
	visited := func(domain.Holder) error { t.Error("nothing is to be read"); return nil }
	requireCode(t, domain.CodeOvertaken, ledger.VisitHolders(t.Context(), newer, visited))
	_, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	requireCode(t, domain.CodeOvertaken, ledger.VisitHolders(t.Context(), campaign, visited))
}

func testHoldersPages(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 5*domain.MaxPage)
	var all []domain.Winner
	for _, slot := range []domain.Slot{1, 999, 1000, 1001, 1002, 2000, 2001, 4999, 5000} {
		all = append(all, winner(campaign, domain.UserID(100_000-slot), slot))
	}
	storeAll(t, ledger, campaign, all...)
	seen := holders(t, ledger, "spring")
	require.Len(t, seen, len(all))
	for i, w := range all {
		require.Equal(t, domain.Holder{UserID: w.UserID, Slot: w.Slot, AdmittedAt: w.AdmittedAt}, seen[i])
	}
}

func testCounts(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	other := openCampaign(t, ledger, "autumn", 10)
	storeAll(t, ledger, other, winner(other, 11, 1))
	counts, err := ledger.Count(t.Context(), "spring")
	require.NoError(t, err)
	assert.Zero(t, counts)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2))
	record(t, ledger, failEvent(winner(campaign, 11, 9), 1)) // has a row: not delayed
	record(t, ledger, failEvent(winner(campaign, 13, 3), 2))
	record(t, ledger, failEvent(winner(campaign, 13, 3), 3)) // the same user twice
	deadEvent(t, ledger, winner(campaign, 14, 4), 4)
	discarded := deadEvent(t, ledger, winner(campaign, 15, 5), 5)
	_, err = ledger.DiscardFailEvent(t.Context(), discarded.ID, "a test", operatorName)
	require.NoError(t, err)
	counts, err = ledger.Count(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, domain.LedgerCounts{Issued: 2, Revoked: 1, Delayed: 2, Dead: 1}, counts)
}

func testListLimits(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 10)
	for _, limit := range []int{0, -1, domain.MaxPage + 1} {
		_, _, err := ledger.Coupons(t.Context(), "spring", 0, limit)
		requireCode(t, domain.CodeInvalidRequest, err)
		_, err = ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: limit})
		requireCode(t, domain.CodeInvalidRequest, err)
		_, err = ledger.UnreleasedCoupons(t.Context(), limit)
		requireCode(t, domain.CodeInvalidRequest, err)
		_, err = ledger.RescueFailEvents(t.Context(), limit, 1, lease)
		requireCode(t, domain.CodeInvalidRequest, err)
		_, err = ledger.PurgeAttempts(t.Context(), 0, limit)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
	_, err := ledger.CountFailEvents(t.Context(), "", 0)
	requireCode(t, domain.CodeInvalidRequest, err)
}
