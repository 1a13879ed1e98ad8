package sqlledger

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"firstcome/domain"
)

//go:embed statement/keys_mysql.sql
var mysqlKeys string

// neededKey is a key on which a promise or a claim rests.
type neededKey struct {
	table, name string
	// columns are joined by commas.
	columns string
	// plain says that the key is not a unique one.
	plain bool
	// without says what may happen without it.
	without string
}

// neededKeys are those that hold when everything else fails, and those without which each claim or reading of a gate's
// holders reads, and on MySQL locks, the whole table.
var neededKeys = []neededKey{
	{table: "coupon", name: "coupon_user", columns: "campaign_id,user_id", without: "a user could get two coupons of a campaign"},
	{table: "coupon", name: "coupon_slot", columns: "campaign_id,slot", without: "two users could get one slot"},
	{table: "campaign", name: "campaign_code", columns: "code", without: "two campaigns could have one code"},
	{
		table: "fail_event", name: "fail_event_record", columns: "kafka_topic,kafka_partition,kafka_offset,content_key",
		without: "one record could become two fail events",
	},
	{table: "setting", name: "setting_name", columns: "name", without: "a setting could have two values"},
	{table: "installation", name: "installation_one", columns: "id", without: "the installation could have two names"},
	{table: "audit_result", name: "audit_result_campaign", columns: "campaign_code", without: "an old result of an audit could be shown"},
	{
		table: "funnel_bucket", name: "funnel_bucket_outcome", columns: "campaign_code,bucket_unix_s,outcome",
		without: "counts of answers could be wrong",
	},
	{table: "funnel_total", name: "funnel_total_outcome", columns: "campaign_code,outcome", without: "counts of answers could be wrong"},
	{table: "heartbeat", name: "heartbeat_process", columns: "process", without: "a process could be shown twice"},
	{
		table: "coupon", name: "coupon_stored", columns: "campaign_id,id", plain: true,
		without: "reading a campaign's coupons reads those of all campaigns",
	},
	{table: "fail_event", name: "fail_event_turn", columns: "status,campaign_code,next_attempt_at", plain: true, without: "none is claimed while many are due"},
	{table: "fail_event", name: "fail_event_due", columns: "status,next_attempt_at", plain: true, without: "each claim reads and locks all fail events"},
	{table: "fail_event", name: "fail_event_lease", columns: "status,lease_until", plain: true, without: "each rescue reads and locks all fail events"},
	{
		table: "fail_event", name: "fail_event_unresolved", columns: "campaign_code,resolved_at,id", plain: true,
		without: "a rebuild reads all fail events",
	},
	{
		table: "fail_event_attempt", name: "fail_event_attempt_resolved", columns: "resolved_at", plain: true,
		without: "deleting old attempts reads and locks all of them",
	},
}

func (k neededKey) kind() string {
	if k.plain {
		return "index"
	}
	return "unique key"
}

func (k neededKey) warning() string {
	return fmt.Sprintf("the %s %s on %s is missing, so %s: run `firstcome migrate`", k.kind(), k.name, k.table, k.without)
}

// statement puts the key back.
func (k neededKey) statement() string {
	kind := "INDEX "
	if !k.plain {
		kind = "UNIQUE INDEX "
	}
	return "CREATE " + kind + k.name + " ON " + k.table + " (" + k.columns + ")"
}

// MissingKeys says, in words for an operator, which of the keys are missing on which promises and claims rest.
// CodeUnavailable.
func (l *Ledger) MissingKeys(ctx context.Context) ([]string, error) {
	var missing []neededKey
	err := l.observe(ctx, "missing_keys", func(ctx context.Context) error {
		return l.undone(ctx, func(tx *gorm.DB) error {
			var err error
			missing, err = l.missingKeys(tx)
			return err
		})
	})
	said := make([]string, len(missing))
	for i, key := range missing {
		said[i] = key.warning()
	}
	return said, err
}

// tableKey is a key that the database has, whatever its name.
type tableKey struct {
	TableName, KeyColumns string
	Plain                 bool
}

// missingKeys gives the keys that their tables do not have, whatever the names. A unique key does for a plain one.
func (l *Ledger) missingKeys(tx *gorm.DB) ([]neededKey, error) {
	var present []tableKey
	if err := tx.Raw(l.backend.keys).Scan(&present).Error; err != nil {
		return nil, err
	}
	return keysMissingOf(present), nil
}

func keysMissingOf(present []tableKey) []neededKey {
	var missing []neededKey
	for _, key := range neededKeys {
		found := slices.ContainsFunc(present, func(p tableKey) bool {
			return p.TableName == key.table && p.KeyColumns == key.columns && (key.plain || !p.Plain)
		})
		if !found {
			missing = append(missing, key)
		}
	}
	return missing
}

// restoreKeys puts back the keys that somebody has dropped. CodeConflict: rows stand in the way that the key
// forbids; a person must decide which of them go.
func (l *Ledger) restoreKeys(ctx context.Context, pool *sql.DB) error {
	missing, err := l.missingKeys(l.db.WithContext(ctx))
	if err != nil {
		return err
	}
	for _, key := range missing {
		if _, err := pool.ExecContext(ctx, key.statement()); err != nil {
			if classify(err).Code == domain.CodeRowRefused {
				return domain.Wrap(domain.CodeConflict, err, "the unique key "+key.name+" on "+key.table+
					" is missing, and can't be put back: some rows have the same "+strings.ReplaceAll(key.columns, ",", " and ")+
					"; `firstcome audit` names them")
			}
			return err
		}
		l.logger.Warn("a key was missing and is put back", "kind", key.kind(), "key", key.name, "table", key.table)
	}
	return nil
}
