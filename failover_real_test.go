//go:build realservers

package main

import (
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/sqlledger"
)

// pair is a MySQL primary and its replica behind an address.
type pair struct {
	t       *testing.T
	servers [2]string
	address *movingAddress
}

// newPair makes the servers anew: what the last test left is no pair any more.
func newPair(t *testing.T) *pair {
	t.Helper()
	skipOnMariaDB(t, "the pair is one of MySQL")
	port, err := strconv.Atoi(requireSetting(t, "FIRSTCOME_TEST_PAIR_PORT"))
	require.NoError(t, err)
	addresses := [2]string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)}
	wipe := exec.Command(requireSetting(t, "FIRSTCOME_TEST_SERVERS"), "down", "pair")
	wipe.Env = append(os.Environ(), "WIPE=1")
	output, err := wipe.CombinedOutput()
	require.NoError(t, err, string(output))
	servers(t, "up", "pair")
	t.Cleanup(func() { servers(t, "down", "pair") })
	return &pair{t, addresses, startMovingAddress(t, addresses[0])}
}

// environment puts the pair's address in the place of the one database.
func (p *pair) environment() *environment {
	p.t.Helper()
	env := newEnvironment(p.t)
	settings, err := mysql.ParseDSN(env.at.dsn)
	require.NoError(p.t, err)
	settings.Addr = p.address.addr()
	p.execute(0, "CREATE DATABASE "+settings.DBName)
	env.at.dsn = settings.FormatDSN()
	env.config.MySQLDSN = env.at.dsn
	env.config.AuditWait = 100 * time.Millisecond
	return env
}

func (p *pair) connect(server int) *sql.DB {
	p.t.Helper()
	settings := mysql.NewConfig()
	settings.User, settings.Passwd, settings.Net, settings.Addr = "firstcome", "firstcome", "tcp", p.servers[server]
	database, err := sql.Open("mysql", settings.FormatDSN())
	require.NoError(p.t, err)
	return database
}

func (p *pair) execute(server int, statements ...string) {
	p.t.Helper()
	database := p.connect(server)
	defer func() { _ = database.Close() }()
	for _, statement := range statements {
		_, err := database.ExecContext(p.t.Context(), statement)
		require.NoError(p.t, err, statement)
	}
}

// value asks a server for one text.
func (p *pair) value(server int, question string) string {
	p.t.Helper()
	database := p.connect(server)
	defer func() { _ = database.Close() }()
	var answer string
	require.NoError(p.t, database.QueryRowContext(p.t.Context(), question).Scan(&answer))
	return answer
}

// catchUp waits until the replica has what the primary has.
func (p *pair) catchUp() {
	p.t.Helper()
	has := p.value(0, "SELECT @@global.gtid_executed")
	require.Equal(p.t, "0", p.value(1, fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 60)", strings.ReplaceAll(has, "\n", ""))))
}

// promote makes the replica the primary, and has the address lead to it.
func (p *pair) promote() {
	p.t.Helper()
	servers(p.t, "lead", "pair2")
	p.address.moveTo(p.servers[1])
}

// switchOverWithin is how soon storing, and what operators write, must go on after the address has moved.
const switchOverWithin = 5 * time.Second

// TestStoringGoesOnAfterASwitchOver: the old primary stays alive, and its connections open, but it takes no writes.
func TestStoringGoesOnAfterASwitchOver(t *testing.T) {
	p := newPair(t)
	env := p.environment()
	s := env.start(t)
	campaign := s.newCampaign(newCode("switch"), 100_000)
	load := startApplicants(s, campaign, 4)
	s.eventually("coupons are stored", func() bool { return len(s.coupons(campaign)) > 50 })

	p.execute(0, "SET GLOBAL super_read_only = ON")
	time.Sleep(time.Second) // the address leads to a server that takes no writes for a while
	p.catchUp()
	p.promote()
	moved := time.Now()
	stored, written := time.Duration(0), time.Duration(0)
	before := p.value(1, "SELECT COUNT(*) FROM "+databaseOf(t, env)+".coupon")
	s.eventually("storing and operators' writes go on", func() bool {
		if stored == 0 && p.value(1, "SELECT COUNT(*) FROM "+databaseOf(t, env)+".coupon") != before {
			stored = time.Since(moved)
		}
		got, err := s.call(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"name": "after the switch-over"})
		if written == 0 && err == nil && got.status == http.StatusOK {
			written = time.Since(moved)
		}
		return stored > 0 && written > 0
	})
	t.Logf("storing went on after %v, operators' writes after %v", stored, written)
	assert.Less(t, stored, switchOverWithin)
	assert.Less(t, written, switchOverWithin)
	answers := load.stop()
	found := s.auditWhenStored(campaign, load.won())
	assert.Empty(t, found.Differences)
	s.requireIssued(campaign, answers)
}

// TestReadinessTellsOfADatabaseThatTakesNoWrites within five seconds, and of its end.
func TestReadinessTellsOfADatabaseThatTakesNoWrites(t *testing.T) {
	p := newPair(t)
	s := p.environment().start(t)
	said := func(status string) func() bool {
		return func() bool { return s.databaseCheck()["status"] == status }
	}
	s.eventually("the database is ready", said("ok"))
	p.execute(0, "SET GLOBAL super_read_only = ON")
	assert.Eventually(t, said("failed"), switchOverWithin, tick)
	assert.Contains(t, s.databaseCheck()["error"], "read-only")
	p.execute(0, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
	assert.Eventually(t, said("ok"), switchOverWithin, tick)
}

// databaseCheck is what readiness says of the database.
func (s *system) databaseCheck() map[string]any {
	s.t.Helper()
	got := s.must(http.MethodGet, "/readyz", nil)
	checks, _ := got.body["checks"].([]any)
	for _, check := range checks {
		if check, _ := check.(map[string]any); check["name"] == "database" {
			return check
		}
	}
	s.t.Fatalf("readiness says nothing of the database: %v", got.body)
	return nil
}

// TestRowsThatAFailOverLostComeBackByThemselves: the primary is killed, and the replica lacks its last commits, whose
// offsets were committed.
func TestRowsThatAFailOverLostComeBackByThemselves(t *testing.T) {
	p := newPair(t)
	env := p.environment()
	s := env.start(t)
	campaign := s.newCampaign(newCode("lossy"), 100_000)
	load := startApplicants(s, campaign, 4)
	s.eventually("coupons are stored", func() bool { return len(s.coupons(campaign)) > 50 })
	p.catchUp()
	p.execute(1, "STOP SLAVE IO_THREAD")
	kept := len(s.coupons(campaign))
	s.eventually("coupons are stored that the replica lacks", func() bool { return len(s.coupons(campaign)) > kept+50 })
	answers := load.stop()
	s.auditWhenStored(campaign, load.won())
	require.Zero(t, env.uncommitted(t), "no offset is left from which the lost rows would come again")
	servers(t, "kill", "pair1")
	p.promote()

	lacking := p.value(1, "SELECT COUNT(*) FROM "+databaseOf(t, env)+".coupon")
	require.NotEqual(t, fmt.Sprint(load.won()), lacking, "the replica lacks some rows")
	started := time.Now()
	s.eventually("the rows are back", func() bool {
		return p.value(1, "SELECT COUNT(*) FROM "+databaseOf(t, env)+".coupon") == fmt.Sprint(load.won())
	})
	t.Logf("%s of %d rows were left; all were back after %v", lacking, load.won(), time.Since(started))
	found := s.auditWhenStored(campaign, load.won())
	assert.Equal(t, []domain.AuditDifference{}, found.Differences)
	s.requireIssued(campaign, answers)
}

// TestAReplicaIsNamedAsOne: what is written there comes nowhere, though it may take writes.
func TestAReplicaIsNamedAsOne(t *testing.T) {
	p := newPair(t)
	p.execute(0, "CREATE DATABASE shop")
	ledgers := [2]*sqlledger.Ledger{p.ledger(0, "shop"), p.ledger(1, "shop")}
	require.NoError(t, ledgers[0].Migrate(t.Context()))
	p.catchUp()
	warnings := func(server int) string { return strings.Join(ledgers[server].Warnings(t.Context()), "\n") }
	const replica, readOnly = "is a replica of another one", "super_read_only=ON"
	assert.Empty(t, warnings(0))
	assert.Contains(t, warnings(1), replica)
	assert.Contains(t, warnings(1), readOnly)
	p.execute(1, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
	assert.Contains(t, warnings(1), replica)
	assert.NotContains(t, warnings(1), readOnly)
	servers(t, "lead", "pair2")
	assert.Empty(t, warnings(1))
}

func (p *pair) ledger(server int, database string) *sqlledger.Ledger {
	p.t.Helper()
	ledger, err := sqlledger.Open(sqlledger.Config{
		Dialect: sqlledger.DialectMySQL, DSN: "firstcome:firstcome@tcp(" + p.servers[server] + ")/" + database,
	}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(p.t, err)
	p.t.Cleanup(func() { assert.NoError(p.t, ledger.Close()) })
	return ledger
}

func databaseOf(t *testing.T, env *environment) string {
	t.Helper()
	settings, err := mysql.ParseDSN(env.at.dsn)
	require.NoError(t, err)
	return settings.DBName
}
