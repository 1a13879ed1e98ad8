package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerOperationTests = map[string]func(*testing.T, Ledger){
	"CountsOfTheFunnelAddUp":                     testFunnel,
	"OldBucketsGoAndTotalsStay":                  testFunnelPurge,
	"ACouponIsFoundBySlotAndByUser":              testCouponFinder,
	"ARevokedCouponLosesItsSlotAndWaitsToBeTold": testRevoke,
	"ARevokeThatMakesNoSenseIsRefused":           testRevokeRefused,
	"FailEventsAreFoundByText":                   testEventText,
	"FailEventsAreFoundByTime":                   testEventTime,
	"ABulkRetryMakesIdleEventsDue":               testBulkRetry,
	"ABulkDiscardStoresRevokedRows":              testBulkDiscard,
	"ABulkDiscardPassesOverWhatIsRefused":        testBulkDiscardRefused,
	"ABulkJobGoesOnWhereItStopped":               testBulkSteps,
	"ABulkJobHasOneWorker":                       testBulkLease,
	"AHeartbeatReplacesTheLast":                  testHeartbeats,
	"ALedgerIsVerifiedUnderOneRun":               testVerified,
	"TheOperatorsHistoryIsFiltered":              testActions,
}

func testFunnel(t *testing.T, ledger Ledger) {
	at := time.Date(2031, 1, 1, 0, 0, 3, 0, time.UTC)
	add := func(at time.Time, counts ...domain.FunnelCount) {
		require.NoError(t, ledger.AddFunnel(t.Context(), at, counts))
	}
	add(at, domain.FunnelCount{Campaign: "spring", Outcome: domain.FunnelAccepted, Count: 2},
		domain.FunnelCount{Campaign: "autumn", Outcome: domain.FunnelAccepted, Count: 100})
	add(at.Add(time.Second), domain.FunnelCount{Campaign: "spring", Outcome: domain.FunnelAccepted, Count: 3},
		domain.FunnelCount{Campaign: "spring", Outcome: domain.FunnelIssued, Count: 1})
	add(at.Add(time.Minute), domain.FunnelCount{Campaign: "spring", Outcome: domain.FunnelAccepted, Count: 1})
	add(at)
	totals, err := ledger.FunnelTotals(t.Context())
	require.NoError(t, err)
	assert.ElementsMatch(t, []domain.FunnelCount{
		{Campaign: "autumn", Outcome: domain.FunnelAccepted, Count: 100},
		{Campaign: "spring", Outcome: domain.FunnelAccepted, Count: 6},
		{Campaign: "spring", Outcome: domain.FunnelIssued, Count: 1},
	}, totals)
	query := domain.FunnelQuery{Campaign: "spring", From: at, Until: at.Add(5 * time.Minute), Step: 20 * time.Second}
	points, err := ledger.FunnelSeries(t.Context(), query)
	require.NoError(t, err)
	first := at.Truncate(20 * time.Second)
	assert.Equal(t, []domain.FunnelPoint{
		{At: first, Counts: map[domain.FunnelOutcome]int64{domain.FunnelAccepted: 5, domain.FunnelIssued: 1}},
		{At: first.Add(time.Minute), Counts: map[domain.FunnelOutcome]int64{domain.FunnelAccepted: 1}},
	}, points)
	query.Campaign = ""
	points, err = ledger.FunnelSeries(t.Context(), query)
	require.NoError(t, err)
	assert.Equal(t, []domain.FunnelPoint{
		{At: first, Counts: map[domain.FunnelOutcome]int64{domain.FunnelAccepted: 105, domain.FunnelIssued: 1}},
		{At: first.Add(time.Minute), Counts: map[domain.FunnelOutcome]int64{domain.FunnelAccepted: 1}},
	}, points, "of all campaigns")
	query.Step = 7 * time.Second
	_, err = ledger.FunnelSeries(t.Context(), query)
	requireCode(t, domain.CodeInvalidRequest, err)
}

func testFunnelPurge(t *testing.T, ledger Ledger) {
	for i := range 3 {
		require.NoError(t, ledger.AddFunnel(t.Context(), moment.Add(time.Duration(i)*time.Minute), []domain.FunnelCount{
			{Campaign: "spring", Outcome: domain.FunnelKnown, Count: 1},
		}))
	}
	purged, err := ledger.PurgeFunnel(t.Context(), moment.Add(90*time.Second), 1)
	require.NoError(t, err)
	assert.Equal(t, 1, purged, "the limit is kept")
	purged, err = ledger.PurgeFunnel(t.Context(), moment.Add(90*time.Second), 10)
	require.NoError(t, err)
	assert.Equal(t, 1, purged)
	totals, err := ledger.FunnelTotals(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3, totals[0].Count)
}

func testCouponFinder(t *testing.T, ledger Ledger) {
	spring, autumn := openCampaign(t, ledger, "spring", 10), openCampaign(t, ledger, "autumn", 10)
	storeAll(t, ledger, spring, winner(spring, 11, 1), winner(spring, 12, 2))
	storeAll(t, ledger, autumn, winner(autumn, 11, 2))
	found, err := ledger.CouponBySlot(t.Context(), "spring", 2)
	require.NoError(t, err)
	assert.EqualValues(t, 12, found.UserID)
	_, err = ledger.CouponBySlot(t.Context(), "spring", 3)
	requireCode(t, domain.CodeNotFound, err)
	_, err = ledger.CouponBySlot(t.Context(), "ghost", 1)
	requireCode(t, domain.CodeUnknownCampaign, err)
	coupons, err := ledger.CouponsOfUser(t.Context(), 11)
	require.NoError(t, err)
	require.Len(t, coupons, 2)
	assert.Equal(t, "autumn", coupons[0].Campaign)
	assert.Equal(t, "spring", coupons[1].Campaign)
	coupons, err = ledger.CouponsOfUser(t.Context(), 99)
	require.NoError(t, err)
	assert.Empty(t, coupons)
}

func testRevoke(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	revoked, err := ledger.RevokeCoupon(t.Context(), "spring", 11, "a fraud", operatorName)
	require.NoError(t, err)
	assertRecent(t, revoked.RevokedAt)
	assert.Equal(t, domain.NoSlot, revoked.Slot)
	assert.EqualValues(t, 1, revoked.RevokedSlot)
	stored, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.Equal(t, stored, revoked)
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, unreleased, 1, "the sweep tells the gate")
	assert.EqualValues(t, 1, unreleased[0].RevokedSlot)
	storeAll(t, ledger, campaign, winner(campaign, 12, 1))
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner(campaign, 11, 1)})
	require.NoError(t, err)
	assert.Equal(t, domain.AlreadyRevoked, results[0].Outcome, "a late duplicate does not bring it back")
	actions, err := ledger.OperatorActions(t.Context(), domain.ActionFilter{Action: "revoke", Limit: 10})
	require.NoError(t, err)
	require.Len(t, actions, 1)
	assert.Contains(t, actions[0].After, "a fraud")
	_, err = ledger.RevokeCoupon(t.Context(), "spring", 11, "again", operatorName)
	requireCode(t, domain.CodeConflict, err)
}

func testRevokeRefused(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1))
	_, err := ledger.RevokeCoupon(t.Context(), "spring", 12, "x", operatorName)
	requireCode(t, domain.CodeNotFound, err)
	_, err = ledger.RevokeCoupon(t.Context(), "ghost", 11, "x", operatorName)
	requireCode(t, domain.CodeUnknownCampaign, err)
	_, err = ledger.RevokeCoupon(t.Context(), "spring", 11, " ", operatorName)
	requireCode(t, domain.CodeInvalidRequest, err)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.True(t, coupon.RevokedAt.IsZero())
}

func eventIDs(t *testing.T, ledger Ledger, filter domain.FailEventFilter) []int64 {
	t.Helper()
	filter.Limit = 100
	events, err := ledger.FailEvents(t.Context(), filter)
	require.NoError(t, err)
	ids := make([]int64, len(events))
	for i, event := range events {
		ids[i] = event.ID
	}
	return ids
}

func testEventText(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	byMessage := failEvent(winner(campaign, 11, 1), 1)
	byMessage.ErrorMessage = "The 100% Disk_is full: é"
	first := record(t, ledger, byMessage)
	byRaw := failEvent(winner(campaign, 12, 2), 2)
	byRaw.Raw = []byte("\xff{poison}")
	second := record(t, ledger, byRaw)
	for text, want := range map[string][]int64{
		"disk_IS": {first.ID}, "100%": {first.ID}, "1%": {}, "poison}": {second.ID}, "POISON": {}, "é": {first.ID}, "' OR 1=1 --": {},
	} {
		assert.Equal(t, want, eventIDs(t, ledger, domain.FailEventFilter{Text: text}), text)
		assert.Equal(t, want, eventIDs(t, ledger, domain.FailEventFilter{Text: text, Status: domain.FailStatusFail}), text)
	}
	assert.Empty(t, eventIDs(t, ledger, domain.FailEventFilter{Text: "disk", Reason: domain.ReasonOverQuota}))
	_, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Text: strings.Repeat("x", domain.MaxTextBytes+1), Limit: 1})
	requireCode(t, domain.CodeInvalidRequest, err)
}

func testEventTime(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	event := record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	at := event.CreatedAt
	for name, check := range map[string]struct {
		from, until time.Time
		found       bool
	}{
		"from the moment":   {from: at, found: true},
		"after it":          {from: at.Add(time.Microsecond)},
		"until the moment":  {until: at},
		"until after it":    {until: at.Add(time.Microsecond), found: true},
		"around":            {from: at.Add(-time.Hour), until: at.Add(time.Hour), found: true},
		"long before":       {until: at.Add(-time.Hour)},
		"long after":        {from: at.Add(time.Hour)},
		"around, with more": {from: at.Add(-time.Hour), until: at.Add(2 * time.Hour), found: true},
	} {
		ids := eventIDs(t, ledger, domain.FailEventFilter{From: check.from, Until: check.until})
		assert.Equal(t, check.found, len(ids) == 1, name)
		ids = eventIDs(t, ledger, domain.FailEventFilter{From: check.from, Until: check.until, Campaign: "spring", Reason: domain.ReasonRowRefused})
		assert.Equal(t, check.found, len(ids) == 1, name)
	}
}

// finishBulk steps a job to its end.
func finishBulk(t *testing.T, ledger Ledger, job domain.BulkJob) domain.BulkJob {
	t.Helper()
	for range 10 {
		if job.Status == domain.BulkDone {
			return job
		}
		var err error
		job, err = ledger.StepBulk(t.Context(), job)
		require.NoError(t, err)
	}
	require.Fail(t, "the job never ends")
	return job
}

func testBulkRetry(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 100)
	record(t, ledger, failEvent(winner(campaign, 20, 20), 20))
	claimed := claim(t, ledger)
	dead := deadEvent(t, ledger, winner(campaign, 11, 1), 1)
	waiting := failEvent(winner(campaign, 12, 2), 2)
	waiting.NextAttemptAt = time.Now().Add(time.Hour)
	record(t, ledger, waiting)
	discarded := deadEvent(t, ledger, winner(campaign, 13, 3), 3)
	_, err := ledger.DiscardFailEvent(t.Context(), discarded.ID, "a test", operatorName)
	require.NoError(t, err)
	order := domain.BulkOrder{Action: domain.BulkRetry, Filter: domain.FailEventFilter{Campaign: "spring"}}
	count, err := ledger.CountBulk(t.Context(), order, 100)
	require.NoError(t, err)
	assert.EqualValues(t, 2, count, "not who is processed, nor what was given up")
	job, err := ledger.StartBulk(t.Context(), order, operatorName)
	require.NoError(t, err)
	assert.EqualValues(t, 2, job.Matched)
	job = finishBulk(t, ledger, job)
	assert.EqualValues(t, 2, job.Done)
	assert.Equal(t, "spring", job.Filter.Campaign)
	events, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	assert.Len(t, events, 2)
	_, attempts := current(t, ledger, dead.ID)
	require.Len(t, attempts, 1)
	assert.Equal(t, "RETRY", attempts[0].Outcome)
	assert.Equal(t, operatorName, attempts[0].Actor)
	still, _ := current(t, ledger, claimed.ID)
	assert.Equal(t, claimed, still)
	kept, err := ledger.BulkJob(t.Context(), job.ID)
	require.NoError(t, err)
	assert.Equal(t, job, kept)
	actions, err := ledger.OperatorActions(t.Context(), domain.ActionFilter{Actor: operatorName, Action: "bulk retry", Limit: 10})
	require.NoError(t, err)
	assert.Len(t, actions, 1)
}

func testBulkDiscard(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	dead := deadEvent(t, ledger, winner(campaign, 11, 1), 1)
	deadEvent(t, ledger, winner(campaign, 12, 2), 2)
	order := domain.BulkOrder{Action: domain.BulkDiscard, Filter: domain.FailEventFilter{UserID: 11}}
	_, err := ledger.StartBulk(t.Context(), order, operatorName)
	requireCode(t, domain.CodeInvalidRequest, err)
	order.Reason = "a test"
	job, err := ledger.StartBulk(t.Context(), order, operatorName)
	require.NoError(t, err)
	assert.EqualValues(t, 1, finishBulk(t, ledger, job).Done)
	event, attempts := current(t, ledger, dead.ID)
	assert.False(t, event.DiscardedAt.IsZero())
	assert.Equal(t, "DISCARD", attempts[0].Outcome)
	assert.Equal(t, "a test", attempts[0].ErrorMessage)
	coupon, err := ledger.FindCoupon(t.Context(), "spring", 11)
	require.NoError(t, err)
	assert.EqualValues(t, 1, coupon.RevokedSlot)
	_, err = ledger.FindCoupon(t.Context(), "spring", 12)
	requireCode(t, domain.CodeNotFound, err)
}

func testBulkDiscardRefused(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	first := deadEvent(t, ledger, winner(campaign, 11, 1), 1)
	refused := deadEvent(t, ledger, winner(campaign, RefusedUser, 2), 2)
	last := deadEvent(t, ledger, winner(campaign, 12, 3), 3)
	job, err := ledger.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkDiscard, Reason: "a test"}, operatorName)
	require.NoError(t, err)
	job = finishBulk(t, ledger, job)
	assert.EqualValues(t, 3, job.Matched)
	assert.EqualValues(t, 2, job.Done)
	for _, id := range []int64{first.ID, last.ID} {
		event, _ := current(t, ledger, id)
		assert.False(t, event.DiscardedAt.IsZero())
	}
	still, attempts := current(t, ledger, refused.ID)
	assert.Equal(t, refused, still)
	assert.Empty(t, attempts)
}

func testBulkSteps(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1000)
	for i := range int64(domain.BulkPage + 1) {
		event := failEvent(winner(campaign, domain.UserID(i+1), domain.Slot(i+1)), i)
		event.NextAttemptAt = time.Now().Add(time.Hour)
		require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
	}
	job, err := ledger.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkRetry}, operatorName)
	require.NoError(t, err)
	require.NoError(t, ledger.RecordFailEvent(t.Context(), failEvent(winner(campaign, 999, 999), 999)))
	half, err := ledger.StepBulk(t.Context(), job)
	require.NoError(t, err)
	assert.EqualValues(t, domain.BulkPage, half.Done)
	assert.Equal(t, domain.BulkRunning, half.Status)
	done := finishBulk(t, ledger, half)
	assert.EqualValues(t, domain.BulkPage+1, done.Done, "what came later is no part of it")
	jobs, err := ledger.BulkJobs(t.Context(), 0, 10)
	require.NoError(t, err)
	assert.Equal(t, []domain.BulkJob{done}, jobs)
	jobs, err = ledger.BulkJobs(t.Context(), done.ID, 10)
	require.NoError(t, err)
	assert.Empty(t, jobs)
}

func testBulkLease(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	deadEvent(t, ledger, winner(campaign, 11, 1), 1)
	job, err := ledger.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkRetry}, operatorName)
	require.NoError(t, err)
	_, err = ledger.TakeBulk(t.Context(), job.ID, operatorName)
	requireCode(t, domain.CodeConflict, err)
	stranger := job
	stranger.LeaseToken = "somebody else's"
	_, err = ledger.StepBulk(t.Context(), stranger)
	requireCode(t, domain.CodeLeaseLost, err)
	done := finishBulk(t, ledger, job)
	_, err = ledger.StepBulk(t.Context(), job)
	requireCode(t, domain.CodeLeaseLost, err)
	_, err = ledger.TakeBulk(t.Context(), done.ID, operatorName)
	requireCode(t, domain.CodeConflict, err)
	_, err = ledger.TakeBulk(t.Context(), 999, operatorName)
	requireCode(t, domain.CodeNotFound, err)
	_, err = ledger.BulkJob(t.Context(), 999)
	requireCode(t, domain.CodeNotFound, err)
}

func testHeartbeats(t *testing.T, ledger Ledger) {
	beat := domain.Heartbeat{
		Process: "host-1", Host: "host", Roles: []string{"consumer"}, StartedAt: moment,
		Consumer: &domain.ConsumerState{RowsStored: 1, Paused: "…"},
	}
	for rows := range int64(3) {
		beat.Consumer.RowsStored = rows
		require.NoError(t, ledger.Beat(t.Context(), beat))
	}
	require.NoError(t, ledger.Beat(t.Context(), domain.Heartbeat{Process: "host-0", Retryer: &domain.RetryerState{}}))
	beats, err := ledger.Heartbeats(t.Context(), time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.Len(t, beats, 2)
	assert.Equal(t, "host-0", beats[0].Process)
	assertRecent(t, beats[1].SeenAt)
	beat.SeenAt = beats[1].SeenAt
	assert.Equal(t, beat, beats[1])
	beats, err = ledger.Heartbeats(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	assert.Empty(t, beats)
}

func testActions(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 10)
	require.NoError(t, ledger.SetSetting(t.Context(), "speed", "5", "bob"))
	require.NoError(t, ledger.RecordAction(t.Context(), domain.OperatorAction{
		Actor: "bob", Action: "audit", Target: "campaign spring", After: `{"clean":true}`,
	}))
	list := func(filter domain.ActionFilter) []string {
		filter.Limit = 10
		actions, err := ledger.OperatorActions(t.Context(), filter)
		require.NoError(t, err)
		told := []string{}
		for _, action := range actions {
			assertRecent(t, action.At)
			told = append(told, action.Actor+" "+action.Action+" "+action.Target)
		}
		return told
	}
	all := []string{"bob audit campaign spring", "bob set setting speed", "ada create campaign spring"}
	assert.Equal(t, all, list(domain.ActionFilter{}))
	assert.Equal(t, all[:2], list(domain.ActionFilter{Actor: "bob"}))
	assert.Equal(t, all[1:2], list(domain.ActionFilter{Action: "set"}))
	assert.Equal(t, []string{all[0], all[2]}, list(domain.ActionFilter{Target: "campaign spring"}))
	assert.Empty(t, list(domain.ActionFilter{Until: time.Now().Add(-time.Hour)}))
	assert.Equal(t, all, list(domain.ActionFilter{From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}))
	page, err := ledger.OperatorActions(t.Context(), domain.ActionFilter{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page, 1)
	assert.JSONEq(t, `{"clean":true}`, page[0].After)
	assert.Empty(t, page[0].Before)
	assert.Equal(t, all[1:], list(domain.ActionFilter{BeforeID: page[0].ID}))
	_, err = ledger.OperatorActions(t.Context(), domain.ActionFilter{Limit: 0})
	requireCode(t, domain.CodeInvalidRequest, err)
	_, err = ledger.OperatorActions(t.Context(), domain.ActionFilter{Limit: 1, Actor: "\xff"})
	requireCode(t, domain.CodeInvalidRequest, err)
}

func testVerified(t *testing.T, ledger Ledger) {
	run, err := ledger.UnverifiedRun(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, run, "nothing was compared yet")
	require.Equal(t, domain.CodeConflict, domain.CodeOf(ledger.MarkVerified(t.Context(), "another server @1000")))
	again, err := ledger.UnverifiedRun(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, again)
	require.NoError(t, ledger.MarkVerified(t.Context(), run))
	run, err = ledger.UnverifiedRun(t.Context())
	require.NoError(t, err)
	require.Empty(t, run)
}
