//go:build !release

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"firstcome/domain"
	"firstcome/store/embedded"
	"firstcome/store/kafkaqueue"
)

const (
	// devPartitions is enough for one process with one writer.
	devPartitions = 4
	// devRedisTimeout is longer than a real server needs: the embedded one shares the processor with all the rest.
	devRedisTimeout = 2 * time.Second
	// devCampaignQuota is the quota of the campaign that dev makes on its first start.
	devCampaignQuota = 100
	// devActor stands in the operators' history for what dev did by itself.
	devActor = "dev"
)

// devCommands are what only a build with the embedded servers has.
func devCommands() []*cobra.Command {
	return []*cobra.Command{configured("dev", "Run everything in this process, with nothing installed",
		func(ctx context.Context, config Config, command *cobra.Command) error {
			if config.HTTPAddr == "" {
				config.HTTPAddr = devHTTPAddr
			}
			return runDev(ctx, config, command.OutOrStdout())
		})}
}

// devServers are the embedded servers and the lock on their folder.
type devServers struct {
	lock  *flock.Flock
	kafka *embedded.Kafka
	redis *embedded.Redis
}

// runDev starts the whole service, each step on what the one before left on disk, so that a process that was killed
// anywhere starts again with all that was answered:
//
//  1. Lock the data folder: two processes on the same files would corrupt them.
//  2. Open SQLite and migrate it. 3. Start Kafka on its folder. 4. Start Redis, which is always empty.
//  5. Make the campaign, if this is the first start.
//  6. Rebuild the gate from Kafka and SQLite, with the code that mends a lost Redis.
//  7. Open HTTP and start the consumer and the retryer.
//
// SQLite and Kafka leave it to the operating system when the disk is written: a killed process loses nothing, a
// power cut may lose the last moments. Redis keeps nothing at all, so who is known to Redis alone is promised nothing: in
// place of "reserved" they are told to ask again, and nobody is admitted while the disk can't be written (disk.go).
func runDev(ctx context.Context, config Config, out io.Writer) error {
	config.Roles = []string{roleAPI, roleConsumer, roleRetryer}
	token, err := prepareDataDir(&config)
	if err != nil {
		return err
	}
	servers, at, err := startDevServers(config)
	defer servers.close()
	if err != nil {
		return err
	}
	p, err := newProgram(config, at)
	if err != nil {
		return err
	}
	if err := p.prepareDev(ctx, at); err != nil {
		return errors.Join(err, p.stores.close())
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.HTTPAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("%sHTTP_ADDR: %w", envPrefix, err), p.stores.close())
	}
	greet(out, listener.Addr(), config, token)
	return p.Run(ctx, listener)
}

// prepareDataDir makes the folder and settles what dev decides for itself: the token, and copies of the topic.
func prepareDataDir(config *Config) (string, error) {
	if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
		return "", fmt.Errorf("%sDATA_DIR: %w", envPrefix, err)
	}
	config.KafkaReplicationFactor = 1
	config.KafkaPartitions = devPartitions
	config.RedisTimeout = max(config.RedisTimeout, devRedisTimeout)
	if config.AdminToken != "" {
		return "(the one you set)", nil
	}
	token, err := keptToken(tokenFile(config.DataDir))
	config.AdminToken = token
	return token, err
}

// keptToken reads the token that an earlier start made up, or makes one up and keeps it.
func keptToken(path string) (string, error) {
	kept, err := os.ReadFile(path)
	if token := strings.TrimSpace(string(kept)); err == nil && token != "" {
		return token, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	token := rand.Text()
	return token, os.WriteFile(path, []byte(token+"\n"), 0o600)
}

func startDevServers(config Config) (*devServers, addresses, error) {
	servers := &devServers{lock: flock.New(filepath.Join(config.DataDir, "lock"))}
	locked, err := servers.lock.TryLock()
	if err != nil {
		return servers, addresses{}, fmt.Errorf("lock %s: %w", config.DataDir, err)
	}
	if !locked {
		return servers, addresses{}, usageError{fmt.Sprintf(
			"%sDATA_DIR: another firstcome works in %s; stop it, or choose another folder", envPrefix, config.DataDir)}
	}
	if servers.kafka, err = embedded.StartKafka(filepath.Join(config.DataDir, "kafka"), "127.0.0.1:0"); err != nil {
		return servers, addresses{}, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	if servers.redis, err = embedded.StartRedis("127.0.0.1:0"); err != nil {
		return servers, addresses{}, fmt.Errorf("start the embedded Redis: %w", err)
	}
	return servers, addresses{
		redis: []string{servers.redis.Addr()}, kafka: []string{servers.kafka.Addr()},
		dialect: dialectSQLite, dsn: sqliteFile(config.DataDir), folder: config.DataDir,
	}, nil
}

func (s *devServers) close() {
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.redis != nil {
		s.redis.Close()
	}
	_ = s.lock.Unlock()
}

// prepareDev takes steps 2, 5 and 6 of runDev, and makes the topic.
func (p *program) prepareDev(ctx context.Context, at addresses) error {
	if err := p.stores.ledger.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := kafkaqueue.EnsureTopic(ctx, p.config.kafkaConfig(at)); err != nil {
		return fmt.Errorf("make the topic: %w", err)
	}
	_, err := p.stores.ledger.Campaign(ctx, p.config.DefaultCampaign)
	if domain.CodeOf(err) == domain.CodeUnknownCampaign {
		_, err = p.stores.ledger.CreateCampaign(ctx, domain.Campaign{
			Code: p.config.DefaultCampaign, Name: "Welcome", Quota: devCampaignQuota, State: domain.CampaignOpen,
			StartsAt: time.Now().UTC().Truncate(time.Second), EndsAt: domain.NoEnd,
		}, devActor)
	}
	if err != nil {
		return fmt.Errorf("make the campaign %s: %w", p.config.DefaultCampaign, err)
	}
	if err := p.retryer.SweepOnce(ctx); err != nil {
		return fmt.Errorf("rebuild the gates: %w", err)
	}
	return nil
}

// greet says where it runs, how to try it and how to outgrow it.
func greet(out io.Writer, listening net.Addr, config Config, token string) {
	_, _ = fmt.Fprintf(out, `firstcome %s listens on http://%s
  campaign     %s (its first start gave it %d coupons)
  console      http://%s/console/ (log in with the token below)
  for users    http://%s/c/%s
  admin token  %s
  data         %s (kill -9 and start again: nothing that was answered is lost; a power cut may lose the last moments)

Try it:
  curl -i -H 'Content-Type: application/json' -d '{"user_id": 42}' http://%s/apply-coupon

To outgrow it, set FIRSTCOME_REDIS_ADDRS, FIRSTCOME_KAFKA_BROKERS and FIRSTCOME_MYSQL_DSN, and run "firstcome serve".
`, version, listening, config.DefaultCampaign, devCampaignQuota,
		listening, listening, config.DefaultCampaign, token, config.DataDir, listening)
}
