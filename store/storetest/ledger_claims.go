package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerClaimTests = map[string]func(*testing.T, Ledger){
	"OnlyDueEventsAreClaimed":                   testClaimDue,
	"AClaimHoldsUntilItEnds":                    testClaimOnce,
	"AClaimKeepsItsLimit":                       testClaimLimit,
	"ABacklogKeepsNoOtherCampaignFromClaims":    testClaimTurns,
	"ManyBacklogsTakeTurns":                     testClaimManyTurns,
	"ASuccessStoresTheCouponAndEndsTheEvent":    testStoreClaimed,
	"AUsersRowEndsTheEvent":                     testStoreClaimedDuplicate,
	"AnOutcomeWithoutARowChangesNothing":        testStoreClaimedWithoutRow,
	"ARefusedRowLeavesTheClaim":                 testStoreClaimedRefused,
	"AFailureMakesTheEventDueAgain":             testFailClaimed,
	"TheLastFailureIsDead":                      testFailClaimedDead,
	"AFailureNotesANewSlot":                     testFailClaimedSlot,
	"AFailureUnderAnotherEpochKeepsWhatWasHeld": testFailClaimedOtherEpoch,
	"AnUncountedFailureCountsNothing":           testFailClaimedUncounted,
	"ALostLeaseChangesNothing":                  testLeaseLost,
	"ALeaseThatRanOutGoesBack":                  testRescue,
	"ALeaseThatRanOutForTheLastTimeIsDead":      testRescueDead,
	"EventsThatWaitForASlotAreMadeDueInOrder":   testWake,
	"AttemptsOfResolvedEventsArePurged":         testPurge,
}

func testClaimDue(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	due := record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	later := failEvent(winner(campaign, 12, 2), 2)
	later.NextAttemptAt = time.Now().Add(time.Hour)
	record(t, ledger, later)
	dead := failEvent(winner(campaign, 13, 3), 3)
	dead.Status = domain.FailStatusDead
	record(t, ledger, dead)

	claimed := claim(t, ledger)
	assert.NotEmpty(t, claimed.LeaseToken)
	assert.WithinDuration(t, time.Now().Add(lease), claimed.LeaseUntil, time.Minute)
	want := due
	want.Status, want.LeaseToken, want.LeaseUntil = domain.FailStatusProcessing, claimed.LeaseToken, claimed.LeaseUntil
	want.UpdatedAt = claimed.UpdatedAt
	assert.Equal(t, want, claimed)
	read, _ := current(t, ledger, due.ID)
	assert.Equal(t, claimed, read)
}

func testClaimOnce(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claim(t, ledger)
	again, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	assert.Empty(t, again)
}

func testClaimLimit(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	for i := int64(1); i <= 3; i++ {
		event := failEvent(winner(campaign, domain.UserID(i), domain.Slot(i)), i)
		event.NextAttemptAt = time.Now().Add(-time.Duration(i) * time.Minute)
		record(t, ledger, event)
	}
	first, err := ledger.ClaimFailEvents(t.Context(), 2, lease, longestWait)
	require.NoError(t, err)
	require.Len(t, first, 2)
	assert.EqualValues(t, 3, first[0].UserID, "who waits longest comes first")
	assert.EqualValues(t, 2, first[1].UserID)
	second, err := ledger.ClaimFailEvents(t.Context(), 2, lease, longestWait)
	require.NoError(t, err)
	assert.Len(t, second, 1)
	for _, limit := range []int{0, -1, domain.MaxPage + 1} {
		_, err = ledger.ClaimFailEvents(t.Context(), limit, lease, longestWait)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
}

// dueEvents keeps events that hold no slot, due since so long.
func dueEvents(t *testing.T, ledger Ledger, campaign string, count int, since time.Duration) {
	t.Helper()
	for n := range count {
		event := failEvent(domain.Winner{Campaign: campaign, UserID: domain.UserID(n + 1), AdmittedAt: time.Now()}, int64(n))
		event.Position.Topic, event.NextAttemptAt = campaign, time.Now().Add(-since)
		require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
	}
}

func testClaimTurns(t *testing.T, ledger Ledger) {
	dueEvents(t, ledger, "spring", 40, time.Hour)
	dueEvents(t, ledger, "autumn", 1, time.Second)
	dueEvents(t, ledger, "winter", 1, -time.Minute)
	first, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	require.Len(t, first, 10, "the backlog takes what the others leave")
	assert.Equal(t, "spring", first[0].Campaign, "who waits longest comes first")
	assert.Equal(t, "autumn", first[1].Campaign, "the other campaign's event waits for no backlog")
	second, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	require.Len(t, second, 10)
	for _, event := range second {
		assert.Equal(t, "spring", event.Campaign)
	}
}

func testClaimManyTurns(t *testing.T, ledger Ledger) {
	const campaigns, limit = 12, 4
	dueEvents(t, ledger, "a-backlog", 40, time.Hour)
	for n := range campaigns {
		dueEvents(t, ledger, fmt.Sprintf("sale-%02d", n), 5, time.Minute)
	}
	claimed := map[string]int{}
	for range campaigns/(limit/2) + 1 {
		events, err := ledger.ClaimFailEvents(t.Context(), limit, lease, longestWait)
		require.NoError(t, err)
		require.Len(t, events, limit)
		for _, event := range events {
			claimed[event.Campaign]++
		}
	}
	require.Len(t, claimed, campaigns+1, "each has had a turn: %v", claimed)
	require.Greater(t, claimed["a-backlog"], limit, "and half is for who waits longest")
}

func testStoreClaimed(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	result, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	assert.Equal(t, domain.StoreResult{Outcome: domain.Stored, Slot: 1}, result)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.EqualValues(t, 1, coupon.Slot)
	ended, attempts := current(t, ledger, claimed.ID)
	assert.Equal(t, domain.FailStatusSuccess, ended.Status)
	assert.Equal(t, 1, ended.Attempts)
	assert.Empty(t, ended.LeaseToken)
	require.Len(t, attempts, 1)
	assertRecent(t, attempts[0].FinishedAt)
	assert.Equal(t, domain.FailEventAttempt{
		Number: 1, StartedAt: claimed.UpdatedAt, FinishedAt: attempts[0].FinishedAt, Outcome: "SUCCESS", Actor: "retryer",
	}, attempts[0])
	unresolved, err := ledger.HasUnresolvedFailEvent(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.False(t, unresolved)
	_, err = ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	requireCode(t, domain.CodeLeaseLost, err)
}

func testStoreClaimedDuplicate(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	storeAll(t, ledger, campaign, winner(campaign, 11, 2))
	result, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	assert.Equal(t, domain.StoreResult{Outcome: domain.HasOtherSlot, Slot: 2}, result)
	ended, _ := current(t, ledger, claimed.ID)
	assert.Equal(t, domain.FailStatusSuccess, ended.Status)
}

func testStoreClaimedWithoutRow(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 20, 2))
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	stale := winner(campaign, 11, 1)
	stale.Epoch--
	ghost := winner(campaign, 11, 1)
	ghost.Campaign = "ghost"
	for want, bad := range map[domain.StoreOutcome]domain.Winner{
		domain.SlotTaken: winner(campaign, 11, 2), domain.OverQuota: winner(campaign, 11, 11),
		domain.OtherEpoch: stale, domain.UnknownCampaign: ghost,
	} {
		result, err := ledger.StoreClaimed(t.Context(), claimed, bad)
		require.NoError(t, err)
		assert.Equal(t, domain.StoreResult{Outcome: want}, result)
	}
	still, attempts := current(t, ledger, claimed.ID)
	assert.Equal(t, claimed, still, "the event is still claimed")
	assert.Empty(t, attempts)
	result, err := ledger.StoreClaimed(t.Context(), claimed, winner(campaign, 11, 1))
	require.NoError(t, err)
	assert.Equal(t, domain.Stored, result.Outcome)
}

func testStoreClaimedRefused(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, RefusedUser, 1), 1))
	claimed := claim(t, ledger)
	_, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	requireCode(t, domain.CodeRowRefused, err)
	still, attempts := current(t, ledger, claimed.ID)
	assert.Equal(t, claimed, still)
	assert.Empty(t, attempts)
}

func failure(campaign domain.Campaign, slot domain.Slot) domain.Failure {
	return domain.Failure{
		Reason: domain.ReasonSlotTaken, Message: "taken", Slot: slot, Epoch: campaign.Epoch,
	}
}

// fail ends an attempt, and says whether the event holds the failure's slot from then on.
func fail(t *testing.T, ledger Ledger, claimed domain.FailEvent, failure domain.Failure) bool {
	t.Helper()
	noted, err := ledger.FailClaimed(t.Context(), claimed, failure)
	require.NoError(t, err)
	return noted
}

func testFailClaimed(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	for number := 1; number <= 2; number++ {
		claimed := claim(t, ledger)
		assert.False(t, fail(t, ledger, claimed, failure(campaign, domain.NoSlot)), "there is no slot to note")
		failed, attempts := current(t, ledger, claimed.ID)
		assert.Equal(t, domain.FailStatusFail, failed.Status)
		assert.Equal(t, domain.ReasonSlotTaken, failed.Reason)
		assert.Equal(t, "taken", failed.ErrorMessage)
		assert.Equal(t, domain.NoSlot, failed.Slot, "the slot turned out to be somebody else's")
		assert.Equal(t, number, failed.Attempts)
		assert.Empty(t, failed.LeaseToken)
		require.Len(t, attempts, number)
		last := attempts[number-1]
		assert.Equal(t, domain.FailEventAttempt{
			Number: number, StartedAt: claimed.UpdatedAt, FinishedAt: last.FinishedAt,
			Outcome: "FAIL", ErrorMessage: "taken", Actor: "retryer",
		}, last)
	}
}

func testFailClaimedDead(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	last := failure(campaign, 1)
	last.Dead = true
	fail(t, ledger, claimed, last)
	dead, attempts := current(t, ledger, claimed.ID)
	assert.Equal(t, domain.FailStatusDead, dead.Status)
	assert.EqualValues(t, 1, dead.Slot)
	assert.Equal(t, "DEAD", attempts[0].Outcome)
	again, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	assert.Empty(t, again)
	unresolved, err := ledger.HasUnresolvedFailEvent(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.True(t, unresolved, "a dead event still stands for its user")
}

func testFailClaimedSlot(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(before, 11, 1), 1))
	claimed := claim(t, ledger)
	after := rebuild(t, ledger, "spring")
	assert.True(t, fail(t, ledger, claimed, failure(after, 5)))
	failed, _ := current(t, ledger, claimed.ID)
	assert.EqualValues(t, 5, failed.Slot)
	assert.Equal(t, after.Epoch, failed.Epoch)
}

func testFailClaimedOtherEpoch(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(before, 11, 1), 1))
	claimed := claim(t, ledger)
	rebuild(t, ledger, "spring")
	assert.False(t, fail(t, ledger, claimed, failure(before, 5)), "the caller must not take it for noted")
	failed, _ := current(t, ledger, claimed.ID)
	assert.Equal(t, domain.FailStatusFail, failed.Status)
	assert.EqualValues(t, 1, failed.Slot, "the rebuild has not seen slot 5, so it may be another user's")
	assert.Equal(t, before.Epoch, failed.Epoch)
}

func testFailClaimedUncounted(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	away := failure(campaign, 1)
	away.Uncounted = true
	fail(t, ledger, claimed, away)
	waiting, attempts := current(t, ledger, claimed.ID)
	assert.Equal(t, domain.FailStatusFail, waiting.Status)
	assert.Zero(t, waiting.Attempts)
	assert.Empty(t, attempts)
}

func testLeaseLost(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	lost := claim(t, ledger)
	fail(t, ledger, lost, failure(campaign, 1))
	held := claim(t, ledger)
	require.NotEqual(t, lost.LeaseToken, held.LeaseToken)
	_, attemptsBefore := current(t, ledger, held.ID)
	forged, unknown := held, held
	forged.LeaseToken = ""
	unknown.ID += 1000
	for _, loser := range []domain.FailEvent{lost, forged, unknown} {
		_, err := ledger.StoreClaimed(t.Context(), loser, loser.Winner)
		requireCode(t, domain.CodeLeaseLost, err)
		noted, err := ledger.FailClaimed(t.Context(), loser, failure(campaign, 1))
		requireCode(t, domain.CodeLeaseLost, err)
		assert.False(t, noted)
	}
	still, attempts := current(t, ledger, held.ID)
	assert.Equal(t, held, still)
	assert.Equal(t, attemptsBefore, attempts)
	assert.Empty(t, allCoupons(t, ledger, "spring"))
}

// expire claims the one due event with a lease that has run out when it returns.
func expire(t *testing.T, ledger Ledger) domain.FailEvent {
	t.Helper()
	events, err := ledger.ClaimFailEvents(t.Context(), 1, time.Microsecond, longestWait)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Eventually(t, func() bool { return time.Now().After(events[0].LeaseUntil.Add(time.Millisecond)) },
		time.Second, time.Millisecond)
	return events[0]
}

func testRescue(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	record(t, ledger, failEvent(winner(campaign, 12, 2), 2))
	expired := expire(t, ledger)
	held := claim(t, ledger)
	rescued, err := ledger.RescueFailEvents(t.Context(), 10, 5, lease)
	require.NoError(t, err)
	assert.Equal(t, 1, rescued, "a lease that still runs is left alone")
	back, attempts := current(t, ledger, expired.ID)
	assert.Equal(t, domain.FailStatusFail, back.Status)
	assert.Equal(t, 1, back.Attempts)
	require.Len(t, attempts, 1)
	assert.Equal(t, "EXPIRED", attempts[0].Outcome)
	assert.Equal(t, expired.UpdatedAt, attempts[0].StartedAt)
	_, err = ledger.StoreClaimed(t.Context(), expired, expired.Winner)
	requireCode(t, domain.CodeLeaseLost, err)
	still, _ := current(t, ledger, held.ID)
	assert.Equal(t, held, still)
	assert.Equal(t, expired.ID, claim(t, ledger).ID, "it is due again at once")
}

func testRescueDead(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	for want, status := range []domain.FailStatus{domain.FailStatusFail, domain.FailStatusDead} {
		expired := expire(t, ledger)
		rescued, err := ledger.RescueFailEvents(t.Context(), 10, 2, lease)
		require.NoError(t, err)
		require.Equal(t, 1, rescued)
		event, _ := current(t, ledger, expired.ID)
		assert.Equal(t, status, event.Status)
		assert.Equal(t, want+1, event.Attempts)
	}
}

func testPurge(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	resolved := record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	fail(t, ledger, claim(t, ledger), failure(campaign, 1))
	claimed := claim(t, ledger)
	_, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	unresolved := record(t, ledger, failEvent(winner(campaign, 12, 2), 2))
	fail(t, ledger, claim(t, ledger), failure(campaign, 2))
	discarded, err := ledger.DiscardFailEvent(t.Context(),
		record(t, ledger, failEvent(winner(campaign, 13, 3), 3)).ID, "a test", operatorName)
	require.NoError(t, err)

	purged, err := ledger.PurgeAttempts(t.Context(), time.Hour, 10)
	require.NoError(t, err)
	assert.Zero(t, purged, "resolved too lately")
	for _, want := range []int{2, 1, 0} {
		purged, err = ledger.PurgeAttempts(t.Context(), -time.Hour, 2)
		require.NoError(t, err)
		assert.Equal(t, want, purged)
	}
	for _, id := range []int64{resolved.ID, discarded.ID} {
		_, attempts := current(t, ledger, id)
		assert.Empty(t, attempts)
	}
	_, attempts := current(t, ledger, unresolved.ID)
	assert.Len(t, attempts, 1, "the history of an unresolved event is kept")
}
