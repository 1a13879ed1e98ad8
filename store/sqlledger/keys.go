package sqlledger

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"firstcome/domain"
)

// uniqueKey is a unique key on which a promise rests.
type uniqueKey struct {
	table, name string
	columns     []string
	promise     string
}

// uniqueKeys are those that hold when everything else fails.
var uniqueKeys = []uniqueKey{
	{"coupon", "coupon_user", []string{"campaign_id", "user_id"}, "a user could get two coupons of a campaign"},
	{"coupon", "coupon_slot", []string{"campaign_id", "slot"}, "two users could get one slot"},
	{"campaign", "campaign_code", []string{"code"}, "two campaigns could have one code"},
}

func (k uniqueKey) warning() string {
	return fmt.Sprintf("the unique key %s on %s is missing, so %s: run `firstcome migrate`", k.name, k.table, k.promise)
}

// missingKeys gives the unique keys that no index of their table has, whatever its name.
func (l *Ledger) missingKeys(tx *gorm.DB) ([]uniqueKey, error) {
	var missing []uniqueKey
	for _, key := range uniqueKeys {
		indexes, err := l.backend.uniqueIndexes(tx, key.table)
		if err != nil {
			return nil, err
		}
		if !indexes[strings.Join(key.columns, ",")] {
			missing = append(missing, key)
		}
	}
	return missing, nil
}

// mysqlUniqueIndexes gives the columns of each unique index, joined by commas.
func mysqlUniqueIndexes(tx *gorm.DB, table string) (map[string]bool, error) {
	return columnLists(tx, `SELECT GROUP_CONCAT(column_name ORDER BY seq_in_index) FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 GROUP BY index_name`, table)
}

func sqliteUniqueIndexes(tx *gorm.DB, table string) (map[string]bool, error) {
	return columnLists(tx, `SELECT (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(list.name) ORDER BY seqno))
		FROM pragma_index_list(?) AS list WHERE list."unique" = 1 AND list.partial = 0`, table)
}

func columnLists(tx *gorm.DB, question, table string) (map[string]bool, error) {
	var lists []string
	if err := tx.Raw(question, table).Scan(&lists).Error; err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, list := range lists {
		found[list] = true
	}
	return found, nil
}

// restoreKeys puts back the unique keys that somebody has dropped. CodeConflict: rows stand in the way that the key
// forbids; a person must decide which of them go.
func (l *Ledger) restoreKeys(ctx context.Context, pool *sql.DB) error {
	missing, err := l.missingKeys(l.db.WithContext(ctx))
	if err != nil {
		return err
	}
	for _, key := range missing {
		statement := "CREATE UNIQUE INDEX " + key.name + " ON " + key.table + " (" + strings.Join(key.columns, ", ") + ")"
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			if classify(err).Code == domain.CodeRowRefused {
				return domain.Wrap(domain.CodeConflict, err, "the unique key "+key.name+" on "+key.table+
					" is missing, and can't be put back: some rows have the same "+strings.Join(key.columns, " and ")+
					"; `firstcome audit` names them")
			}
			return err
		}
		l.logger.Warn("a unique key was missing and is put back", "key", key.name, "table", key.table)
	}
	return nil
}
