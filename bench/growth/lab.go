package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"firstcome/domain"
	"firstcome/store/redisgate"
)

// lab is what one section works on: a database, a topic, an empty Redis, and the processes.
type lab struct {
	options
	name, folder     string
	redisAddr, kafka string
	mysql            *mysql.Config
	redis            *redis.Client
	gate             *redisgate.Gate
	database         *sql.DB
	processes        []*process
}

// newLab reaches the servers as `docker/servers.sh env` names them to tests, since Redis is emptied. The variables of
// `firstcome serve` are left alone, because they may lead to servers that somebody relies on. Only close undoes it.
func newLab(ctx context.Context, o options) (*lab, error) {
	l := &lab{
		options: o, name: "firstcome_growth_" + time.Now().UTC().Format("20060102_150405"),
		redisAddr: os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS"), kafka: os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS"),
	}
	dsn := os.Getenv("FIRSTCOME_TEST_MYSQL_DSN")
	if l.redisAddr == "" || l.kafka == "" || dsn == "" {
		return l, errors.New(`the servers are not named: run "make growth", or eval "$(docker/servers.sh env)" first`)
	}
	var err error
	if l.mysql, err = mysql.ParseDSN(dsn); err != nil {
		return l, err
	}
	if l.folder, err = os.MkdirTemp("", "firstcome-growth"); err != nil {
		return l, err
	}
	l.redis = redis.NewClient(&redis.Options{Addr: l.redisAddr, ReadTimeout: time.Minute})
	if err := l.redis.FlushAll(ctx).Err(); err != nil {
		return l, fmt.Errorf("emptying Redis: %w", err)
	}
	config := redisgate.Config{Addrs: []string{l.redisAddr}, CallTimeout: 10 * time.Second}
	if l.gate, err = redisgate.Open(config, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)); err != nil {
		return l, err
	}
	err = l.newDatabase(ctx)
	return l, err
}

func (l *lab) newDatabase(ctx context.Context) error {
	server, err := sql.Open("mysql", l.dsn(l.mysql.DBName))
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+l.name); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	if l.database, err = sql.Open("mysql", l.dsn(l.name)); err != nil {
		return err
	}
	migrate := exec.CommandContext(ctx, l.program, "migrate")
	migrate.Env = l.variables()
	if output, err := migrate.CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w: %s", err, output)
	}
	return nil
}

func (l *lab) dsn(database string) string {
	config := l.mysql.Clone()
	config.DBName, config.ParseTime, config.InterpolateParams = database, true, true
	return config.FormatDSN()
}

// variables are the configuration of the processes.
func (l *lab) variables() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "FIRSTCOME_ADMIN_TOKEN=growth",
		"FIRSTCOME_REDIS_ADDRS=" + l.redisAddr, "FIRSTCOME_KAFKA_BROKERS=" + l.kafka, "FIRSTCOME_MYSQL_DSN=" + l.dsn(l.name),
		"FIRSTCOME_KAFKA_TOPIC=" + l.name, "FIRSTCOME_KAFKA_GROUP=" + l.name, "FIRSTCOME_KAFKA_PARTITIONS=8",
		"FIRSTCOME_KAFKA_REPLICATION_FACTOR=1", "FIRSTCOME_LOG_LEVEL=warn",
	}
}

// close ends the processes and removes what the lab made. The context may have ended.
func (l *lab) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	l.stopProcesses()
	var errs []error
	if l.database != nil {
		_, err := l.database.ExecContext(ctx, "DROP DATABASE IF EXISTS "+l.name)
		errs = append(errs, err, l.database.Close())
	}
	if l.gate != nil {
		errs = append(errs, l.gate.Close(), l.redis.FlushAll(ctx).Err(), l.redis.Close(), l.deleteTopic(), os.RemoveAll(l.folder))
	}
	return errors.Join(errs...)
}

func (l *lab) deleteTopic() error {
	config := sarama.NewConfig()
	config.Version = sarama.V3_6_0_0
	admin, err := sarama.NewClusterAdmin([]string{l.kafka}, config)
	if err != nil {
		return err
	}
	if err = admin.DeleteTopic(l.name); errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		err = nil
	}
	return errors.Join(err, admin.Close())
}

// warnings gives the last lines of every process's log, for the error of a section.
func (l *lab) warnings() string {
	var text strings.Builder
	for _, p := range l.processes {
		content, _ := os.ReadFile(p.log)
		fmt.Fprintf(&text, "\n--- %s\n%s", filepath.Base(p.log), content[max(0, len(content)-1500):])
	}
	return text.String()
}

// campaignCode names the campaign of a number from 0 on.
func campaignCode(number int) string { return fmt.Sprintf("growth-%05d", number) }

func campaignOf(number int, quota int64) domain.Campaign {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return domain.Campaign{
		Code: campaignCode(number), Name: "Growth", Quota: quota, State: domain.CampaignOpen, Epoch: 1,
		StartsAt: now.Add(-time.Hour), EndsAt: now.Add(24 * time.Hour),
	}
}

// fillChunk is how many winners are written to Redis at once.
const fillChunk = 10_000

// openGate makes a campaign's gate with so many winners, who have the first slots.
func (l *lab) openGate(ctx context.Context, campaign domain.Campaign, winners int) error {
	target, err := l.gate.BeginRebuild(ctx, campaign.Code, campaign.Epoch)
	if err != nil {
		return err
	}
	for first := 1; first <= winners; first += fillChunk {
		if err := l.gate.WriteWinners(ctx, target, winnersOf(first, min(first+fillChunk-1, winners))); err != nil {
			return err
		}
	}
	return l.gate.OpenRebuilt(ctx, target, campaign)
}

// winnersOf gives winners of the slots from first to last. Their users come in no order, as they do in a sale.
func winnersOf(first, last int) []domain.GateWinner {
	now := time.Now().UTC()
	winners := make([]domain.GateWinner, 0, last-first+1)
	for slot := first; slot <= last; slot++ {
		winners = append(winners, domain.GateWinner{UserID: userOf(slot), Slot: domain.Slot(slot), AdmittedAt: now})
	}
	return winners
}

// addRow adds a campaign whose gate is open: the retryer is to find nothing to do.
func (l *lab) addRow(ctx context.Context, campaign domain.Campaign) error {
	_, err := l.database.ExecContext(ctx, `INSERT INTO campaign
		(code, name, quota, wanted_quota, starts_at, ends_at, state, epoch, fencing, created_at, updated_at)
		VALUES (?, ?, ?, 0, ?, ?, ?, ?, 0, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))`,
		campaign.Code, campaign.Name, campaign.Quota, campaign.StartsAt, campaign.EndsAt, campaign.State, campaign.Epoch)
	return err
}

// userOf scatters the numbers over IDs of 12 digits; the factor is prime, so that no two meet.
func userOf(number int) domain.UserID {
	const span, prime = 800_000_000_000, 499_979
	return domain.UserID(100_000_000_000 + int64(number)*prime%span)
}
