// Package sqlledger keeps the ledger (campaigns, coupons, fail events) in MySQL 8, MariaDB 10.11 or, for the program
// that runs alone, SQLite. Ledger implements every interface of domain/ports_ledger.go.
//
// The unique keys (campaign, user) and (campaign, slot) are what holds when everything else fails. Around them:
//
//   - Each change is one short transaction at READ COMMITTED. A deadlock or a lock wait that took too long undoes it
//     whole and tries it again, a bounded number of times (call.go).
//   - What depends on a campaign's epoch reads the campaign's row under a shared lock, so that no change of an older
//     epoch commits after BeginRebuild has returned.
//   - Locks are taken in one order: campaign, fail event, coupon.
//   - A transaction that decides on a row reads it under a lock first. The number of rows that a statement says it
//     changed is trusted only where it means the same on all three databases.
//   - Times are in UTC, to the microsecond. The ledger's own are the database server's (clock.go): the clocks of our hosts
//     decide nothing.
package sqlledger

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"
	gormlogger "gorm.io/gorm/logger"

	"firstcome/domain"
)

// Dialects of Config.
const (
	DialectMySQL  = "mysql"
	DialectSQLite = "sqlite"
)

// Limits of the configuration.
const (
	defaultMaxOpenConns = 16
	defaultCallTimeout  = 5 * time.Second
	minCallTimeout      = 100 * time.Millisecond
	// A connection ends after connMinLifetime and up to connLifetimeSpread more, so that it stays with no server to which
	// the address has stopped to point, and that processes do not all come back at once.
	connMinLifetime    = 40 * time.Second
	connLifetimeSpread = 20 * time.Second
	connMaxIdleTime    = 20 * time.Second
)

// Config says which database, and how long to wait for it.
type Config struct {
	// Dialect is DialectMySQL (MySQL 8 and MariaDB 10.11) or DialectSQLite (not in release builds).
	Dialect string
	// DSN is user:password@tcp(host:port)/database for MySQL, the path of a file for SQLite. Whatever the ledger
	// relies on (time zone, character set, strictness, timeouts) it sets itself.
	DSN string
	// MaxOpenConns bounds the connections of this process; 0 is 16.
	MaxOpenConns int
	// CallTimeout bounds one call, waits and repetitions included; for VisitHolders each page. 0 is 5 s, the least 100 ms.
	CallTimeout time.Duration
	// Now is the clock of this process; nil is time.Now. Only with SQLite, which has no clock of its own, it decides.
	Now func() time.Time
}

// Ledger is the database. It is safe for concurrent use.
type Ledger struct {
	config  Config
	pool    *sql.DB
	db      *gorm.DB
	backend backend
	// writer admits one writing transaction at a time on SQLite, in the order of their coming; nil elsewhere.
	writer chan struct{}
	// pageSize is holdersPage; tests make it small.
	pageSize int
	turns    claimTurns
	logger   *slog.Logger
	metrics  *metrics
}

// backend is what differs between the databases.
type backend struct {
	open func() (*sql.DB, error)
	// openForMigration is open without a limit on how long a statement may take.
	openForMigration func() (*sql.DB, error)
	dialector        func(*sql.DB) gorm.Dialector
	// warnings tells of the server's settings.
	warnings func(tx *gorm.DB) ([]string, error)
	// keys is the statement that lists the keys of all tables.
	keys string
	// clock asks the database what time it is, and clockInStatement is the same in a statement; empty where it has none.
	clock            func(tx *gorm.DB) (time.Time, error)
	clockInStatement string
	// run names the run of the server that a transaction is on.
	run        func(tx *gorm.DB) (serverRun, error)
	migrations fs.FS
	// byIndex names a table such that it is read by this index, or by primaryKey: the optimizers of MySQL and MariaDB
	// otherwise read everything before the page, or every row of another campaign.
	byIndex func(table, index string) string
	// inserted names what an insert would have put into a column, where it met a row with the same key.
	inserted func(column string) string
	// passOver ends an insert whose rows are passed over where they conflict with a row that is there.
	passOver  string
	oneWriter bool
	// lockName names the lock that makes migrations wait for each other; empty where none is needed.
	lockName string
}

// primaryKey is no index of its own: it is the table in the order of its IDs.
const primaryKey = "PRIMARY"

var (
	_ domain.CampaignReader    = (*Ledger)(nil)
	_ domain.CampaignWriter    = (*Ledger)(nil)
	_ domain.CouponStore       = (*Ledger)(nil)
	_ domain.FailEventClaimer  = (*Ledger)(nil)
	_ domain.FailEventSettler  = (*Ledger)(nil)
	_ domain.FailEventReader   = (*Ledger)(nil)
	_ domain.FailEventOperator = (*Ledger)(nil)
	_ domain.CouponReader      = (*Ledger)(nil)
	_ domain.LedgerRebuild     = (*Ledger)(nil)
	_ domain.RevocationLedger  = (*Ledger)(nil)
	_ domain.LedgerCounter     = (*Ledger)(nil)
	_ domain.SettingStore      = (*Ledger)(nil)
	_ domain.FunnelWriter      = (*Ledger)(nil)
	_ domain.FunnelReader      = (*Ledger)(nil)
	_ domain.CouponFinder      = (*Ledger)(nil)
	_ domain.CouponRevoker     = (*Ledger)(nil)
	_ domain.BulkReader        = (*Ledger)(nil)
	_ domain.BulkRunner        = (*Ledger)(nil)
	_ domain.HeartbeatStore    = (*Ledger)(nil)
	_ domain.ActionLog         = (*Ledger)(nil)
	_ domain.InstallationNamer = (*Ledger)(nil)
	_ domain.LedgerVerifier    = (*Ledger)(nil)
)

// Open prepares a ledger; a MySQL server need not be up for it. The error says what is wrong with the configuration.
func Open(config Config, registerer prometheus.Registerer, logger *slog.Logger) (*Ledger, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	backend, err := backendOf(config, logger)
	if err != nil {
		return nil, err
	}
	pool, err := backend.open()
	if err != nil {
		return nil, classify(err)
	}
	pool.SetMaxOpenConns(config.MaxOpenConns)
	pool.SetMaxIdleConns(config.MaxOpenConns)
	pool.SetConnMaxLifetime(connMinLifetime + rand.N(connLifetimeSpread))
	pool.SetConnMaxIdleTime(connMaxIdleTime)
	ledger := &Ledger{config: config, pool: pool, backend: backend, pageSize: holdersPage, logger: logger}
	if backend.oneWriter {
		ledger.writer = make(chan struct{}, 1)
	}
	if err := ledger.prepare(registerer); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return ledger, nil
}

func (l *Ledger) prepare(registerer prometheus.Registerer) error {
	var err error
	if l.metrics, err = newMetrics(registerer, l.pool); err != nil {
		return err
	}
	// Statements may hold what applicants sent, so gorm itself logs nothing.
	l.db, err = gorm.Open(l.backend.dialector(l.pool), &gorm.Config{
		SkipDefaultTransaction: true, DisableAutomaticPing: true, Logger: gormlogger.Discard, NowFunc: l.config.processNow,
	})
	var fromSQLite sqliteError
	if errors.As(err, &fromSQLite) && isDamaged(fromSQLite) {
		return domain.Wrap(domain.CodeUnavailable, err, l.damagedFile())
	}
	if err != nil {
		return classify(err)
	}
	return nil
}

// complete fills in what was left out and refuses what makes no sense.
func (c *Config) complete() error {
	if c.DSN == "" {
		return errors.New("database: no address is given")
	}
	if c.MaxOpenConns < 0 {
		return errors.New("database: the number of connections must not be negative")
	}
	if c.MaxOpenConns == 0 {
		c.MaxOpenConns = defaultMaxOpenConns
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.CallTimeout < minCallTimeout {
		return errors.New("database: a call must be given at least " + minCallTimeout.String())
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func backendOf(config Config, logger *slog.Logger) (backend, error) {
	switch config.Dialect {
	case DialectMySQL:
		return mysqlBackend(config, logger)
	case DialectSQLite:
		return sqliteBackend(config)
	}
	return backend{}, errors.New("database: the dialect must be " + DialectMySQL + " or " + DialectSQLite)
}

// Close ends all connections; calls under way fail with CodeUnavailable.
func (l *Ledger) Close() error {
	if err := l.pool.Close(); err != nil {
		return classify(err)
	}
	return nil
}
