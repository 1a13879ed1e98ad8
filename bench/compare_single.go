package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/api"
	"firstcome/domain"
	"firstcome/store/kafkaqueue"
	"firstcome/store/redisgate"
	"firstcome/store/sqlledger"
)

// singleGates is how many gates share the applications. Each decides on one application a call and has two calls under
// way, so that there are as many calls at once as a pool of connections of a usual size would let through.
const singleGates = 64

// singleCalls is firstcome without batches: every application is a call of its own to Redis, and so is every
// confirmation.
type singleCalls struct {
	gates []*redisgate.Gate
	next  atomic.Uint64
}

func openSingleCalls(address string, logger *slog.Logger) (*singleCalls, error) {
	s := &singleCalls{}
	for range singleGates {
		gate, err := redisgate.Open(redisgate.Config{Addrs: []string{address}, MaxBatch: 1}, nil, logger)
		if err != nil {
			return s, err
		}
		s.gates = append(s.gates, gate)
	}
	return s, nil
}

func (s *singleCalls) gate() *redisgate.Gate { return s.gates[s.next.Add(1)%uint64(len(s.gates))] }

// Admit implements domain.Admitter.
func (s *singleCalls) Admit(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	return s.gate().Admit(ctx, campaign, user)
}

// Honour implements domain.Admitter.
func (s *singleCalls) Honour(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	return s.gate().Honour(ctx, campaign, user)
}

// Confirm implements domain.Admitter.
func (s *singleCalls) Confirm(ctx context.Context, admission domain.Admission) error {
	return s.gate().Confirm(ctx, admission)
}

func (s *singleCalls) close() error {
	var errs []error
	for _, gate := range s.gates {
		errs = append(errs, gate.Close())
	}
	return errors.Join(errs...)
}

// serveSingle is firstcome's own server, put together from the same packages, on gates that do not batch.
func serveSingle(ctx context.Context, o options) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	registry := prometheus.NewRegistry()
	calls, err := openSingleCalls(os.Getenv("FIRSTCOME_REDIS_ADDRS"), logger)
	defer func() { _ = calls.close() }()
	if err != nil {
		return err
	}
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
	server, err := api.New(api.Config{AdminToken: operatorToken}, api.Ports{
		Admitter: calls, GateReader: calls.gates[0], Publisher: publisher,
		CampaignReader: ledger, CampaignWriter: ledger, CouponReader: ledger, FailEventReader: ledger,
		FailEventOperator: ledger, LedgerCounter: ledger, SettingStore: ledger, Gatherer: registry,
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
