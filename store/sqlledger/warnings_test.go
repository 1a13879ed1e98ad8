package sqlledger

import (
	"slices"
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

// testDroppedKey drops each key in turn: that is named, and put back by a migration unless rows forbid it.
func testDroppedKey(t *testing.T, ledger *Ledger) {
	t.Helper()
	missing := func() []string {
		said, err := ledger.MissingKeys(t.Context())
		require.NoError(t, err)
		var warned []string
		for _, warning := range ledger.Warnings(t.Context()) {
			if strings.Contains(warning, "is missing") {
				warned = append(warned, warning)
			}
		}
		require.ElementsMatch(t, warned, said, "the audit and readiness say the same")
		return said
	}
	winner := campaignFor(t, ledger)
	_, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner})
	require.NoError(t, err)
	require.Empty(t, missing())
	for _, key := range neededKeys {
		if !mayBeDropped(ledger, key) {
			continue
		}
		execute(t, ledger, dropIndex(ledger, key.table, key.name))
		require.Len(t, missing(), 1, key.name)
		require.Contains(t, missing()[0], key.name)
		require.NoError(t, ledger.Migrate(t.Context()))
		require.Empty(t, missing(), "a migration puts it back")
	}

	slots := neededKeys[1]
	execute(t, ledger, dropIndex(ledger, slots.table, slots.name))
	execute(t, ledger, "INSERT INTO coupon (campaign_id, user_id, slot, admitted_at) SELECT campaign_id, 8, slot, admitted_at FROM coupon")
	err = ledger.Migrate(t.Context())
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, slots.name)
	require.Len(t, missing(), 1)
	execute(t, ledger, "DELETE FROM coupon WHERE user_id = 8")
	require.NoError(t, ledger.Migrate(t.Context()))
	require.Empty(t, missing())
}

// mayBeDropped leaves out primary keys, and those that SQLite keeps with their table.
func mayBeDropped(ledger *Ledger, key neededKey) bool {
	if ledger.config.Dialect == DialectSQLite && (key.name == "campaign_code" || key.name == "fail_event_record") {
		return false
	}
	return slices.Contains([]string{"campaign", "coupon", "fail_event", "fail_event_attempt"}, key.table)
}

// TestEachNeededKeyIsMissedAlone: without any key all are missed, and a plain one does not do for a unique one.
func TestEachNeededKeyIsMissedAlone(t *testing.T) {
	require.Equal(t, neededKeys, keysMissingOf(nil))
	for i, key := range neededKeys {
		var present []tableKey
		for _, other := range neededKeys {
			present = append(present, tableKey{TableName: other.table, KeyColumns: other.columns, Plain: other.plain})
		}
		require.Empty(t, keysMissingOf(present))
		present[i].Plain = !key.plain
		if key.plain {
			require.Empty(t, keysMissingOf(present), "a unique key serves as a plain one")
		} else {
			require.Equal(t, []neededKey{key}, keysMissingOf(present))
		}
		present[i].KeyColumns = "id,another"
		require.Equal(t, []neededKey{key}, keysMissingOf(present))
	}
}

func TestADroppedUniqueKeyIsNamedAndPutBackOnSQLite(t *testing.T) {
	ledger := openSQLiteLedger(t)
	require.Empty(t, ledger.Warnings(t.Context()))
	testDroppedKey(t, ledger)
}
