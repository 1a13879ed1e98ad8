package sqlledger

import (
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
)

//go:embed migration/mysql/*.sql
var mysqlMigrations embed.FS

func mysqlBackend(config Config, logger *slog.Logger) (backend, error) {
	settings, err := mysqlSettings(config)
	if err != nil {
		return backend{}, err
	}
	settings.Logger = driverLogger{logger}
	patient := settings.Clone()
	patient.ReadTimeout = 0
	migrations, err := fs.Sub(mysqlMigrations, "migration/mysql")
	if err != nil {
		return backend{}, fmt.Errorf("database: %w", err)
	}
	digest := sha256.Sum256([]byte(settings.DBName))
	return backend{
		open:             func() (*sql.DB, error) { return openMySQL(settings) },
		openForMigration: func() (*sql.DB, error) { return openMySQL(patient) },
		dialector:        mysqlDialector,
		run:              mysqlRun,
		clock:            mysqlClock,
		clockInStatement: "UTC_TIMESTAMP(6)",
		warnings:         mysqlWarnings,
		keys:             mysqlKeys,
		migrations:       migrations,
		inserted:         func(column string) string { return "VALUES(" + column + ")" },
		passOver:         " ON DUPLICATE KEY UPDATE id = id",
		byIndex:          func(table, index string) string { return table + " FORCE INDEX (" + index + ")" },
		lockName:         "firstcome_migration_" + hex.EncodeToString(digest[:8]),
	}, nil
}

func openMySQL(settings *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// mysqlDialector asks the server nothing. MariaDB would have gorm add RETURNING, with which a conflict that was passed
// over is counted wrongly, and it does not know FOR SHARE; without either, both servers are treated alike.
func mysqlDialector(pool *sql.DB) gorm.Dialector {
	return gormmysql.New(gormmysql.Config{
		Conn: pool, SkipInitializeWithVersion: true, DisableWithReturning: true, DontSupportForShareClause: true,
	})
}

// mysqlSettings reads the DSN and sets whatever the ledger relies on, whatever the DSN says about it.
func mysqlSettings(config Config) (*mysql.Config, error) {
	settings, err := mysql.ParseDSN(config.DSN)
	if err != nil {
		return nil, fmt.Errorf("database: the DSN must read user:password@tcp(host:port)/database: %w", err)
	}
	if settings.DBName == "" {
		return nil, errors.New("database: the DSN names no database: user:password@tcp(host:port)/database")
	}
	if settings.User == "" {
		return nil, errors.New("database: the DSN names no user: user:password@tcp(host:port)/database")
	}
	settings.ParseTime, settings.Loc = true, time.UTC
	settings.InterpolateParams, settings.MultiStatements = true, false
	settings.AllowAllFiles, settings.RejectReadOnly = false, false
	// A count of changed rows must not include rows that a conflict left as they were.
	settings.ClientFoundRows = false
	for _, timeout := range []*time.Duration{&settings.Timeout, &settings.ReadTimeout, &settings.WriteTimeout} {
		if *timeout <= 0 {
			*timeout = config.CallTimeout
		}
	}
	setSessionVariables(settings, config.CallTimeout)
	err = settings.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin"), mysql.TimeTruncate(time.Microsecond))
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return settings, nil
}

// setSessionVariables makes every connection strict: without it MySQL may shorten a text or a number, and report success.
func setSessionVariables(settings *mysql.Config, callTimeout time.Duration) {
	if settings.Params == nil {
		settings.Params = map[string]string{}
	}
	settings.Params["sql_mode"] = "'TRADITIONAL'"
	settings.Params["time_zone"] = "'+00:00'"
	settings.Params["autocommit"] = "1"
	// Less than a call may take, so that a wait ends with the server's word, and the connection stays usable.
	seconds := max(1, int(callTimeout/time.Second)/2)
	settings.Params["innodb_lock_wait_timeout"] = strconv.Itoa(seconds)
}

// driverLogger takes what the driver would print to the standard error. The caller gets the error as well.
type driverLogger struct{ logger *slog.Logger }

// Print is what the driver calls.
func (d driverLogger) Print(values ...any) {
	d.logger.Debug("database driver", "said", fmt.Sprint(values...))
}
