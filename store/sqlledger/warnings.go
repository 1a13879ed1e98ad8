package sqlledger

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// Warnings gives in words for an operator under which settings or facts of the database promises depend on luck. A
// database that can't be reached gives none: Ping tells of that.
func (l *Ledger) Warnings(ctx context.Context) []string {
	var warnings []string
	err := l.observe(ctx, "warnings", func(ctx context.Context) error {
		return l.undone(ctx, func(tx *gorm.DB) error {
			var err error
			warnings, err = l.backend.warnings(tx)
			if err != nil {
				return err
			}
			missing, err := l.missingKeys(tx)
			for _, key := range missing {
				warnings = append(warnings, key.warning())
			}
			return err
		})
	})
	if err != nil {
		return nil
	}
	return warnings
}

// serverFact is a variable of MySQL or MariaDB with what is wrong with some of its values. A variable that a server does
// not have is in order.
type serverFact struct {
	variable string
	wrong    func(value string) bool
	warning  string
}

func isNot(wanted string) func(string) bool {
	return func(value string) bool { return !strings.EqualFold(value, wanted) }
}

func isOneOf(wrong ...string) func(string) bool {
	return func(value string) bool {
		for _, one := range wrong {
			if strings.EqualFold(value, one) {
				return true
			}
		}
		return false
	}
}

var serverFacts = []serverFact{
	{"sync_binlog", isNot("1"), "after a crash of its host the database may lack what it committed last, and its replicas differ: set sync_binlog=1"},
	{"innodb_flush_log_at_trx_commit", isNot("1"), "a crash may lose coupons that were committed: set innodb_flush_log_at_trx_commit=1"},
	{"innodb_doublewrite", isOneOf("OFF", "0"), "a crash while a page is written may destroy it: set innodb_doublewrite=ON"},
	{"read_only", isOneOf("ON", "1"), "the database is read-only: does the address lead to the primary?"},
	{"super_read_only", isOneOf("ON", "1"), "the database is read-only for everybody: does the address lead to the primary?"},
	{"sql_mode", lacksStrict, "others' sessions are not strict, and may store texts or numbers that are cut short: add STRICT_TRANS_TABLES to sql_mode"},
	{"wsrep_on", isOneOf("ON", "1"), "Galera: let this program write to one node only; with several writers a slot can be told twice"},
	{"group_replication_single_primary_mode", isOneOf("OFF", "0"), "group replication with several primaries: with several writers a slot can be told twice"},
}

func lacksStrict(mode string) bool { return !strings.Contains(strings.ToUpper(mode), "STRICT_") }

func mysqlWarnings(tx *gorm.DB) ([]string, error) {
	values, err := shownValues(tx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return nil, err
	}
	warnings := judgeVariables(values)
	replica, err := isReplica(tx)
	if err == nil && replica {
		warnings = append(warnings, "the database is a replica of another one: what is written here is not written there")
	}
	return warnings, nil
}

// judgeVariables says what is wrong with a server's variables.
func judgeVariables(values map[string]string) []string {
	var warnings []string
	for _, fact := range serverFacts {
		value, known := values[fact.variable]
		if !known || !fact.wrong(value) || fact.variable == "sync_binlog" && isOneOf("OFF", "0")(values["log_bin"]) {
			continue
		}
		if fact.variable == "group_replication_single_primary_mode" && values["group_replication_group_name"] == "" {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s=%s: %s", fact.variable, value, fact.warning))
	}
	return warnings
}

// isReplica says whether the server follows another one. The statement needs a right that this program may lack; then
// nobody knows.
func isReplica(tx *gorm.DB) (bool, error) {
	rows, err := tx.Raw("SHOW SLAVE STATUS").Rows()
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // what it would say, rows.Err says
	found := rows.Next()
	return found, rows.Err()
}
