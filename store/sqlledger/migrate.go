package sqlledger

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"firstcome/domain"
)

//go:embed statement/lock_migration.sql
var lockMigration string

//go:embed statement/unlock_migration.sql
var unlockMigration string

// migrationPatienceSeconds is how long a migration waits for one that another process runs.
const migrationPatienceSeconds = 60

// Migrate brings the tables to the version of this program. Any number of processes may call it at once. It is bounded
// by the context alone: a change of a big table takes long. CodeUnavailable.
func (l *Ledger) Migrate(ctx context.Context) error {
	return l.count("migrate", func() (err error) {
		pool, err := l.backend.openForMigration()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pool.Close()) }()
		provider, err := l.migrationProvider(pool)
		if err != nil {
			return err
		}
		results, err := provider.Up(ctx)
		for _, result := range results {
			l.logger.Info("database migrated", "version", result.Source.Version, "duration", result.Duration)
		}
		if err != nil {
			return domain.Wrap(domain.CodeUnavailable, err, l.migrationFailure(err))
		}
		if err := l.nameInstallation(ctx, pool); err != nil {
			return err
		}
		return l.restoreKeys(ctx, pool)
	})
}

// migrationFailure says what a person can do about it, as far as that is known.
func (l *Ledger) migrationFailure(err error) string {
	var fromSQLite sqliteError
	var fromMySQL *mysql.MySQLError
	switch {
	case errors.As(err, &fromSQLite) && isDamaged(fromSQLite):
		return l.damagedFile()
	case errors.As(err, &fromMySQL) && fromMySQL.Number == mysqlNoDatabase:
		return "there is no such database; make it by CREATE DATABASE " + quotedDatabase(l.config.DSN) +
			" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, and migrate again"
	}
	return "the database could not be migrated"
}

func (l *Ledger) damagedFile() string {
	return fmt.Sprintf("the database's file %s is damaged: put a copy of its folder back, or start with another folder", l.config.DSN)
}

// quotedDatabase is the name of the database in a DSN, as a statement takes it.
func quotedDatabase(dsn string) string {
	settings, err := mysql.ParseDSN(dsn)
	if err != nil {
		return "of the DSN's name"
	}
	return "`" + strings.ReplaceAll(settings.DBName, "`", "``") + "`"
}

// SchemaCurrent says whether the tables are of this program's version, or a newer one. CodeUnavailable, with a message
// that names the command to run.
func (l *Ledger) SchemaCurrent(ctx context.Context) error {
	return l.observe(ctx, "schema", func(ctx context.Context) error {
		wanted, err := l.newestMigration()
		if err != nil {
			return err
		}
		store, err := database.NewStore(l.gooseDialect(), goose.DefaultTablename)
		if err != nil {
			return err
		}
		version, err := store.GetLatestVersion(ctx, l.pool)
		if err != nil && !errors.Is(err, database.ErrVersionNotFound) {
			return err
		}
		if version < wanted {
			return domain.Errorf(domain.CodeUnavailable,
				"the database is at version %d, this program needs %d: run `firstcome migrate`", version, wanted)
		}
		return nil
	})
}

func (l *Ledger) gooseDialect() database.Dialect {
	if l.config.Dialect == DialectSQLite {
		return database.DialectSQLite3
	}
	return database.DialectMySQL
}

func (l *Ledger) migrationProvider(pool *sql.DB) (*goose.Provider, error) {
	var options []goose.ProviderOption
	if l.backend.lockName != "" {
		options = append(options, goose.WithSessionLocker(migrationLock{l.backend.lockName}))
	}
	return goose.NewProvider(l.gooseDialect(), pool, l.backend.migrations, options...)
}

// newestMigration is the version that the last migration file names.
func (l *Ledger) newestMigration() (int64, error) {
	files, err := fs.Glob(l.backend.migrations, "*.sql")
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("no migration files: %w", err)
	}
	return goose.NumericComponent(files[len(files)-1])
}

// migrationLock lets one process migrate at a time.
type migrationLock struct{ name string }

var _ lock.SessionLocker = migrationLock{}

// SessionLock waits for the lock, up to migrationPatienceSeconds.
func (m migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var taken sql.NullInt64
	err := conn.QueryRowContext(ctx, lockMigration, m.name, migrationPatienceSeconds).Scan(&taken)
	if err != nil {
		return err
	}
	if taken.Int64 != 1 {
		return domain.Errorf(domain.CodeUnavailable, "another migration has been under way for too long")
	}
	return nil
}

// SessionUnlock gives the lock back.
func (m migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, unlockMigration, m.name)
	return err
}
