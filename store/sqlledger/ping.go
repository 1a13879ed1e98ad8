package sqlledger

import (
	"context"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"firstcome/domain"
)

// errUndo ends a transaction that is to leave nothing behind.
var errUndo = errors.New("nothing of this transaction is kept")

// Ping says whether the database does what this program needs of it: it takes writes to each table, and each has the
// columns that are written. It writes nothing. CodeUnavailable, with a message that says what is wrong.
func (l *Ledger) Ping(ctx context.Context) error {
	return l.observe(ctx, "ping", func(ctx context.Context) error {
		err := l.tryWrites(ctx)
		if isReadOnlyServer(err) { // The address may lead to another server by now.
			err = l.tryWrites(ctx)
		}
		return err
	})
}

func (l *Ledger) tryWrites(ctx context.Context) error {
	return l.undone(ctx, func(tx *gorm.DB) error {
		for _, row := range []schema.Tabler{campaignRow{}, couponRow{}, failEventRow{}, attemptRow{}, settingRow{}} {
			if err := insertNothing(tx, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// undone runs change in one transaction of which nothing is kept.
func (l *Ledger) undone(ctx context.Context, change func(tx *gorm.DB) error) error {
	err := l.transact(ctx, func(tx *gorm.DB) error {
		if err := change(tx); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

// insertNothing inserts no row into all columns of a table: a server that would refuse a row for a reason of its own
// refuses that too.
func insertNothing(tx *gorm.DB, row schema.Tabler) error {
	statement := &gorm.Statement{DB: tx}
	if err := statement.Parse(row); err != nil {
		return domain.Wrap(domain.CodeInternal, err, messageDefect)
	}
	names := make([]string, len(statement.Schema.DBNames))
	for i, name := range statement.Schema.DBNames {
		names[i] = statement.Quote(name)
	}
	columns, table := strings.Join(names, ", "), statement.Quote(row.TableName())
	return tx.Exec("INSERT INTO " + table + " (" + columns + ") SELECT " + columns + " FROM " + table + " WHERE 1 = 0").Error
}
