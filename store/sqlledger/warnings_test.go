package sqlledger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// TestEachSettingThatLeavesPromisesToLuckIsNamed: nothing else makes an operator look at them.
func TestEachSettingThatLeavesPromisesToLuckIsNamed(t *testing.T) {
	good := map[string]string{
		"log_bin": "ON", "sync_binlog": "1", "innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON",
		"read_only": "OFF", "super_read_only": "OFF", "sql_mode": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES",
		"wsrep_on": "OFF", "group_replication_single_primary_mode": "ON", "group_replication_group_name": "shop",
	}
	require.Empty(t, judgeVariables(good))
	for _, bad := range [][2]string{
		{"sync_binlog", "0"}, {"sync_binlog", "1000"}, {"innodb_flush_log_at_trx_commit", "2"}, {"innodb_flush_log_at_trx_commit", "0"},
		{"innodb_doublewrite", "OFF"}, {"read_only", "ON"}, {"super_read_only", "ON"}, {"sql_mode", "ONLY_FULL_GROUP_BY"}, {"sql_mode", ""},
		{"wsrep_on", "ON"}, {"group_replication_single_primary_mode", "OFF"},
	} {
		values := map[string]string{}
		for name, value := range good {
			values[name] = value
		}
		values[bad[0]] = bad[1]
		said := judgeVariables(values)
		require.Len(t, said, 1, "%v", bad)
		assert.True(t, strings.HasPrefix(said[0], bad[0]+"="), said[0])
	}
	good["log_bin"], good["sync_binlog"] = "OFF", "0"
	assert.Empty(t, judgeVariables(good), "without a binary log it means nothing")
	delete(good, "group_replication_group_name")
	good["group_replication_single_primary_mode"] = "OFF"
	assert.Empty(t, judgeVariables(good), "nobody is in a group")
}

// testDroppedKey drops a key of the coupons: that is named, and put back by a migration unless rows forbid it.
func testDroppedKey(t *testing.T, ledger *Ledger) {
	t.Helper()
	keys := func() []string {
		var said []string
		for _, warning := range ledger.Warnings(t.Context()) {
			if strings.Contains(warning, "unique key") {
				said = append(said, warning)
			}
		}
		return said
	}
	winner := campaignFor(t, ledger)
	_, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner})
	require.NoError(t, err)
	require.Empty(t, keys())
	for _, key := range []string{"coupon_user", "coupon_slot"} {
		execute(t, ledger, dropIndex(ledger, key))
		require.Len(t, keys(), 1)
		require.Contains(t, keys()[0], key)
		require.NoError(t, ledger.Migrate(t.Context()))
		require.Empty(t, keys(), "a migration puts it back")
	}

	execute(t, ledger, dropIndex(ledger, "coupon_slot"))
	execute(t, ledger, "INSERT INTO coupon (campaign_id, user_id, slot, admitted_at) SELECT campaign_id, 8, slot, admitted_at FROM coupon")
	err = ledger.Migrate(t.Context())
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "coupon_slot")
	require.Len(t, keys(), 1)
	execute(t, ledger, "DELETE FROM coupon WHERE user_id = 8")
	require.NoError(t, ledger.Migrate(t.Context()))
	require.Empty(t, keys())
}

func TestADroppedUniqueKeyIsNamedAndPutBackOnSQLite(t *testing.T) {
	ledger := openSQLiteLedger(t)
	require.Empty(t, ledger.Warnings(t.Context()))
	testDroppedKey(t, ledger)
}
