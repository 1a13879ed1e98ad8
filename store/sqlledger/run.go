package sqlledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/domain"
)

// serverRun is one run of a database server: which server, and since when it has been up, by its own clock.
type serverRun struct {
	server       string
	startedUnixS int64
}

// runToleranceS is by how much the starts of one run may differ: they are computed from times in whole seconds, and the
// server's clock is put right now and then.
const runToleranceS = 5

// String names the run for people, and for parseRun.
func (r serverRun) String() string { return r.server + " @" + strconv.FormatInt(r.startedUnixS, 10) }

func parseRun(text string) (serverRun, error) {
	at := strings.LastIndex(text, " @")
	if at < 0 {
		return serverRun{}, domain.Invalid("run", "this names no run of a server")
	}
	started, err := strconv.ParseInt(text[at+2:], 10, 64)
	if err != nil {
		return serverRun{}, domain.Invalid("run", "this names no run of a server")
	}
	return serverRun{text[:at], started}, nil
}

func (r serverRun) same(other serverRun) bool {
	apart := r.startedUnixS - other.startedUnixS
	return r.server == other.server && apart <= runToleranceS && -apart <= runToleranceS
}

// UnverifiedRun names the run of the server now, and is "" when the ledger was compared with the topic under it.
func (l *Ledger) UnverifiedRun(ctx context.Context) (string, error) {
	unverified := ""
	err := l.write(ctx, "unverified_run", func(tx *gorm.DB) error {
		now, verified, err := l.runs(tx, lockShared)
		unverified = ""
		if err == nil && !now.same(verified) {
			unverified = now.String()
		}
		return err
	})
	return unverified, err
}

// MarkVerified notes that a comparison which began under this run has come to its end. CodeConflict: the server runs
// under another one by now. The run is asked for in the transaction that notes it, so both are of one server.
func (l *Ledger) MarkVerified(ctx context.Context, run string) error {
	compared, err := parseRun(run)
	if err != nil {
		return err
	}
	return l.write(ctx, "mark_verified", func(tx *gorm.DB) error {
		now, _, err := l.runs(tx, lockExclusive)
		if err != nil {
			return err
		}
		if !now.same(compared) {
			return domain.Errorf(domain.CodeConflict, "the database server runs under another run by now: %s", now)
		}
		return tx.Model(&installationRow{}).Where("id = ?", theInstallation).
			Updates(map[string]any{"verified_run": now.server, "verified_run_started_s": now.startedUnixS}).Error
	})
}

// runs reads the run of the server now and the one under which the ledger was verified.
func (l *Ledger) runs(tx *gorm.DB, strength string) (now, verified serverRun, err error) {
	var row installationRow
	err = tx.Clauses(clause.Locking{Strength: strength}).Where("id = ?", theInstallation).Take(&row).Error
	if err != nil {
		return now, verified, err
	}
	now, err = l.backend.run(tx)
	return now, serverRun{row.VerifiedRun, row.VerifiedRunStartedS}, err
}

// mysqlRun asks the server. MariaDB has no server_uuid; there the host's name and the port have to do.
func mysqlRun(tx *gorm.DB) (serverRun, error) {
	names, err := shownValues(tx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_id', 'hostname', 'port')")
	if err != nil {
		return serverRun{}, err
	}
	status, err := shownValues(tx, "SHOW GLOBAL STATUS LIKE 'Uptime'")
	if err != nil {
		return serverRun{}, err
	}
	uptime, err := strconv.ParseInt(status["uptime"], 10, 64)
	if err != nil {
		return serverRun{}, fmt.Errorf("the server's uptime is %q: %w", status["uptime"], err)
	}
	var unixS int64
	if err := tx.Raw("SELECT UNIX_TIMESTAMP()").Scan(&unixS).Error; err != nil {
		return serverRun{}, err
	}
	server := strings.Join([]string{names["hostname"] + ":" + names["port"], names["server_id"], names["server_uuid"]}, " ")
	return serverRun{server: strings.TrimSpace(server), startedUnixS: unixS - uptime}, nil
}

// shownValues gives what a SHOW statement says, with names in small letters.
func shownValues(tx *gorm.DB, statement string) (map[string]string, error) {
	rows, err := tx.Raw(statement).Rows()
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // what it would say, rows.Err says
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		values[strings.ToLower(name)] = value
	}
	return values, rows.Err()
}
