package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerOperatorTests = map[string]func(*testing.T, Ledger){
	"ARetryMakesADeadEventDue":                     testRetryDead,
	"ARetryOfAWaitingEventMakesItDueNow":           testRetryWaiting,
	"ADiscardStoresARevokedRow":                    testDiscard,
	"ADiscardLeavesTheUsersCoupon":                 testDiscardWithCoupon,
	"ADiscardWithoutUserOrCampaignStoresNoRow":     testDiscardRubbish,
	"ADiscardNeedsAReason":                         testDiscardReason,
	"ADiscardThatTheDatabaseRefusesSaysWhy":        testDiscardRefused,
	"AnEventThatIsProcessedOrResolvedIsLeftAlone":  testOperateConflict,
	"AReleaseIsNotedOnce":                          testReleased,
	"OnlyRevokedCouponsAreToldToTheGate":           testReleasedOnlyRevoked,
	"TheGateOfAnotherEpochWasToldNothing":          testReleasedElsewhere,
	"ADiscardedSlotIsFreeForTheNext":               testDiscardFreesSlot,
	"AnOperatorsStepOnAnUnknownEventIsSaidUnknown": testOperateUnknown,
}

func deadEvent(t *testing.T, ledger Ledger, w domain.Winner, offset int64) domain.FailEvent {
	t.Helper()
	event := failEvent(w, offset)
	event.Status, event.Attempts = domain.FailStatusDead, 10
	return record(t, ledger, event)
}

func testRetryDead(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	dead := deadEvent(t, ledger, winner(campaign, 11, 1), 1)
	retried, err := ledger.RetryFailEvent(t.Context(), dead.ID, operatorName)
	require.NoError(t, err)
	assert.Equal(t, domain.FailStatusFail, retried.Status)
	assertRecent(t, retried.NextAttemptAt)
	read, attempts := current(t, ledger, dead.ID)
	assert.Equal(t, retried, read)
	require.Len(t, attempts, 1)
	assert.Equal(t, "RETRY", attempts[0].Outcome)
	assert.Equal(t, operatorName, attempts[0].Actor)
	assert.Equal(t, dead.ID, claim(t, ledger).ID)
}

func testRetryWaiting(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	waiting := failEvent(winner(campaign, 11, 1), 1)
	waiting.NextAttemptAt = time.Now().Add(time.Hour)
	stored := record(t, ledger, waiting)
	for range 2 {
		_, err := ledger.RetryFailEvent(t.Context(), stored.ID, operatorName)
		require.NoError(t, err, "pressing the button twice is no conflict")
	}
	assert.Equal(t, stored.ID, claim(t, ledger).ID)
}

func testDiscard(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	dead := deadEvent(t, ledger, winner(campaign, 11, 4), 1)
	discarded, err := ledger.DiscardFailEvent(t.Context(), dead.ID, "asked for by the user", operatorName)
	require.NoError(t, err)
	assert.Equal(t, domain.FailStatusDead, discarded.Status)
	assertRecent(t, discarded.DiscardedAt)
	_, attempts := current(t, ledger, dead.ID)
	require.Len(t, attempts, 1)
	assert.Equal(t, "DISCARD", attempts[0].Outcome)
	assert.Equal(t, "asked for by the user", attempts[0].ErrorMessage)
	assert.Equal(t, operatorName, attempts[0].Actor)

	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assertRecent(t, coupon.RevokedAt)
	want := domain.Coupon{
		Campaign: "spring", UserID: 11, Slot: domain.NoSlot, RevokedSlot: 4,
		AdmittedAt: dead.AdmittedAt, RevokedAt: coupon.RevokedAt,
	}
	assert.Equal(t, want, coupon)
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	assert.Equal(t, []domain.Coupon{want}, unreleased, "the sweep frees the slot")
	unresolved, err := ledger.HasUnresolvedFailEvent(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.False(t, unresolved)
	assert.Equal(t, []domain.Holder{{UserID: 11, Slot: domain.NoSlot, AdmittedAt: dead.AdmittedAt}}, holders(t, ledger, "spring"))
}

func testDiscardFreesSlot(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	for user := domain.UserID(11); user <= 13; user++ {
		dead := deadEvent(t, ledger, winner(campaign, user, 1), int64(user))
		_, err := ledger.DiscardFailEvent(t.Context(), dead.ID, "a test", operatorName)
		require.NoError(t, err, "any number of revoked rows may stand")
	}
	storeAll(t, ledger, campaign, winner(campaign, 14, 1))
	counts, err := ledger.Count(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, domain.LedgerCounts{Issued: 1, Revoked: 3}, counts)
}

func testDiscardWithCoupon(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	dead := deadEvent(t, ledger, winner(campaign, 11, 2), 1)
	_, err := ledger.DiscardFailEvent(t.Context(), dead.ID, "a test", operatorName)
	require.NoError(t, err)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.EqualValues(t, 1, coupon.Slot)
	assert.True(t, coupon.RevokedAt.IsZero())
}

func testDiscardRubbish(t *testing.T, ledger Ledger) {
	ghost := winner(domain.Campaign{Code: "ghost"}, 11, domain.NoSlot)
	for offset, w := range []domain.Winner{{}, ghost, {Campaign: "spring"}} {
		event := record(t, ledger, failEvent(w, int64(offset)))
		discarded, err := ledger.DiscardFailEvent(t.Context(), event.ID, "a test", operatorName)
		require.NoError(t, err)
		assert.False(t, discarded.DiscardedAt.IsZero())
	}
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	assert.Empty(t, unreleased)
}

func testDiscardReason(t *testing.T, ledger Ledger) {
	event := record(t, ledger, failEvent(domain.Winner{}, 1))
	for _, reason := range []string{"", strings.Repeat("x", domain.MaxErrorMessageBytes+1), "\xff"} {
		_, err := ledger.DiscardFailEvent(t.Context(), event.ID, reason, operatorName)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
	still, _ := current(t, ledger, event.ID)
	assert.Equal(t, event, still)
}

func testDiscardRefused(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	dead := deadEvent(t, ledger, winner(campaign, RefusedUser, 1), 1)
	_, err := ledger.DiscardFailEvent(t.Context(), dead.ID, "a test", operatorName)
	requireCode(t, domain.CodeConflict, err)
	assert.Contains(t, err.Error(), "the database refuses the row that keeps user 666000666 revoked")
	still, attempts := current(t, ledger, dead.ID)
	assert.Equal(t, dead, still)
	assert.Empty(t, attempts)
}

func testOperateConflict(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	requireLeftAlone := func(id int64) {
		before, attemptsBefore := current(t, ledger, id)
		_, err := ledger.RetryFailEvent(t.Context(), id, operatorName)
		requireCode(t, domain.CodeConflict, err)
		_, err = ledger.DiscardFailEvent(t.Context(), id, "a test", operatorName)
		requireCode(t, domain.CodeConflict, err)
		after, attemptsAfter := current(t, ledger, id)
		assert.Equal(t, before, after)
		assert.Equal(t, attemptsBefore, attemptsAfter)
	}
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	requireLeftAlone(claimed.ID)
	_, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	requireLeftAlone(claimed.ID)
	dead := deadEvent(t, ledger, winner(campaign, 12, 2), 2)
	_, err = ledger.DiscardFailEvent(t.Context(), dead.ID, "a test", operatorName)
	require.NoError(t, err)
	requireLeftAlone(dead.ID)
}

func testOperateUnknown(t *testing.T, ledger Ledger) {
	_, err := ledger.RetryFailEvent(t.Context(), 999, operatorName)
	requireCode(t, domain.CodeNotFound, err)
	_, err = ledger.DiscardFailEvent(t.Context(), 999, "a test", operatorName)
	requireCode(t, domain.CodeNotFound, err)
}

func testReleased(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	for user := domain.UserID(11); user <= 13; user++ {
		dead := deadEvent(t, ledger, winner(campaign, user, domain.Slot(user-10)), int64(user))
		_, err := ledger.DiscardFailEvent(t.Context(), dead.ID, "a test", operatorName)
		require.NoError(t, err)
	}
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, unreleased, 2, "the limit is kept")
	unreleased, err = ledger.UnreleasedCoupons(t.Context(), 10, "spring")
	require.NoError(t, err)
	require.Empty(t, unreleased, "left out")
	unreleased, err = ledger.UnreleasedCoupons(t.Context(), 10, "autumn", "ghost")
	require.NoError(t, err)
	require.Len(t, unreleased, 3, "only others are left out")
	for range 2 {
		for _, user := range []domain.UserID{11, 12} {
			require.NoError(t, ledger.MarkReleased(t.Context(), "spring", user, campaign.Epoch))
		}
	}
	require.NoError(t, ledger.MarkReleased(t.Context(), "ghost", 11, 1))
	unreleased, err = ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, unreleased, 1)
	assert.EqualValues(t, 13, unreleased[0].UserID)
	assert.EqualValues(t, 3, unreleased[0].RevokedSlot)
	assert.Equal(t, "spring", unreleased[0].Campaign)
	for user, isReleased := range map[domain.UserID]bool{11: true, 12: true, 13: false} {
		coupon, err := ledger.FindCoupon(t.Context(), "spring", user)
		require.NoError(t, err)
		assert.Equal(t, isReleased, !coupon.ReleasedAt.IsZero(), "user %d: the gate was told", user)
	}
}

// testReleasedElsewhere has a gate told that was replaced: the new one may be made of what was there before the revocation.
func testReleasedElsewhere(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	_, err := ledger.RevokeCoupon(t.Context(), "spring", 11, "a test", operatorName)
	require.NoError(t, err)
	_, err = ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	for _, epoch := range []int64{campaign.Epoch, campaign.Epoch + 2} {
		requireCode(t, domain.CodeOvertaken, ledger.MarkReleased(t.Context(), "spring", 11, epoch))
	}
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, unreleased, 1, "the new gate is to be told")
	require.NoError(t, ledger.MarkReleased(t.Context(), "spring", 11, campaign.Epoch+1))
	unreleased, err = ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	assert.Empty(t, unreleased)
}

func testReleasedOnlyRevoked(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	require.NoError(t, ledger.MarkReleased(t.Context(), "spring", 11, campaign.Epoch))
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	assert.Empty(t, unreleased)
}
