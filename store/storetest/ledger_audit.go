package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerAuditTests = map[string]func(*testing.T, Ledger){
	"HoldersOfSomeUsersAreFound":            testFindHolders,
	"HoldersOfManyUsersAreFound":            testFindManyHolders,
	"UnresolvedEventsAreCountedByStatus":    testCountUnresolved,
	"NoKeyOfFreshTablesIsMissing":           testNoKeyIsMissing,
	"EventsWhoseLeaseEndedLongAgoAreStuck":  testStuck,
	"RevocationsThatTheGateWasNotToldOf":    testUntold,
	"TheLastAuditOfEachCampaignIsKept":      testAudits,
	"NothingIsFoundWhereNothingWasRecorded": testAuditNothing,
}

func testFindHolders(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2), winner(campaign, 13, 3))
	record(t, ledger, failEvent(winner(campaign, 12, 9), 1)) // has a row already
	record(t, ledger, failEvent(winner(campaign, 14, 4), 2))
	record(t, ledger, failEvent(winner(campaign, 15, 5), 3))
	found, err := ledger.FindHolders(t.Context(), "spring", []domain.UserID{14, 12, 99, 11})
	require.NoError(t, err)
	at := func(slot domain.Slot) time.Time { return winner(campaign, 1, slot).AdmittedAt }
	assert.Equal(t, []domain.Holder{
		{UserID: 11, Slot: 1, AdmittedAt: at(1)}, {UserID: 12, Slot: 2, AdmittedAt: at(2)},
		{UserID: 14, Slot: 4, AdmittedAt: at(4), ByFailEvent: true, Epoch: campaign.Epoch},
	}, found)
}

func testFindManyHolders(t *testing.T, ledger Ledger) {
	const count = 501
	campaign := openCampaign(t, ledger, "spring", count)
	all := manyWinners(campaign, count)
	storeAll(t, ledger, campaign, all...)
	users := []domain.UserID{1, 2, 3}
	for _, w := range all {
		users = append(users, w.UserID)
	}
	found, err := ledger.FindHolders(t.Context(), "spring", users)
	require.NoError(t, err)
	assert.Len(t, found, len(all))
}

func testNoKeyIsMissing(t *testing.T, ledger Ledger) {
	t.Helper()
	missing, err := ledger.MissingKeys(t.Context())
	require.NoError(t, err)
	require.Empty(t, missing)
}

func testCountUnresolved(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	claimed := claim(t, ledger)
	_, err := ledger.StoreClaimed(t.Context(), claimed, claimed.Winner)
	require.NoError(t, err)
	record(t, ledger, failEvent(winner(campaign, 12, 2), 2))
	claim(t, ledger)
	deadEvent(t, ledger, winner(campaign, 13, 3), 3)
	deadEvent(t, ledger, winner(campaign, 14, 4), 4)
	discarded := deadEvent(t, ledger, winner(campaign, 15, 5), 5)
	_, err = ledger.DiscardFailEvent(t.Context(), discarded.ID, "a test", operatorName)
	require.NoError(t, err)
	counts, err := ledger.CountUnresolved(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, map[domain.FailStatus]int64{domain.FailStatusProcessing: 1, domain.FailStatusDead: 2}, counts)
}

func testStuck(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	expired := expire(t, ledger)
	record(t, ledger, failEvent(winner(campaign, 12, 2), 2))
	claim(t, ledger)
	stuck, err := ledger.StuckFailEvents(t.Context(), "spring", 0, 10)
	require.NoError(t, err)
	assert.Equal(t, []domain.FailEvent{expired}, stuck, "a lease that still runs is not stuck")
	stuck, err = ledger.StuckFailEvents(t.Context(), "spring", time.Hour, 10)
	require.NoError(t, err)
	assert.Empty(t, stuck, "the rescue may still be on its way")
}

func testUntold(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	storeAll(t, ledger, campaign, winner(campaign, 11, 1), winner(campaign, 12, 2), winner(campaign, 13, 3))
	for _, user := range []domain.UserID{11, 12} {
		_, err := ledger.RevokeCoupon(t.Context(), "spring", user, "a test", operatorName)
		require.NoError(t, err)
	}
	require.NoError(t, ledger.MarkReleased(t.Context(), "spring", 11, campaign.Epoch))
	untold, err := ledger.UntoldRevocations(t.Context(), "spring", 0, 10)
	require.NoError(t, err)
	require.Len(t, untold, 1, "one was told, and one was not revoked")
	assert.Equal(t, domain.UserID(12), untold[0].UserID)
	assertRecent(t, untold[0].RevokedAt)
	untold, err = ledger.UntoldRevocations(t.Context(), "spring", time.Hour, 10)
	require.NoError(t, err)
	assert.Empty(t, untold, "it is on its way")
	untold, err = ledger.UntoldRevocations(t.Context(), "autumn", 0, 10)
	require.NoError(t, err)
	assert.Empty(t, untold)
}

func testAudits(t *testing.T, ledger Ledger) {
	for _, result := range []domain.AuditResult{
		{Campaign: "spring", Epoch: 1, StartedAt: moment, FinishedAt: moment, DifferencesTotal: 5},
		{Campaign: "autumn", Epoch: 2, StartedAt: moment, FinishedAt: moment, Error: "the gate is “closed”"},
		{Campaign: "spring", Epoch: 3, StartedAt: moment, FinishedAt: moment.Add(time.Second), Settled: true},
	} {
		require.NoError(t, ledger.SaveAudit(t.Context(), result))
		require.NoError(t, ledger.SaveAudit(t.Context(), result), "saving it twice is harmless")
	}
	all, err := ledger.LastAudits(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, "the gate is “closed”", all[0].Error)
	assert.True(t, moment.Equal(all[0].FinishedAt))
	assert.EqualValues(t, 3, all[1].Epoch, "the last one counts")
	assert.True(t, all[1].Settled)
	one, err := ledger.LastAudits(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, all[1:], one)
}

func testAuditNothing(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 10)
	found, err := ledger.FindHolders(t.Context(), "spring", []domain.UserID{1})
	require.NoError(t, err)
	assert.Empty(t, found)
	_, err = ledger.FindHolders(t.Context(), "ghost", []domain.UserID{1})
	requireCode(t, domain.CodeUnknownCampaign, err)
	counts, err := ledger.CountUnresolved(t.Context(), "ghost")
	require.NoError(t, err)
	assert.Empty(t, counts)
	audits, err := ledger.LastAudits(t.Context(), "spring")
	require.NoError(t, err)
	assert.Empty(t, audits)
}
