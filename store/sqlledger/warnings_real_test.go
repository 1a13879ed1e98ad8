//go:build realservers

package sqlledger

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADroppedUniqueKeyIsNamedAndPutBackOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testDroppedKey(t, openRealLedger(t, settings))
	})
}

// TestARealServersSettingsAreNamed changes what a running server lets one change, and puts it back.
func TestARealServersSettingsAreNamed(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		for _, change := range [][3]string{
			{"innodb_flush_log_at_trx_commit", "2", "1"},
			{"sql_mode", "''", "'STRICT_TRANS_TABLES'"},
		} {
			named := func() bool {
				for _, warning := range ledger.Warnings(t.Context()) {
					if strings.HasPrefix(warning, change[0]+"=") {
						return true
					}
				}
				return false
			}
			execute(t, ledger, "SET GLOBAL "+change[0]+" = "+change[1])
			bad := named()
			execute(t, ledger, "SET GLOBAL "+change[0]+" = "+change[2])
			require.True(t, bad, change[0])
			assert.False(t, named(), change[0])
		}
	})
}
