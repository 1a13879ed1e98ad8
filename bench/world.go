package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"

	"firstcome/bench/gauge"
	"firstcome/domain"
)

// world is what one round makes for itself: a database, a topic, a campaign for each use, and the processes.
type world struct {
	options
	servers
	name      string
	folder    string
	script    string
	redis     *redis.Client
	database  *sql.DB
	operator  *operator
	processes map[string]*process
	// profileAddresses is where the processes answer Go's profiler, by name; none unless profiles are wanted.
	profileAddresses map[string]string
	// nextUser is the lowest user ID that the next load may use.
	nextUser int64
}

// The processes of a round. The last four are for comparison, and are this program with -serve.
const (
	apiProcess      = "api"
	retryerProcess  = "retryer"
	consumerProcess = "consumer"
	nothingProcess  = "nothing"
	singleProcess   = "single"
	plainProcess    = "plain"
	slowedProcess   = "slowed"
)

// The campaigns of a round. Each way of winning has its own, so that an audit compares it with what was answered.
const (
	soldOutCampaign = "sold-out"
	winningCampaign = "winning"
	singleCampaign  = "single"
	fillCampaign    = "fill"
	slowedCampaign  = "slowed"
)

// soldOutQuota is how many have won where everything is gone.
const soldOutQuota = 1000

// User IDs have 12 digits, so that all requests have the same length; each load takes a range of its own.
const (
	firstUser    = 100_000_000_000
	usersPerLoad = 1_000_000_000
	partitions   = 8
)

// newWorld makes all of a round but the consumer. Only close undoes it, also after an error.
func newWorld(ctx context.Context, o options, at servers) (*world, error) {
	w := &world{
		options: o, servers: at, name: "firstcome_bench_" + time.Now().UTC().Format("20060102_150405"),
		processes: map[string]*process{}, profileAddresses: map[string]string{}, nextUser: firstUser,
		redis: redis.NewClient(&redis.Options{Addr: at.redis}),
	}
	var err error
	if w.folder, err = os.MkdirTemp("", "firstcome-bench"); err != nil {
		return w, err
	}
	if w.script, err = writeScript(w.folder); err != nil {
		return w, err
	}
	if w.database, err = at.openDatabase(ctx, w.name); err != nil {
		return w, fmt.Errorf("making the database: %w", err)
	}
	if err := w.clearKeys(ctx); err != nil {
		return w, err
	}
	if output, err := w.firstcome(ctx, "migrate"); err != nil {
		return w, fmt.Errorf("migrate: %w: %s", err, output)
	}
	for _, role := range []string{retryerProcess, apiProcess} {
		if err := w.startRole(ctx, role); err != nil {
			return w, err
		}
	}
	w.operator = newOperator(w.processes[apiProcess].address)
	err = w.makeCampaigns(ctx)
	return w, err
}

// variables are the configuration of the processes.
func (w *world) variables() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "FIRSTCOME_ADMIN_TOKEN=" + operatorToken,
		"FIRSTCOME_REDIS_ADDRS=" + w.servers.redis, "FIRSTCOME_KAFKA_BROKERS=" + w.kafka,
		"FIRSTCOME_MYSQL_DSN=" + w.dsn(w.name), "FIRSTCOME_KAFKA_TOPIC=" + w.name, "FIRSTCOME_KAFKA_GROUP=" + w.name,
		fmt.Sprintf("FIRSTCOME_KAFKA_PARTITIONS=%d", partitions), "FIRSTCOME_KAFKA_REPLICATION_FACTOR=1",
		// Nothing but the throttle keeps the consumer from storing as fast as it can.
		"FIRSTCOME_ROWS_PER_SECOND=0", "FIRSTCOME_LOG_LEVEL=warn",
	}
}

// firstcome runs a command that ends by itself, and gives what it prints.
func (w *world) firstcome(ctx context.Context, arguments ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, w.program, arguments...)
	command.Env = w.variables()
	return command.CombinedOutput()
}

// startRole starts a process of the program.
func (w *world) startRole(ctx context.Context, role string) error {
	if w.profiles {
		profileAddress, err := gauge.FreeAddress()
		if err != nil {
			return err
		}
		w.profileAddresses[role] = profileAddress
	}
	return w.start(ctx, role, func(address string) *exec.Cmd {
		return exec.CommandContext(ctx, w.program, "serve", "--roles", role, "--http-addr", address,
			"--profile-addr", w.profileAddresses[role])
	})
}

// startServer starts one of the servers to compare with.
func (w *world) startServer(ctx context.Context, name string, arguments ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return w.start(ctx, name, func(address string) *exec.Cmd {
		return exec.CommandContext(ctx, self, append([]string{"-serve", name, "-address", address}, arguments...)...)
	})
}

func (w *world) start(ctx context.Context, name string, command func(address string) *exec.Cmd) error {
	address, err := gauge.FreeAddress()
	if err != nil {
		return err
	}
	prepared := command(address)
	prepared.Env = w.variables()
	started, err := startProcess(ctx, name, address, filepath.Join(w.folder, name+".log"), prepared)
	if started != nil {
		w.processes[name] = started
	}
	return err
}

// url is where a process is applied to for a campaign.
func (w *world) url(process, campaign string) string {
	return "http://" + w.processes[process].address + "/v1/campaigns/" + campaign + "/apply"
}

// makeCampaigns makes them and waits until all gates are open. The plain design needs none.
func (w *world) makeCampaigns(ctx context.Context) error {
	for code, quota := range map[string]int64{
		soldOutCampaign: soldOutQuota, winningCampaign: domain.MaxQuota, singleCampaign: domain.MaxQuota,
		fillCampaign: domain.MaxQuota, slowedCampaign: domain.MaxQuota,
	} {
		if err := w.operator.create(ctx, code, quota); err != nil {
			return fmt.Errorf("making the campaign %s: %w", code, err)
		}
		err := eventually(ctx, startPatience, "the gate of "+code+" is open", func(ctx context.Context) error {
			return w.operator.gateIsOpen(ctx, code)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// users reserves the user IDs of one load, and gives the lowest.
func (w *world) users() int64 {
	first := w.nextUser
	w.nextUser += usersPerLoad
	return first
}

// clearKeys removes what Redis holds of our campaigns; another round may have left it.
func (w *world) clearKeys(ctx context.Context) error {
	keys := []string{plainKey}
	for _, code := range []string{soldOutCampaign, winningCampaign, singleCampaign, fillCampaign, slowedCampaign} {
		found, err := w.redis.Keys(ctx, "coupon:{"+code+"}:*").Result()
		if err != nil {
			return fmt.Errorf("looking for old keys: %w", err)
		}
		keys = append(keys, found...)
	}
	return w.redis.Unlink(ctx, keys...).Err()
}

// audit compares the stores, and gives the differences as the program prints them.
func (w *world) audit(ctx context.Context) error {
	output, err := w.firstcome(ctx, "audit")
	if err != nil {
		return fmt.Errorf("the audit found differences, or failed: %w: %s", err, lastBytes(output, 4000))
	}
	return nil
}

// close ends the processes and removes what the round made. The context may have ended.
func (w *world) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, p := range w.processes {
		p.stop()
	}
	var errs []error
	if w.database != nil {
		_, err := w.database.ExecContext(ctx, "DROP DATABASE "+w.name)
		errs = append(errs, err, w.database.Close())
	}
	errs = append(errs, w.clearKeys(ctx), w.redis.Close(), w.deleteTopics(), os.RemoveAll(w.folder))
	return errors.Join(errs...)
}

func (w *world) deleteTopics() error {
	admin, err := sarama.NewClusterAdmin([]string{w.kafka}, plainKafka())
	if err != nil {
		return err
	}
	for _, topic := range []string{w.name, plainTopic(w.name)} {
		if deleted := admin.DeleteTopic(topic); deleted != nil && !errors.Is(deleted, sarama.ErrUnknownTopicOrPartition) {
			err = errors.Join(err, deleted)
		}
	}
	return errors.Join(err, admin.Close())
}

// logs gives the last warnings of every process, for the error of a round.
func (w *world) logs() string {
	var text strings.Builder
	for name := range w.processes {
		content, _ := os.ReadFile(filepath.Join(w.folder, name+".log"))
		var warnings []byte
		for line := range bytes.Lines(content) {
			if bytes.Contains(line, []byte("level=")) || bytes.Contains(line, []byte("panic")) {
				warnings = append(warnings, line...)
			}
		}
		if len(warnings) > 0 {
			fmt.Fprintf(&text, "\n--- %s\n%s", name, lastBytes(warnings, 1500))
		}
	}
	return text.String()
}
