//go:build realservers

package sqlledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

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
func serverSettings(tb testing.TB, variable string) *mysql.Config {
	tb.Helper()
	dsn := os.Getenv(variable)
	require.NotEmpty(tb, dsn, "%s is not set; run make test-real", variable)
	settings, err := mysql.ParseDSN(dsn)
	require.NoError(tb, err)
	return settings
}

// ownDatabase makes a database for one test, and gives its DSN; it is dropped after the test.
func ownDatabase(tb testing.TB, settings *mysql.Config) string {
	tb.Helper()
	server := settings.Clone()
	server.DBName = ""
	pool, err := sql.Open("mysql", server.FormatDSN())
	require.NoError(tb, err)
	name := "firstcome_test_" + strings.ToLower(rand.Text())
	// A database of another character set must not matter.
	_, err = pool.ExecContext(tb.Context(), fmt.Sprintf("CREATE DATABASE %s CHARACTER SET latin1", name))
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := pool.ExecContext(context.Background(), "DROP DATABASE "+name)
		require.NoError(tb, err)
		require.NoError(tb, pool.Close())
	})
	own := settings.Clone()
	own.DBName = name
	return own.FormatDSN()
}

// openRealLedger gives a test a ledger in a database of its own, which refuses storetest.RefusedUser.
func openRealLedger(tb testing.TB, settings *mysql.Config) *Ledger {
	tb.Helper()
	return openRealConfig(tb, Config{DSN: ownDatabase(tb, settings)})
}

// openRealConfig is openRealLedger in a database that is there.
func openRealConfig(tb testing.TB, config Config) *Ledger {
	tb.Helper()
	config.Dialect = DialectMySQL
	ledger := openForTest(tb, config)
	require.NoError(tb, ledger.Migrate(tb.Context()))
	execute(tb, ledger, `CREATE TRIGGER refuse BEFORE INSERT ON coupon FOR EACH ROW
		IF NEW.user_id = `+refusedUser+` THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is refused'; END IF`)
	return ledger
}

func TestLedgerOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		storetest.RunLedger(t, func(t *testing.T) storetest.Ledger {
			t.Helper()
			return openRealLedger(t, settings)
		})
	})
}

func TestFailEventsAgreeWithTheModelOnRealServers(t *testing.T) {
	tryLess(t, 4)
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		storetest.RunFailEventModel(t, func(t *testing.T, now func() time.Time) (first, second storetest.Ledger) {
			t.Helper()
			dsn := ownDatabase(t, settings)
			one := withClock(openRealConfig(t, Config{DSN: dsn}), now)
			return one, withClock(openForTest(t, Config{Dialect: DialectMySQL, DSN: dsn}), now)
		})
	})
}

func TestHostsWhoseClocksDifferShareTheClockOfRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		storetest.RunLedgerOfHosts(t, func(t *testing.T, ahead, behind func() time.Time) (first, second storetest.Ledger) {
			t.Helper()
			dsn := ownDatabase(t, settings)
			return openRealConfig(t, Config{DSN: dsn, Now: ahead}), openForTest(t, Config{Dialect: DialectMySQL, DSN: dsn, Now: behind})
		})
	})
}

func TestALedgerWhoseClockIsSetBackOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		storetest.RunLedgerSetBack(t, func(t *testing.T, now func() time.Time) storetest.Ledger {
			t.Helper()
			return withClock(openRealConfig(t, Config{DSN: ownDatabase(t, settings)}), now)
		})
	})
}

// withClock has the ledger believe that the server's clock is this one.
func withClock(ledger *Ledger, now func() time.Time) *Ledger {
	ledger.backend.clock = func(*gorm.DB) (time.Time, error) { return now(), nil }
	return ledger
}

func TestMigrateOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testMigrate(t, Config{Dialect: DialectMySQL, DSN: ownDatabase(t, settings)})
	})
}

func TestProcessesThatMigrateAtOnceOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		dsn := ownDatabase(t, settings)
		first := openForTest(t, Config{Dialect: DialectMySQL, DSN: dsn})
		require.NoError(t, first.Migrate(t.Context()))
		// The tables of an interrupted migration are there, so that nothing but the lock keeps the others waiting.
		execute(t, first, "DELETE FROM goose_db_version WHERE version_id > 0")
		var group sync.WaitGroup
		for range 4 {
			ledger := openForTest(t, Config{Dialect: DialectMySQL, DSN: dsn})
			group.Go(func() { assert.NoError(t, ledger.Migrate(t.Context())) })
		}
		group.Wait()
		var twice int
		require.NoError(t, first.pool.QueryRowContext(t.Context(),
			"SELECT COUNT(*) - COUNT(DISTINCT version_id) FROM goose_db_version").Scan(&twice))
		assert.Zero(t, twice, "a migration was run by two at once")
	})
}

// TestAnInterruptedMigrationIsRunAgain: MySQL commits after each table, so a crash leaves some of them.
func TestAnInterruptedMigrationIsRunAgain(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openForTest(t, Config{Dialect: DialectMySQL, DSN: ownDatabase(t, settings)})
		require.NoError(t, ledger.Migrate(t.Context()))
		execute(t, ledger, "DELETE FROM goose_db_version WHERE version_id > 0")
		execute(t, ledger, "DROP TABLE setting")
		require.NoError(t, ledger.Migrate(t.Context()))
		require.NoError(t, ledger.SchemaCurrent(t.Context()))
		_, err := ledger.Setting(t.Context(), "x")
		require.NoError(t, err)
	})
}

func TestOperatorsActionsAreKeptOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testActions(t, openRealLedger(t, settings))
	})
}

func TestHoldersOfManyPagesOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testHolderPages(t, openRealLedger(t, settings))
	})
}

func TestAnAbandonedBulkJobIsTakenUpOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testAbandonedBulk(t, openRealLedger(t, settings))
	})
}
