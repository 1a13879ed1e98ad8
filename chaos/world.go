package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"firstcome/clockshift"
)

// world is one run: a topic, a consumer group, a database and a campaign of its own, and the processes.
type world struct {
	*supervisor
	folder    string
	name      string
	timeline  *timeline
	processes map[string]*process
	load      *applicants
	operator  *operator
	record    *record
	// kafkaLost is true while winners may be missing that Kafka has lost; repairs counts what audits repaired.
	kafkaLost bool
	repairs   map[string]int
	// struck and missed count the faults that struck and those that could not, by name; rows is what was issued, and ordered
	// how many of the slots were compared by their order.
	struck, missed map[string]int
	rows, ordered  int
	faultsTook     time.Duration
	differences    []string
	// The supervisor's own ways to the servers, past all proxies.
	redis    redis.UniversalClient
	database *sql.DB
}

const (
	campaignCode = "welcome"
	firstQuota   = 400
	partitions   = 4
	group        = "chaos"
)

// newWorld makes a run's folder, tables, topic, processes and campaign, and waits until the gate is open.
func (s *supervisor) newWorld(ctx context.Context, name string, out io.Writer) (*world, error) {
	w := &world{
		supervisor: s, name: name, folder: filepath.Join(s.folder, name), processes: map[string]*process{}, record: newRecord(),
		repairs: map[string]int{}, struck: map[string]int{}, missed: map[string]int{},
	}
	if err := os.MkdirAll(w.folder, 0o755); err != nil {
		return w, err
	}
	var err error
	if w.timeline, err = newTimeline(w.folder, out); err != nil {
		return w, err
	}
	w.redis = s.servers.openRedis()
	if err := w.flush(ctx); err != nil {
		return w, err
	}
	if err := w.openDatabase(ctx); err != nil {
		return w, err
	}
	if output, err := w.firstcome(ctx, "migrate"); err != nil {
		return w, fmt.Errorf("migrate: %w: %s", err, output)
	}
	w.operator = newOperator([]string{address(s.httpPorts["api1"]), address(s.httpPorts["api2"])})
	w.load = newApplicants(w)
	for _, r := range roles {
		if err := w.startProcess(r); err != nil {
			return w, err
		}
	}
	if err := w.openCampaign(ctx); err != nil {
		return w, err
	}
	err = w.mark(ctx)
	return w, err
}

// openDatabase makes the run's database. Without a limit of idle connections each fault would have to wait for a
// connection that the last one has broken.
func (w *world) openDatabase(ctx context.Context) error {
	_ = mysql.SetLogger(log.New(io.Discard, "", 0)) // the driver would tell of each broken connection
	port := w.servers.direct().mysqlPort
	server, err := sql.Open("mysql", mysqlDSN(port, "mysql"))
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	// Shorter than the program's own patience, until the server is restarted: so both ends of a lock wait occur.
	for _, statement := range []string{"CREATE DATABASE " + w.name, "SET GLOBAL innodb_lock_wait_timeout = 2"} {
		if _, err := server.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	w.database, err = sql.Open("mysql", mysqlDSN(port, w.name)+"?parseTime=true&timeout=5s&readTimeout=60s&writeTimeout=10s")
	if err == nil {
		w.database.SetMaxIdleConns(0)
	}
	return err
}

// variables are the configuration of a process that finds its servers there.
func (w *world) variables(at addresses) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "FIRSTCOME_ADMIN_TOKEN=" + operatorToken,
		"FIRSTCOME_REDIS_ADDRS=" + strings.Join(at.redis, ","), "FIRSTCOME_KAFKA_BROKERS=" + strings.Join(at.kafka, ","),
		"FIRSTCOME_MYSQL_DSN=" + mysqlDSN(at.mysqlPort, w.name), "FIRSTCOME_MYSQL_TIMEOUT=3s",
		"FIRSTCOME_KAFKA_TOPIC=" + w.name, "FIRSTCOME_KAFKA_GROUP=" + group,
		fmt.Sprintf("FIRSTCOME_KAFKA_PARTITIONS=%d", partitions),
		fmt.Sprintf("FIRSTCOME_KAFKA_REPLICATION_FACTOR=%d", len(w.servers.direct().kafka)),
		"FIRSTCOME_DEFAULT_CAMPAIGN=" + campaignCode, "FIRSTCOME_PRODUCE_TIMEOUT=1s",
		"FIRSTCOME_MAX_ATTEMPTS=5", "FIRSTCOME_BACKOFF_MIN=200ms", "FIRSTCOME_BACKOFF_MAX=1s",
	}
}

// firstcome runs a command that ends by itself, on the servers without proxies.
func (w *world) firstcome(ctx context.Context, arguments ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, w.binary, arguments...)
	command.Env = append(w.variables(w.servers.direct()), "FIRSTCOME_LOG_LEVEL=error")
	output, err := os.OpenFile(filepath.Join(w.folder, "commands.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	command.Stderr = output
	return command.Output()
}

func (w *world) startProcess(r role) error {
	p := &process{
		name: r.process, role: r.role, binary: w.binary, address: address(w.httpPorts[r.process]),
		logPath:   filepath.Join(w.folder, r.process+".log"),
		variables: w.variables(w.seenBy(r.process)),
	}
	p.variables = append(p.variables, "FIRSTCOME_HTTP_ADDR="+p.address, clockshift.Variable+"="+w.clockFile(r.process))
	w.processes[r.process] = p
	return p.start()
}

// seenBy is where a process finds its servers: behind its links, as far as there are any.
func (w *world) seenBy(process string) addresses {
	at := w.servers.direct()
	for _, server := range w.topology.linked {
		behind := w.linkPorts[linkName(process, server)]
		switch server {
		case redisServer:
			at.redis = []string{address(behind)}
		case kafkaServer:
			at.kafka = []string{address(behind)}
		case mysqlServer:
			at.mysqlPort = behind
		}
	}
	return at
}

func (w *world) openCampaign(ctx context.Context) error {
	err := eventually(ctx, time.Minute, "every process answers", func(ctx context.Context) error {
		for _, p := range w.processes {
			if !p.alive(ctx) {
				return errors.New(p.name + " does not answer")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.operator.create(ctx, campaignCode, firstQuota); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, "the gate is open", func(ctx context.Context) error {
		view, err := w.operator.campaign(ctx)
		if err == nil && (view.Gate == nil || view.Gate.Closed != "") {
			return errors.New("the gate is closed")
		}
		return err
	})
}

// stop ends the processes in an orderly way, and says of which this is not true.
func (w *world) stop() []string {
	var problems []string
	for _, r := range roles {
		p := w.processes[r.process]
		if problem := p.check(); problem != "" {
			problems = append(problems, problem)
		}
		if code := p.terminate(stopPatience); code != 0 {
			problems = append(problems, fmt.Sprintf("%s ended with exit code %d after SIGTERM", p.name, code))
		}
	}
	return problems
}

// close ends what is still there, whatever state it is in. Its own database goes too, so that the small disk stays
// as large as it was.
func (w *world) close() {
	for _, p := range w.processes {
		p.kill()
	}
	if w.database != nil {
		_, _ = w.database.Exec("DROP DATABASE " + w.name) //nolint:noctx // the run's context may have ended
		_ = w.database.Close()
	}
	if w.redis != nil {
		_ = w.redis.Close()
	}
	if w.timeline != nil {
		w.timeline.close()
	}
}

// eventually repeats a check until it gives no error; the last one is returned when the time is over.
func eventually(ctx context.Context, patience time.Duration, what string, check func(context.Context) error) error {
	return whileItMoves(ctx, patienceOf{patience, patience}, what, check)
}

// patienceOf says how long to wait while nothing moves, and how long in all.
type patienceOf struct{ standstill, whole time.Duration }

// whileItMoves is eventually with a patience that begins anew whenever the check says something else: a machine with much
// to do takes longer for each step, and is not stuck.
func whileItMoves(ctx context.Context, patience patienceOf, what string, check func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience.whole)
	defer cancel()
	var last error
	moved := time.Now()
	for {
		err := check(limited)
		if err == nil {
			return nil
		}
		if limited.Err() == nil || last == nil {
			if last == nil || err.Error() != last.Error() {
				moved = time.Now()
			}
			last = err
		}
		if time.Since(moved) >= patience.standstill || !pause(limited, 100*time.Millisecond) {
			return fmt.Errorf("waited %s in vain until %s: %w", patience.standstill, what, last)
		}
	}
}

// pause says whether the time passed before the context ended.
func pause(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
