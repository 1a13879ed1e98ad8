package sqlledger

import (
	"context"
	"database/sql"
	"errors"
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
	storetest.RunLedger(t, func(t *testing.T) storetest.Ledger { return openSQLiteLedger(t) })
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

// openSQLiteLedger gives a test an empty ledger in a file of its own, which refuses storetest.RefusedUser.
func openSQLiteLedger(t testing.TB) *Ledger {
	t.Helper()
	empty, err := migratedFile()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(file, empty, 0o600))
	ledger := openForTest(t, Config{Dialect: DialectSQLite, DSN: file})
	execute(t, ledger, `CREATE TRIGGER refuse BEFORE INSERT ON coupon WHEN NEW.user_id = `+refusedUser+`
		BEGIN SELECT RAISE(ABORT, 'this user is refused'); END`)
	return ledger
}

var refusedUser = strconv.FormatInt(int64(storetest.RefusedUser), 10)

// openForTest opens a ledger, and closes it after the test.
func openForTest(t testing.TB, config Config) *Ledger {
	t.Helper()
	config.CallTimeout = 20 * time.Second
	ledger, err := Open(config, prometheus.NewRegistry(), discardLogger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ledger.Close()) })
	return ledger
}

func execute(t testing.TB, ledger *Ledger, statement string) sql.Result {
	t.Helper()
	result, err := ledger.pool.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	return result
}
