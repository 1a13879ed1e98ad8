package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/admission"
	"firstcome/api"
	"firstcome/domain"
	"firstcome/store/kafkaqueue"
	"firstcome/store/redisgate"
	"firstcome/store/sqlledger"
)

// singleAtOnce is how many applications are at the gate at once: what a pool of connections of a usual size lets through
// and as many again that wait for it. All that the gate has admitted are on their way to Kafka at once.
const (
	singleAtOnce  = 128
	singleToKafka = 1 << 20
)

// uncounted keeps no funnel: nobody looks at it here.
type uncounted struct{}

func (uncounted) Count(string, domain.FunnelOutcome, int64) {}

// serveSingle is firstcome's own server without batches: every application is a call of its own to Redis, and so are its
// record and its confirmation.
func serveSingle(ctx context.Context, o options) error {
	cfg := api.Config{Admission: admission.Config{
		MaxBatch: 1, GateCalls: singleAtOnce, BatchesUnderWay: singleToKafka, KafkaCrowd: singleToKafka,
	}}
	return serveOurs(ctx, o, cfg, func(publisher domain.Publisher) domain.Publisher { return publisher })
}

// serveOurs is firstcome's own server, put together from the same packages.
func serveOurs(ctx context.Context, o options, cfg api.Config, changed func(domain.Publisher) domain.Publisher) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	registry := prometheus.NewRegistry()
	gate, err := redisgate.Open(redisgate.Config{Addrs: []string{os.Getenv("FIRSTCOME_REDIS_ADDRS")}}, nil, logger)
	if err != nil {
		return err
	}
	defer func() { _ = gate.Close() }()
	ledger, err := sqlledger.Open(sqlledger.Config{
		Dialect: sqlledger.DialectMySQL, DSN: os.Getenv("FIRSTCOME_MYSQL_DSN"), MaxOpenConns: 4, CallTimeout: 5 * time.Second,
	}, registry, logger)
	if err != nil {
		return err
	}
	defer func() { _ = ledger.Close() }()
	publisher, err := kafkaqueue.OpenPublisher(kafkaqueue.Config{
		Brokers: []string{os.Getenv("FIRSTCOME_KAFKA_BROKERS")}, Topic: os.Getenv("FIRSTCOME_KAFKA_TOPIC"),
		Partitions: partitions, ReplicationFactor: 1,
	}, registry, logger)
	if err != nil {
		return err
	}
	defer func() { _ = publisher.Close() }()
	cfg.AdminToken = operatorToken
	server, err := api.New(cfg, api.Ports{
		Admitter: gate, GateReader: gate, GateLister: gate, Publisher: changed(publisher),
		CampaignReader: ledger, CampaignWriter: ledger, CouponReader: ledger, FailEventReader: ledger,
		FailEventOperator: ledger, LedgerCounter: ledger, SettingStore: ledger, Gatherer: registry,
		FunnelReader: ledger, CouponFinder: ledger, CouponRevoker: ledger, BulkReader: ledger, BulkRunner: ledger,
		Heartbeats: ledger, ActionLog: ledger, Funnel: uncounted{},
	}, registry, logger)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.address)
	if err != nil {
		return err
	}
	return server.Run(ctx, listener)
}
