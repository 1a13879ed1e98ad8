//go:build !release

package sqlledger

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

//go:embed migration/sqlite/*.sql
var sqliteMigrations embed.FS

//go:embed statement/keys_sqlite.sql
var sqliteKeys string

// sqliteRun is the same for all time: a file has no server that could be exchanged.
func sqliteRun(*gorm.DB) (serverRun, error) { return serverRun{server: "sqlite"}, nil }

// sqliteBackend keeps the ledger in one file. A transaction that writes takes the write lock at its start
// (_txlock=immediate), so a locking read needs no clause. The file is synced at checkpoints only: what was committed
// survives the end of the process, not a power cut.
func sqliteBackend(config Config) (backend, error) {
	if strings.ContainsAny(config.DSN, "?#%") {
		return backend{}, errors.New("database: the path of a SQLite file must not contain ?, # or %")
	}
	dsn := fmt.Sprintf("%s?_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate",
		config.DSN, config.CallTimeout.Milliseconds())
	migrations, err := fs.Sub(sqliteMigrations, "migration/sqlite")
	if err != nil {
		return backend{}, fmt.Errorf("database: %w", err)
	}
	open := func() (*sql.DB, error) { return sql.Open(sqlite.DriverName, dsn) }
	return backend{
		open: open, openForMigration: open, migrations: migrations, oneWriter: true,
		inserted: func(column string) string { return "excluded." + column },
		run:      sqliteRun,
		clock:    func(*gorm.DB) (time.Time, error) { return config.processNow(), nil },
		warnings: func(*gorm.DB) ([]string, error) { return nil, nil },

		keys: sqliteKeys,

		passOver:  " ON CONFLICT DO NOTHING",
		byIndex:   sqliteByIndex,
		dialector: func(pool *sql.DB) gorm.Dialector { return sqlite.Dialector{Conn: pool} },
	}, nil
}

func sqliteByIndex(table, index string) string {
	if index == primaryKey {
		return table + " NOT INDEXED"
	}
	return table + " INDEXED BY " + index
}
