package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerCouponTests = map[string]func(*testing.T, Ledger){
	"ACouponSurvivesAsItWasAdmitted":                 testCouponRoundTrip,
	"ARedeliveryIsAlreadyStored":                     testStoreTwice,
	"AnotherSlotLeavesTheRow":                        testStoreOtherSlot,
	"ASlotHasOneUser":                                testStoreSlotTaken,
	"TwoOfOneBatchConflictWithEachOther":             testStoreConflictInBatch,
	"ABatchOfEveryKindIsToldApart":                   testStoreMixedBatch,
	"ARevokedUserStaysRevoked":                       testStoreRevoked,
	"ASlotOutsideTheQuotaIsNotStored":                testStoreOverQuota,
	"AnotherEpochIsNotStored":                        testStoreOtherEpoch,
	"AnUnknownCampaignsWinnersAreToldSo":             testStoreUnknownCampaign,
	"ARefusedRowLeavesNothingOfItsBatch":             testStoreRefused,
	"AnImpossibleRowIsRefused":                       testStoreImpossible,
	"CampaignsDoNotMeet":                             testStoreTwoCampaigns,
	"NoWinnersAreStoredAsNothing":                    testStoreNone,
	"ABatchAboveTheLimitIsRefused":                   testStoreTooMany,
	"AFullBatchIsStored":                             testStoreFullBatch,
	"AnEpochOfALaterRebuildIsBelievedOnlyAfterwards": testStoreAcrossRebuild,
}

func testCouponRoundTrip(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	given := winner(campaign, largestUser, 7)
	given.AdmittedAt = given.AdmittedAt.In(time.FixedZone("somewhere", -11*3600))
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{given})
	require.NoError(t, err)
	require.Equal(t, []domain.StoreResult{{Outcome: domain.Stored, Slot: 7}}, results)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", largestUser)
	require.NoError(t, err)
	assertRecent(t, coupon.IssuedAt)
	assert.Equal(t, domain.Coupon{
		Campaign: "spring", UserID: largestUser, Slot: 7,
		AdmittedAt: moment.Add(7 * time.Microsecond), IssuedAt: coupon.IssuedAt,
	}, coupon)
	_, err = ledger.FindCoupon(t.Context(), "spring", 1)
	requireCode(t, domain.CodeNotFound, err)
}

func testStoreTwice(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	batch := []domain.Winner{winner(campaign, 11, 1), winner(campaign, 12, 2)}
	storeAll(t, ledger, campaign, batch...)
	results, err := ledger.StoreCoupons(t.Context(), "spring", batch)
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{
		{Outcome: domain.AlreadyStored, Slot: 1}, {Outcome: domain.AlreadyStored, Slot: 2},
	}, results)
	assert.Len(t, allCoupons(t, ledger, "spring"), 2)
}

func testStoreOtherSlot(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner(campaign, 11, 2)})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{{Outcome: domain.HasOtherSlot, Slot: 1}}, results)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.EqualValues(t, 1, coupon.Slot, "the row stays")
}

func testStoreSlotTaken(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner(campaign, 12, 1)})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{{Outcome: domain.SlotTaken}}, results)
	_, err = ledger.FindCoupon(t.Context(), "spring", 12)
	requireCode(t, domain.CodeNotFound, err)
}

func testStoreConflictInBatch(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{
		winner(campaign, 12, 5), winner(campaign, 11, 5),
		winner(campaign, 13, 4), winner(campaign, 13, 4), winner(campaign, 13, 3), winner(campaign, 14, 3),
	})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{
		{Outcome: domain.Stored, Slot: 5}, {Outcome: domain.SlotTaken},
		{Outcome: domain.Stored, Slot: 4}, {Outcome: domain.AlreadyStored, Slot: 4},
		{Outcome: domain.HasOtherSlot, Slot: 4}, {Outcome: domain.Stored, Slot: 3},
	}, results, "the first in line wins, and a slot that nobody got is free for the next")
	assert.Len(t, allCoupons(t, ledger, "spring"), 3)
}

func testStoreMixedBatch(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2))
	old := winner(campaign, 15, 6)
	old.Epoch--
	oldKnown := winner(campaign, 12, 9)
	oldKnown.Epoch--
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{
		winner(campaign, 11, 1), oldKnown, winner(campaign, 13, 1), winner(campaign, 14, 4), old, winner(campaign, 16, 11),
	})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{
		{Outcome: domain.AlreadyStored, Slot: 1}, {Outcome: domain.HasOtherSlot, Slot: 2}, {Outcome: domain.SlotTaken},
		{Outcome: domain.Stored, Slot: 4}, {Outcome: domain.OtherEpoch}, {Outcome: domain.OverQuota},
	}, results)
	assert.Len(t, allCoupons(t, ledger, "spring"), 3)
}

func testStoreRevoked(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	event := record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	_, err := ledger.DiscardFailEvent(t.Context(), event.ID, "a test", operatorName)
	require.NoError(t, err)
	results, err := ledger.StoreCoupons(t.Context(), "spring",
		[]domain.Winner{winner(campaign, 11, 1), winner(campaign, 12, 1)})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{{Outcome: domain.AlreadyRevoked}, {Outcome: domain.Stored, Slot: 1}}, results,
		"a late duplicate does not bring the user back, and the slot is free for another")
}

func testStoreOverQuota(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 2)
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{
		winner(campaign, 11, 2), winner(campaign, 12, 3), winner(campaign, 13, domain.NoSlot),
		winner(campaign, 14, domain.SlotOwed),
	})
	require.NoError(t, err)
	over := domain.StoreResult{Outcome: domain.OverQuota}
	assert.Equal(t, []domain.StoreResult{{Outcome: domain.Stored, Slot: 2}, over, over, over}, results)
	assert.Len(t, allCoupons(t, ledger, "spring"), 1)
}

func testStoreOtherEpoch(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	for _, epoch := range []int64{campaign.Epoch - 1, campaign.Epoch + 1} {
		other := winner(campaign, 11, 1)
		other.Epoch = epoch
		results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{other})
		require.NoError(t, err)
		assert.Equal(t, []domain.StoreResult{{Outcome: domain.OtherEpoch}}, results)
	}
	assert.Empty(t, allCoupons(t, ledger, "spring"))
}

func testStoreAcrossRebuild(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, before, winner(before, 11, 1))
	after := rebuild(t, ledger, "spring")
	results, err := ledger.StoreCoupons(t.Context(), "spring",
		[]domain.Winner{winner(before, 11, 1), winner(before, 12, 2), winner(after, 13, 3)})
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{
		{Outcome: domain.AlreadyStored, Slot: 1}, {Outcome: domain.OtherEpoch}, {Outcome: domain.Stored, Slot: 3},
	}, results)
}

func testStoreUnknownCampaign(t *testing.T, ledger Ledger) {
	ghost := domain.Campaign{Code: "ghost", Epoch: 1}
	for _, code := range []string{"ghost", "", "Not a code"} {
		results, err := ledger.StoreCoupons(t.Context(), code, []domain.Winner{winner(ghost, 1, 1), winner(ghost, 2, 2)})
		require.NoError(t, err)
		unknown := domain.StoreResult{Outcome: domain.UnknownCampaign}
		assert.Equal(t, []domain.StoreResult{unknown, unknown}, results)
	}
}

func testStoreRefused(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	good := []domain.Winner{winner(campaign, 11, 1), winner(campaign, 12, 3)}
	_, err := ledger.StoreCoupons(t.Context(), "spring",
		[]domain.Winner{good[0], winner(campaign, RefusedUser, 2), good[1]})
	requireCode(t, domain.CodeRowRefused, err)
	assert.Empty(t, allCoupons(t, ledger, "spring"), "none is stored")
	storeAll(t, ledger, campaign, good...)
}

func testStoreImpossible(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	noUser, noTime, farTime := winner(campaign, 0, 1), winner(campaign, 11, 1), winner(campaign, 11, 1)
	noTime.AdmittedAt = time.Time{}
	farTime.AdmittedAt = time.Date(10_001, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, impossible := range []domain.Winner{noUser, noTime, farTime} {
		_, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner(campaign, 20, 2), impossible})
		requireCode(t, domain.CodeRowRefused, err)
	}
	assert.Empty(t, allCoupons(t, ledger, "spring"))
}

func testStoreTwoCampaigns(t *testing.T, ledger Ledger) {
	spring, autumn := openCampaign(t, ledger, "spring", 1), openCampaign(t, ledger, "autumn", 1)
	storeAll(t, ledger, spring, winner(spring, 11, 1))
	storeAll(t, ledger, autumn, winner(autumn, 11, 1))
	assert.Len(t, allCoupons(t, ledger, "spring"), 1)
	assert.Len(t, allCoupons(t, ledger, "autumn"), 1)
	assert.Len(t, holders(t, ledger, "autumn"), 1)
}

func testStoreNone(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 1)
	results, err := ledger.StoreCoupons(t.Context(), "spring", nil)
	require.NoError(t, err)
	assert.Empty(t, results)
}

func testStoreTooMany(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", domain.MaxQuota)
	_, err := ledger.StoreCoupons(t.Context(), "spring", manyWinners(campaign, domain.MaxPage+1))
	requireCode(t, domain.CodeInvalidRequest, err)
}

func testStoreFullBatch(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", domain.MaxPage)
	batch := manyWinners(campaign, domain.MaxPage)
	storeAll(t, ledger, campaign, batch...)
	results, err := ledger.StoreCoupons(t.Context(), "spring", batch)
	require.NoError(t, err)
	for i, result := range results {
		require.Equal(t, domain.StoreResult{Outcome: domain.AlreadyStored, Slot: batch[i].Slot}, result)
	}
}

// manyWinners makes winners whose users come in the reverse order of their slots.
func manyWinners(campaign domain.Campaign, count int) []domain.Winner {
	winners := make([]domain.Winner, count)
	for i := range winners {
		winners[i] = winner(campaign, domain.UserID(1_000_000-i), domain.Slot(i+1))
	}
	return winners
}
