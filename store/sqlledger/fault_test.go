package sqlledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// testEachRowRefused: a ledger that refuses every row, whichever it is, blames none of them.
func testEachRowRefused(t *testing.T, ledger *Ledger, refuseAll, refuseNone string) {
	t.Helper()
	winner := campaignFor(t, ledger)
	winners := []domain.Winner{winner, {Campaign: "spring", UserID: 8, Slot: 2, AdmittedAt: winner.AdmittedAt}}
	requireNoBlame := func() {
		t.Helper()
		for _, some := range [][]domain.Winner{winners, winners[:1]} {
			_, err := ledger.StoreCoupons(t.Context(), "spring", some)
			require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, messageEachRow)
		}
	}
	execute(t, ledger, refuseAll)
	requireNoBlame()
	event := domain.FailEvent{
		Winner: winner, Status: domain.FailStatusFail, Reason: domain.ReasonRowRefused, NextAttemptAt: time.Now().Add(-time.Hour),
		Position: domain.RecordPosition{Topic: "coupon_create", Offset: 1},
	}
	require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
	claimed, err := ledger.ClaimFailEvents(t.Context(), 1, time.Hour, time.Hour)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	_, err = ledger.StoreClaimed(t.Context(), claimed[0], claimed[0].Winner)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "an attempt that this counts would end the event dead")
	execute(t, ledger, refuseNone)

	results, err := ledger.StoreCoupons(t.Context(), "spring", winners[1:])
	require.NoError(t, err)
	require.Equal(t, domain.Stored, results[0].Outcome)
	execute(t, ledger, refuseAll)
	winners = []domain.Winner{winner, {Campaign: "spring", UserID: 9, Slot: 3, AdmittedAt: winner.AdmittedAt}}
	requireNoBlame()
	execute(t, ledger, refuseNone)
	results, err = ledger.StoreCoupons(t.Context(), "spring", winners)
	require.NoError(t, err)
	assert.Equal(t, []domain.StoreResult{{Outcome: domain.Stored, Slot: 1}, {Outcome: domain.Stored, Slot: 3}}, results)
}

// campaignFor gives a ledger with a campaign at epoch 0, and a winner to store.
func campaignFor(tb testing.TB, ledger *Ledger) domain.Winner {
	tb.Helper()
	_, err := ledger.CreateCampaign(tb.Context(), domain.Campaign{
		Code: "spring", Quota: domain.MaxQuota, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(tb, err)
	return domain.Winner{Campaign: "spring", UserID: 7, Slot: 1, AdmittedAt: time.Now()}
}

// campaignOf is the campaign that campaignFor made, as it is now.
func campaignOf(tb testing.TB, ledger *Ledger) domain.Campaign {
	tb.Helper()
	campaign, err := ledger.Campaign(tb.Context(), "spring")
	require.NoError(tb, err)
	return campaign
}

func TestADatabaseThatRefusesEachRowBlamesNoneOnSQLite(t *testing.T) {
	testEachRowRefused(t, openSQLiteLedger(t),
		"CREATE TRIGGER refuse_all BEFORE INSERT ON coupon BEGIN SELECT RAISE(ABORT, 'nobody is let in'); END",
		"DROP TRIGGER refuse_all")
}

// testPingTellsTheSchema: each damage is told, and once it is mended the ledger is ready again.
func testPingTellsTheSchema(t *testing.T, ledger *Ledger) {
	t.Helper()
	require.NoError(t, ledger.Ping(t.Context()))
	for _, damage := range [][2]string{
		{"ALTER TABLE coupon RENAME COLUMN admitted_at TO taken_at", "ALTER TABLE coupon RENAME COLUMN taken_at TO admitted_at"},
		{"ALTER TABLE fail_event RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO fail_event"},
	} {
		execute(t, ledger, damage[0])
		err := ledger.Ping(t.Context())
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), damage[0])
		assert.ErrorContains(t, err, messageSchema)
		execute(t, ledger, damage[1])
		require.NoError(t, ledger.Ping(t.Context()))
	}
}

func TestPingTellsWhatIsMissingOnSQLite(t *testing.T) { testPingTellsTheSchema(t, openSQLiteLedger(t)) }
