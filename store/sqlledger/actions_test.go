package sqlledger

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestOperatorsActionsAreKeptOnSQLite(t *testing.T) { testActions(t, openSQLiteLedger(t)) }

// testActions requires one action for each change, with what was before and after, and none for a refused change.
func testActions(t *testing.T, ledger *Ledger) {
	t.Helper()
	ctx := t.Context()
	campaign, err := ledger.CreateCampaign(ctx, domain.Campaign{
		Code: "spring", Quota: 9, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(t, err)
	_, err = ledger.CreateCampaign(ctx, campaign, "refused")
	require.Error(t, err)
	higher, ended, bad := int64(12), domain.CampaignEnded, int64(-1)
	_, err = ledger.ChangeCampaign(ctx, "spring", domain.CampaignChange{Quota: &higher, State: &ended}, "bob")
	require.NoError(t, err)
	_, err = ledger.ChangeCampaign(ctx, "spring", domain.CampaignChange{Quota: &bad}, "refused")
	require.Error(t, err)
	require.NoError(t, ledger.SetSetting(ctx, "rows_per_second", "5", strings.Repeat("ü", 200)))
	event := domain.FailEvent{Winner: domain.Winner{Campaign: "spring", UserID: 7}, Reason: domain.ReasonUnparsable}
	require.NoError(t, ledger.RecordFailEvent(ctx, event))
	var id int64
	require.NoError(t, ledger.pool.QueryRowContext(ctx, "SELECT id FROM fail_event").Scan(&id))
	_, err = ledger.RetryFailEvent(ctx, id, "cleo")
	require.NoError(t, err)
	_, err = ledger.DiscardFailEvent(ctx, id, "no use", "dora")
	require.NoError(t, err)
	_, err = ledger.DiscardFailEvent(ctx, id, "again", "refused")
	require.Error(t, err)

	var rows []actionRow
	require.NoError(t, ledger.db.Order("id").Find(&rows).Error)
	target := "fail event " + strconv.FormatInt(id, 10)
	want := []struct {
		actor, action, target string
		before, after         map[string]any
	}{
		{"ada", "create", "campaign spring", nil, map[string]any{"quota": 9.0, "state": "open"}},
		{"bob", "change", "campaign spring", map[string]any{"quota": 9.0, "state": "open"}, map[string]any{"quota": 12.0, "state": "ended"}},
		{strings.Repeat("ü", 100), "set", "setting rows_per_second", nil, nil},
		{"cleo", "retry", target, map[string]any{"status": "FAIL"}, map[string]any{"status": "FAIL"}},
		{"dora", "discard", target, map[string]any{"status": "FAIL"}, map[string]any{"status": "DEAD", "discard_reason": "no use"}},
	}
	require.Len(t, rows, len(want))
	for i, row := range rows {
		assert.Equal(t, []string{want[i].actor, want[i].action, want[i].target}, []string{row.Actor, row.Action, row.Target})
		assertHolds(t, row.BeforeValue.String, want[i].before)
		assertHolds(t, row.AfterValue.String, want[i].after)
		assert.False(t, row.ActedAt.IsZero())
	}
	assert.Equal(t, []string{`""`, `"5"`}, []string{rows[2].BeforeValue.String, rows[2].AfterValue.String})
	assert.False(t, rows[0].BeforeValue.Valid)
}

func assertHolds(t *testing.T, text string, want map[string]any) {
	t.Helper()
	if want == nil {
		return
	}
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &got))
	for key, value := range want {
		assert.Equal(t, value, got[key], key)
	}
}
