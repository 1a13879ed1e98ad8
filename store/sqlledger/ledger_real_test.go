//go:build realservers

package sqlledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// servers are the real servers that these tests need, by the variable that holds the DSN of each.
var servers = map[string]string{
	"MySQL": "FIRSTCOME_TEST_MYSQL_DSN", "MariaDB": "FIRSTCOME_TEST_MARIADB_DSN",
}

// onEachServer runs a test on every real server.
func onEachServer(t *testing.T, test func(t *testing.T, settings *mysql.Config)) {
	t.Helper()
	for name, variable := range servers {
		t.Run(name, func(t *testing.T) { test(t, serverSettings(t, variable)) })
	}
}

// serverSettings fails when the variable is missing: a test that is passed over would look like a success.
func serverSettings(t testing.TB, variable string) *mysql.Config {
	t.Helper()
	dsn := os.Getenv(variable)
	require.NotEmpty(t, dsn, "%s is not set; run make test-real", variable)
	settings, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	return settings
}

// ownDatabase makes a database for one test, and gives its DSN; it is dropped after the test.
func ownDatabase(t testing.TB, settings *mysql.Config) string {
	t.Helper()
	server := settings.Clone()
	server.DBName = ""
	pool, err := sql.Open("mysql", server.FormatDSN())
	require.NoError(t, err)
	name := "firstcome_test_" + strings.ToLower(rand.Text())
	// A database of another character set must not matter.
	_, err = pool.ExecContext(t.Context(), fmt.Sprintf("CREATE DATABASE %s CHARACTER SET latin1", name))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := pool.ExecContext(context.Background(), "DROP DATABASE "+name)
		require.NoError(t, err)
		require.NoError(t, pool.Close())
	})
	own := settings.Clone()
	own.DBName = name
	return own.FormatDSN()
}

// openRealLedger gives a test a ledger in a database of its own, which refuses storetest.RefusedUser.
func openRealLedger(t testing.TB, settings *mysql.Config) *Ledger {
	t.Helper()
	ledger := openForTest(t, Config{Dialect: DialectMySQL, DSN: ownDatabase(t, settings)})
	require.NoError(t, ledger.Migrate(t.Context()))
	execute(t, ledger, `CREATE TRIGGER refuse BEFORE INSERT ON coupon FOR EACH ROW
		IF NEW.user_id = `+refusedUser+` THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is refused'; END IF`)
	return ledger
}

func TestLedgerOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		storetest.RunLedger(t, func(t *testing.T) storetest.Ledger { return openRealLedger(t, settings) })
	})
}
