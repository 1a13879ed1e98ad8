package sqlledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

const nobodyListens = "u:p@tcp(127.0.0.1:1)/firstcome"

func TestOpenRefusesWhatMakesNoSense(t *testing.T) {
	for _, bad := range []struct {
		config  Config
		message string
	}{
		{Config{Dialect: DialectMySQL}, "no address"},
		{Config{Dialect: "oracle", DSN: "x"}, "dialect"},
		{Config{Dialect: DialectMySQL, DSN: "127.0.0.1:3306"}, "user:password@tcp(host:port)/database"},
		{Config{Dialect: DialectMySQL, DSN: "u:secret@tcp(127.0.0.1:3306)/"}, "names no database"},
		{Config{Dialect: DialectMySQL, DSN: "tcp(127.0.0.1:3306)/firstcome"}, "names no user"},
		{Config{Dialect: DialectMySQL, DSN: nobodyListens, MaxOpenConns: -1}, "connections"},
		{Config{Dialect: DialectMySQL, DSN: nobodyListens, CallTimeout: time.Millisecond}, "100ms"},
		{Config{Dialect: DialectSQLite, DSN: "a?mode=memory"}, "must not contain"},
	} {
		_, err := Open(bad.config, prometheus.NewRegistry(), discardLogger)
		require.ErrorContains(t, err, bad.message)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestOpenNeedsNoDatabase(t *testing.T) {
	ledger, err := Open(Config{Dialect: DialectMySQL, DSN: nobodyListens}, nil, discardLogger)
	require.NoError(t, err)
	for name, call := range map[string]func() error{
		"ping":    func() error { return ledger.Ping(t.Context()) },
		"schema":  func() error { return ledger.SchemaCurrent(t.Context()) },
		"migrate": func() error { return ledger.Migrate(t.Context()) },
		"read":    func() error { _, err := ledger.Campaigns(t.Context()); return err },
		"write":   func() error { _, err := ledger.BeginRebuild(t.Context(), "spring", 0); return err },
		"visit":   func() error { return ledger.VisitHolders(t.Context(), domain.Campaign{Code: "spring"}, nil) },
	} {
		assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(call()), name)
	}
	require.NoError(t, ledger.Close())
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(ledger.Ping(t.Context())), "after Close")
}

// TestSessionSettingsAreOurs: without them MySQL may shift times, shorten texts or wait without end, whatever the DSN says.
func TestSessionSettingsAreOurs(t *testing.T) {
	dsn := nobodyListens + "?parseTime=false&loc=Asia%2FTokyo&time_zone=%27%2B09%3A00%27&sql_mode=%27%27" +
		"&clientFoundRows=true&multiStatements=true&charset=latin1&readTimeout=7s&interpolateParams=false"
	settings, err := mysqlSettings(Config{DSN: dsn, CallTimeout: 5 * time.Second})
	require.NoError(t, err)
	assert.True(t, settings.ParseTime)
	assert.True(t, settings.InterpolateParams)
	assert.Equal(t, time.UTC, settings.Loc)
	assert.Equal(t, map[string]string{
		"time_zone": "'+00:00'", "sql_mode": "'TRADITIONAL'", "autocommit": "1", "innodb_lock_wait_timeout": "2",
	}, settings.Params)
	assert.False(t, settings.ClientFoundRows)
	assert.False(t, settings.MultiStatements)
	assert.Equal(t, 7*time.Second, settings.ReadTimeout, "a limit of the DSN's own is kept")
	assert.Equal(t, 5*time.Second, settings.WriteTimeout)
	assert.Equal(t, 5*time.Second, settings.Timeout)
	again, err := mysql.ParseDSN(settings.FormatDSN())
	require.NoError(t, err)
	assert.Contains(t, again.FormatDSN(), "charset=utf8mb4")
}

func FuzzMySQLSettings(f *testing.F) {
	for _, seed := range []string{nobodyListens, "", "/", "u@/db", "u:p@unix(/tmp/s)/db?charset=utf8mb4", "@tcp()/x?timeout=-1s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		settings, err := mysqlSettings(Config{DSN: dsn, CallTimeout: time.Second})
		if err == nil && (settings.DBName == "" || settings.Timeout <= 0 || settings.ReadTimeout <= 0) {
			t.Fatalf("%q was taken", dsn)
		}
	})
}

func TestMigrateAtOnceAndAgain(t *testing.T) { testMigrate(t, newSQLiteConfig(t)) }

func newSQLiteConfig(t *testing.T) Config {
	t.Helper()
	return Config{Dialect: DialectSQLite, DSN: t.TempDir() + "/ledger.db"}
}

// testMigrate needs an empty database.
func testMigrate(t *testing.T, config Config) {
	t.Helper()
	ledger := openForTest(t, config)
	err := ledger.SchemaCurrent(t.Context())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	assert.Contains(t, err.Error(), "firstcome migrate", "it says what to do")
	_, err = ledger.Campaigns(t.Context())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	assert.Contains(t, err.Error(), "firstcome migrate")

	_, err = ledger.InstallationID(t.Context())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))

	var id string
	for range 2 {
		require.NoError(t, ledger.Migrate(t.Context()))
		require.NoError(t, ledger.SchemaCurrent(t.Context()))
		now, err := ledger.InstallationID(t.Context())
		require.NoError(t, err)
		require.Regexp(t, "^[A-Z2-7]{26}$", now)
		assert.Contains(t, []string{"", now}, id, "a migration that is run again must not make another installation of it")
		id = now
	}
	newest, err := ledger.newestMigration()
	require.NoError(t, err)
	execute(t, ledger, "UPDATE goose_db_version SET version_id = 0")
	err = ledger.SchemaCurrent(t.Context())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	assert.Contains(t, err.Error(), fmt.Sprintf("at version 0, this program needs %d", newest))

	execute(t, ledger, "DELETE FROM installation")
	_, err = ledger.InstallationID(t.Context())
	require.ErrorContains(t, err, "firstcome migrate")
}

func TestCallsAndErrorsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	config := newSQLiteConfig(t)
	ledger, err := Open(config, registry, discardLogger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ledger.Close()) })
	require.NoError(t, ledger.Migrate(t.Context()))
	_, err = ledger.Campaign(t.Context(), "spring")
	require.Error(t, err)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP firstcome_ledger_errors_total Calls to the database that failed or were refused, by code.
		# TYPE firstcome_ledger_errors_total counter
		firstcome_ledger_errors_total{code="unknown-campaign",operation="campaign"} 1
	`), "firstcome_ledger_errors_total"))
	assert.Equal(t, 2, testutil.CollectAndCount(ledger.metrics.calls), "one of the migration, one of the call")
	_, err = Open(config, registry, discardLogger)
	require.Error(t, err, "the same registry twice would mix up two databases")
}

// TestTheClockGiven is what times of the ledger's own are taken from.
func TestTheClockGivenIsUsed(t *testing.T) {
	config := newSQLiteConfig(t)
	at := time.Date(2035, 1, 2, 3, 4, 5, 6789, time.FixedZone("somewhere", 3600))
	config.Now = func() time.Time { return at }
	ledger := openForTest(t, config)
	require.NoError(t, ledger.Migrate(t.Context()))
	created, err := ledger.CreateCampaign(t.Context(), domain.Campaign{
		Code: "spring", Quota: 1, State: domain.CampaignOpen, StartsAt: at, EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(t, err)
	assert.Equal(t, at.UTC().Truncate(time.Microsecond), created.CreatedAt)
}
