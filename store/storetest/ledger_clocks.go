package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// A retryer's usual lease and longest wait.
const usualLease, usualWait = 30 * time.Second, 10 * time.Minute

// RunLedgerOfHosts holds two processes to one clock, the ledger's, although the clocks of their hosts are two hours apart.
// open gives both processes' views of one empty ledger, given the clocks of their hosts.
func RunLedgerOfHosts(t *testing.T, open func(t *testing.T, ahead, behind func() time.Time) (first, second Ledger)) {
	t.Helper()
	shifted := func(by time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(by) } }
	for name, test := range map[string]func(t *testing.T, ahead, behind Ledger){
		"WhatOneHostPlansIsDueOnTheOther":        testHostsDue,
		"NoHostEndsTheLeaseOfAnother":            testHostsLease,
		"AHostThatIsBehindEndsLeasesThatRanOut":  testHostsRescue,
		"NoHostTakesUpTheBulkJobOfAnother":       testHostsBulk,
		"WhatWasResolvedLatelyIsNotPurged":       testHostsPurge,
		"ACampaignWithoutAStartStartsNow":        testHostsStart,
		"TheTimesOfACouponAreThoseOfTheDatabase": testHostsCoupon,
	} {
		t.Run(name, func(t *testing.T) {
			ahead, behind := open(t, shifted(time.Hour), shifted(-time.Hour))
			test(t, ahead, behind)
		})
	}
}

func dueEvent(w domain.Winner, offset int64) domain.FailEvent {
	event := failEvent(w, offset)
	event.NextAttemptAt = time.Time{}
	return event
}

func testHostsDue(t *testing.T, ahead, behind Ledger) {
	campaign := openCampaign(t, ahead, "spring", 10)
	require.NoError(t, ahead.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	first := claim(t, behind)
	later := failure(campaign, 1)
	later.NextAttemptIn = time.Hour
	fail(t, behind, first, later)
	none, err := ahead.ClaimFailEvents(t.Context(), 10, usualLease, longestWait)
	require.NoError(t, err)
	assert.Empty(t, none, "an hour is an hour, on a host that is ahead too")
	_, err = ahead.RetryFailEvent(t.Context(), first.ID, operatorName)
	require.NoError(t, err)
	second := claim(t, behind)
	assertRecent(t, second.UpdatedAt)
	fail(t, ahead, second, failure(campaign, 1))
	claim(t, behind)
}

func testHostsLease(t *testing.T, ahead, behind Ledger) {
	campaign := openCampaign(t, ahead, "spring", 10)
	for i, ledger := range []Ledger{ahead, behind} {
		event := dueEvent(winner(campaign, domain.UserID(i+1), domain.Slot(i+1)), int64(i+1))
		require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
		claimed, err := ledger.ClaimFailEvents(t.Context(), 10, usualLease, usualWait)
		require.NoError(t, err)
		require.Len(t, claimed, 1)
		assert.WithinDuration(t, time.Now().Add(usualLease), claimed[0].LeaseUntil, time.Minute)
	}
	for _, ledger := range []Ledger{ahead, behind} {
		rescued, err := ledger.RescueFailEvents(t.Context(), 10, 5, usualLease)
		require.NoError(t, err)
		assert.Zero(t, rescued, "both leases still run")
		stuck, err := ledger.StuckFailEvents(t.Context(), "spring", time.Minute, 10)
		require.NoError(t, err)
		assert.Empty(t, stuck)
	}
}

func testHostsRescue(t *testing.T, ahead, behind Ledger) {
	campaign := openCampaign(t, ahead, "spring", 10)
	require.NoError(t, ahead.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	expire(t, ahead)
	rescued, err := behind.RescueFailEvents(t.Context(), 10, 5, usualLease)
	require.NoError(t, err)
	assert.Equal(t, 1, rescued)
}

func testHostsBulk(t *testing.T, ahead, behind Ledger) {
	job, err := behind.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkRetry}, operatorName)
	require.NoError(t, err)
	for _, ledger := range []Ledger{ahead, behind} {
		read, err := ledger.BulkJob(t.Context(), job.ID)
		require.NoError(t, err)
		assert.Equal(t, domain.BulkRunning, read.Status)
		_, err = ledger.TakeBulk(t.Context(), job.ID, operatorName)
		requireCode(t, domain.CodeConflict, err)
	}
}

func testHostsPurge(t *testing.T, ahead, behind Ledger) {
	campaign := openCampaign(t, behind, "spring", 10)
	require.NoError(t, behind.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	claimed := claim(t, behind)
	_, err := behind.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	purged, err := ahead.PurgeAttempts(t.Context(), 30*time.Minute, 10)
	require.NoError(t, err)
	assert.Zero(t, purged)
}

func testHostsStart(t *testing.T, ahead, behind Ledger) {
	for code, ledger := range map[string]Ledger{"spring": ahead, "autumn": behind} {
		unsaid := newCampaign(code, 1)
		unsaid.StartsAt = time.Time{}
		created, err := ledger.CreateCampaign(t.Context(), unsaid, operatorName)
		require.NoError(t, err)
		assertRecent(t, created.StartsAt)
		assert.Equal(t, created.StartsAt.Truncate(time.Millisecond), created.StartsAt, "the gate compares milliseconds")
		assertRecent(t, created.CreatedAt)
	}
}

func testHostsCoupon(t *testing.T, ahead, behind Ledger) {
	campaign := openCampaign(t, ahead, "spring", 10)
	for i, ledger := range []Ledger{ahead, behind} {
		storeAll(t, ledger, campaign, winner(campaign, domain.UserID(i+1), domain.Slot(i+1)))
		coupon, err := ledger.FindCoupon(t.Context(), "spring", domain.UserID(i+1))
		require.NoError(t, err)
		assertRecent(t, coupon.IssuedAt)
		revoked, err := ledger.RevokeCoupon(t.Context(), "spring", domain.UserID(i+1), "a test", operatorName)
		require.NoError(t, err)
		assertRecent(t, revoked.RevokedAt)
	}
	for _, ledger := range []Ledger{ahead, behind} {
		untold, err := ledger.UntoldRevocations(t.Context(), "spring", 0, 10)
		require.NoError(t, err)
		assert.Len(t, untold, 2)
		untold, err = ledger.UntoldRevocations(t.Context(), "spring", time.Minute, 10)
		require.NoError(t, err)
		assert.Empty(t, untold, "on a host that is ahead too, the gate has a minute to be told")
	}
}

// RunLedgerSetBack sets the ledger's own clock back: nothing may wait for it to catch up. open gives an empty ledger that
// has no other clock than now.
func RunLedgerSetBack(t *testing.T, open func(t *testing.T, now func() time.Time) Ledger) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, ledger Ledger, clock *modelClock){
		"WhatWasPlannedBeforeIsDue":          testSetBackDue,
		"LeasesOfBeforeRunOut":               testSetBackLease,
		"BulkJobsOfBeforeMayBeTakenUp":       testSetBackBulk,
		"AClockPutRightByALittleEndsNoLease": testPutRight,
	} {
		t.Run(name, func(t *testing.T) {
			clock := &modelClock{at: moment}
			test(t, open(t, clock.now), clock)
		})
	}
}

func usualClaim(t *testing.T, ledger Ledger) []domain.FailEvent {
	t.Helper()
	events, err := ledger.ClaimFailEvents(t.Context(), 10, usualLease, usualWait)
	require.NoError(t, err)
	return events
}

func testSetBackDue(t *testing.T, ledger Ledger, clock *modelClock) {
	campaign := openCampaign(t, ledger, "spring", 10)
	require.NoError(t, ledger.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	later := failure(campaign, 1)
	later.NextAttemptIn = usualWait
	fail(t, ledger, usualClaim(t, ledger)[0], later)
	assert.Empty(t, usualClaim(t, ledger), "it is not due yet")
	clock.wait(-time.Hour)
	assert.Len(t, usualClaim(t, ledger), 1)
}

func testSetBackLease(t *testing.T, ledger Ledger, clock *modelClock) {
	campaign := openCampaign(t, ledger, "spring", 10)
	require.NoError(t, ledger.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	require.Len(t, usualClaim(t, ledger), 1)
	clock.wait(-time.Hour)
	rescued, err := ledger.RescueFailEvents(t.Context(), 10, 5, usualLease)
	require.NoError(t, err)
	assert.Equal(t, 1, rescued)
	assert.Len(t, usualClaim(t, ledger), 1)
}

func testSetBackBulk(t *testing.T, ledger Ledger, clock *modelClock) {
	job, err := ledger.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkRetry}, operatorName)
	require.NoError(t, err)
	clock.wait(-24 * time.Hour)
	_, err = ledger.TakeBulk(t.Context(), job.ID, operatorName)
	require.NoError(t, err)
}

func testPutRight(t *testing.T, ledger Ledger, clock *modelClock) {
	campaign := openCampaign(t, ledger, "spring", 10)
	require.NoError(t, ledger.RecordFailEvent(t.Context(), dueEvent(winner(campaign, 11, 1), 1)))
	require.Len(t, usualClaim(t, ledger), 1)
	clock.wait(-usualLease / 2)
	rescued, err := ledger.RescueFailEvents(t.Context(), 10, 5, usualLease)
	require.NoError(t, err)
	assert.Zero(t, rescued, "who works on the event goes on with it")
}
