package sqlledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestHoldersOfManyPagesOnSQLite(t *testing.T) { testHolderPages(t, openSQLiteLedger(t)) }

// testHolderPages requires that nobody is passed over or comes twice where a page ends, of whatever kind they are.
func testHolderPages(t *testing.T, ledger *Ledger) {
	t.Helper()
	const each = 7
	ledger.pageSize = 3
	campaign, err := ledger.CreateCampaign(t.Context(), domain.Campaign{
		Code: "spring", Quota: 3 * each, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(t, err)
	_, err = ledger.CreateCampaign(t.Context(), domain.Campaign{
		Code: "autumn", Quota: 10 * each, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(t, err)
	want := map[domain.UserID]domain.Slot{}
	for n := 1; n <= 3*each; n++ {
		winner := domain.Winner{
			Campaign: "spring", UserID: domain.UserID(1000 - n), Slot: domain.Slot(n), AdmittedAt: campaign.CreatedAt,
		}
		want[winner.UserID] = winner.Slot
		if n == each {
			storeOthers(t, ledger, 10*each)
		}
		if n <= each {
			_, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner})
			require.NoError(t, err)
			continue
		}
		position := domain.RecordPosition{Topic: "topic", Offset: int64(n)}
		require.NoError(t, ledger.RecordFailEvent(t.Context(), domain.FailEvent{Winner: winner, Position: position}))
		if n <= 2*each {
			events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: 1})
			require.NoError(t, err)
			_, err = ledger.DiscardFailEvent(t.Context(), events[0].ID, "a test", "ada")
			require.NoError(t, err)
			want[winner.UserID] = domain.NoSlot
		}
	}
	requireHolders(t, ledger, want)
	require.NoError(t, ledger.db.Exec(dropIndex(ledger, "coupon", "coupon_stored")).Error)
	requireHolders(t, ledger, want)
}

// storeOthers stores so many rows of another campaign, which lie between those of the campaign that is walked.
func storeOthers(t *testing.T, ledger *Ledger, rows int) {
	t.Helper()
	others := make([]domain.Winner, rows)
	for i := range others {
		others[i] = domain.Winner{
			Campaign: "autumn", UserID: domain.UserID(i + 1), Slot: domain.Slot(i + 1), AdmittedAt: ledger.config.processNow(),
		}
	}
	_, err := ledger.StoreCoupons(t.Context(), "autumn", others)
	require.NoError(t, err)
}

func dropIndex(ledger *Ledger, table, index string) string {
	if ledger.config.Dialect == DialectSQLite {
		return "DROP INDEX " + index
	}
	return "DROP INDEX " + index + " ON " + table
}

func requireHolders(t *testing.T, ledger *Ledger, want map[domain.UserID]domain.Slot) {
	t.Helper()
	seen := map[domain.UserID]domain.Slot{}
	require.NoError(t, ledger.VisitHolders(t.Context(), campaignOf(t, ledger), func(holder domain.Holder) error {
		assert.NotContains(t, seen, holder.UserID)
		seen[holder.UserID] = holder.Slot
		return nil
	}))
	assert.Equal(t, want, seen)
}
