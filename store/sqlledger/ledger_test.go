package sqlledger

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// discardLogger takes what the tests have no use for.
var discardLogger = slog.New(slog.DiscardHandler)

func TestLedgerOnSQLite(t *testing.T) {
	storetest.RunLedger(t, func(t *testing.T) storetest.Ledger {
		t.Helper()
		return openSQLiteLedger(t)
	})
}

// migratedFile is an empty ledger's file. Each test gets a copy, which costs less than to migrate a file of its own.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "firstcome")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "ledger.db")
	ledger, err := Open(Config{Dialect: DialectSQLite, DSN: file}, nil, discardLogger)
	if err != nil {
		return nil, err
	}
	// Closing the last connection moves everything from the log to the file.
	if err := errors.Join(ledger.Migrate(context.Background()), ledger.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// tryLess has rapid make only a part of its runs: each of their steps waits for a disk.
func tryLess(t *testing.T, part int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	count, err := strconv.Atoi(before)
	require.NoError(t, err)
	require.NoError(t, checks.Value.Set(strconv.Itoa(max(1, count/part))))
	t.Cleanup(func() { require.NoError(t, checks.Value.Set(before)) })
}

func TestFailEventsAgreeWithTheModelOnSQLite(t *testing.T) {
	tryLess(t, 2)
	storetest.RunFailEventModel(t, func(t *testing.T, now func() time.Time) (first, second storetest.Ledger) {
		t.Helper()
		file := sqliteFile(t)
		one := openForTest(t, Config{Dialect: DialectSQLite, DSN: file, Now: now})
		refuseOnSQLite(t, one)
		return one, openForTest(t, Config{Dialect: DialectSQLite, DSN: file, Now: now})
	})
}

func TestALedgerWhoseClockIsSetBackOnSQLite(t *testing.T) {
	storetest.RunLedgerSetBack(t, func(t *testing.T, now func() time.Time) storetest.Ledger {
		t.Helper()
		return openForTest(t, Config{Dialect: DialectSQLite, DSN: sqliteFile(t), Now: now})
	})
}

// openSQLiteLedger gives a test an empty ledger in a file of its own, which refuses storetest.RefusedUser.
func openSQLiteLedger(tb testing.TB) *Ledger {
	tb.Helper()
	ledger := openForTest(tb, Config{Dialect: DialectSQLite, DSN: sqliteFile(tb)})
	refuseOnSQLite(tb, ledger)
	return ledger
}

// sqliteFile is an empty ledger's file, of one test's own.
func sqliteFile(tb testing.TB) string {
	tb.Helper()
	empty, err := migratedFile()
	require.NoError(tb, err)
	file := filepath.Join(tb.TempDir(), "ledger.db")
	require.NoError(tb, os.WriteFile(file, empty, 0o600))
	return file
}

func refuseOnSQLite(tb testing.TB, ledger *Ledger) {
	tb.Helper()
	execute(tb, ledger, `CREATE TRIGGER refuse BEFORE INSERT ON coupon WHEN NEW.user_id = `+refusedUser+`
		BEGIN SELECT RAISE(ABORT, 'this user is refused'); END`)
}

var refusedUser = strconv.FormatInt(int64(storetest.RefusedUser), 10)

// openForTest opens a ledger, and closes it after the test.
func openForTest(tb testing.TB, config Config) *Ledger {
	tb.Helper()
	config.CallTimeout = 20 * time.Second
	ledger, err := Open(config, prometheus.NewRegistry(), discardLogger)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, ledger.Close()) })
	return ledger
}

func execute(tb testing.TB, ledger *Ledger, statement string) sql.Result {
	tb.Helper()
	result, err := ledger.pool.ExecContext(tb.Context(), statement)
	require.NoError(tb, err)
	return result
}
