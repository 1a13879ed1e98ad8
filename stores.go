package main

import (
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/store/kafkaqueue"
	"firstcome/store/redisgate"
	"firstcome/store/sqlledger"
)

// Dialects of the database.
const (
	dialectMySQL  = "mysql"
	dialectSQLite = "sqlite"
)

// serverDialect is the dialect of the configured database. The tests that kill processes link another one in, to run
// them on a database that needs no server.
var serverDialect = dialectMySQL

// addresses says where the stores are: on real servers, or embedded in this process.
type addresses struct {
	redis   []string
	kafka   []string
	dialect string
	dsn     string
	// folder is where embedded servers keep their data; empty with real ones.
	folder string
}

// devHTTPAddr is where dev listens, and other commands look for it, unless told otherwise: this machine alone can reach it.
const devHTTPAddr = "127.0.0.1:8080"

// Files of dev's data folder that other commands look for.
func sqliteFile(dataDir string) string { return filepath.Join(dataDir, "firstcome.db") }
func tokenFile(dataDir string) string  { return filepath.Join(dataDir, "admin-token") }

// configuredAddresses are those of serve, migrate and campaign.
func (c *Config) configuredAddresses() addresses {
	return addresses{redis: c.RedisAddrs, kafka: c.KafkaBrokers, dialect: serverDialect, dsn: c.MySQLDSN}
}

// stores are the opened stores of one process. Opening needs none of the servers to be up, so that the servers and
// the roles may be started in any order.
type stores struct {
	gate      *redisgate.Gate
	publisher *kafkaqueue.Publisher
	source    *kafkaqueue.Source
	tail      *kafkaqueue.Tail
	ledger    *sqlledger.Ledger
}

// instruments are what every part of the program reports through.
type instruments struct {
	registry *prometheus.Registry
	logger   *slog.Logger
}

// openStores opens what the roles of this process need; a consumer group is joined only by a consumer.
func openStores(config Config, at addresses, tools instruments) (*stores, error) {
	opened := &stores{}
	var err error
	if opened.ledger, err = openLedger(config, at, tools); err != nil {
		return nil, errors.Join(err, opened.close())
	}
	redis := config.redisConfig(at)
	redis.Installation = opened.ledger.InstallationID
	if opened.gate, err = redisgate.Open(redis, tools.registry, tools.logger); err != nil {
		return nil, errors.Join(err, opened.close())
	}
	kafka := config.kafkaConfig(at)
	if config.hasRole(roleAPI) || config.hasRole(roleRetryer) {
		if opened.publisher, err = kafkaqueue.OpenPublisher(kafka, tools.registry, tools.logger); err != nil {
			return nil, errors.Join(err, opened.close())
		}
	}
	if opened.tail, err = kafkaqueue.OpenTail(kafka, tools.logger); err != nil {
		return nil, errors.Join(err, opened.close())
	}
	if config.hasRole(roleConsumer) {
		if opened.source, err = kafkaqueue.OpenSource(kafka, tools.registry, tools.logger); err != nil {
			return nil, errors.Join(err, opened.close())
		}
	}
	return opened, nil
}

func openLedger(config Config, at addresses, tools instruments) (*sqlledger.Ledger, error) {
	return sqlledger.Open(sqlledger.Config{
		Dialect: at.dialect, DSN: at.dsn, MaxOpenConns: config.MySQLMaxConnections, CallTimeout: config.MySQLTimeout,
	}, tools.registry, tools.logger)
}

func (c *Config) redisConfig(at addresses) redisgate.Config {
	return redisgate.Config{
		Addrs: at.redis, Username: c.RedisUsername, Password: c.RedisPassword, TLS: c.RedisTLS,
		CallTimeout: c.RedisTimeout, WaitReplicas: c.RedisWaitReplicas,
		KeyPrefix:      c.RedisKeyPrefix,
		SentinelMaster: c.RedisSentinelMaster, SentinelUsername: c.RedisSentinelUsername, SentinelPassword: c.RedisSentinelPassword,
	}
}

func (c *Config) kafkaConfig(at addresses) kafkaqueue.Config {
	return kafkaqueue.Config{
		Brokers: at.kafka, Topic: c.KafkaTopic, Group: c.KafkaGroup, Partitions: c.KafkaPartitions,
		ReplicationFactor: c.KafkaReplicationFactor, Retention: c.KafkaRetention,
		MinInSyncReplicas: c.KafkaMinInSyncReplicas,
		Username:          c.KafkaUsername, Password: c.KafkaPassword, Mechanism: c.KafkaMechanism, TLS: c.KafkaTLS,
		PublishTimeout: c.ProduceTimeout,
	}
}

// close ends what was opened, in the order in which they depend on each other: records first, the gate and the
// ledger that their confirmations need last.
func (s *stores) close() error {
	var errs []error
	if s.source != nil {
		errs = append(errs, s.source.Close())
	}
	if s.publisher != nil {
		errs = append(errs, s.publisher.Close())
	}
	if s.tail != nil {
		errs = append(errs, s.tail.Close())
	}
	if s.gate != nil {
		errs = append(errs, s.gate.Close())
	}
	if s.ledger != nil {
		errs = append(errs, s.ledger.Close())
	}
	return errors.Join(errs...)
}
