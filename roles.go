package main

import (
	"context"

	"firstcome/admission"
	"firstcome/api"
	"firstcome/consumer"
	"firstcome/retryer"
)

// This file hands each role its part of the configuration and of the stores.

// admitCalls is how many calls to Redis one application may wait for: those under way when it comes, and its own.
const admitCalls = 3

func (p *program) apiConfig() api.Config {
	return api.Config{
		DefaultCampaign: p.config.DefaultCampaign, AdminToken: p.config.AdminToken, Tokens: p.config.tokens, ConsoleKey: p.config.ConsoleKey,
		CORSOrigins: p.config.CORSOrigins, TrustedProxies: p.config.TrustedProxies,
		ShutdownTimeout: p.config.ShutdownTimeout, Version: version, OperationsOnly: !p.config.hasRole(roleAPI),
		Admission: admission.Config{
			ProduceTimeout: p.config.ProduceTimeout, AdmitTimeout: admitCalls * p.config.RedisTimeout,
			RefusalMemoryBytes: int64(p.config.RefusalMemory) << 20, VolatileGate: p.disk != nil,
		},
	}
}

func (p *program) apiPorts() api.Ports {
	ports := api.Ports{Checks: p.checks(), Warnings: p.warnings.current, Gatherer: p.tools.registry}
	if !p.config.hasRole(roleAPI) {
		return ports
	}
	ledger := p.stores.ledger
	ports.Admitter, ports.GateReader, ports.GateLister = p.stores.gate, p.stores.gate, p.stores.gate
	if p.disk != nil {
		ports.Admitter = diskGate{p.stores.gate, p.disk}
	}
	ports.Epochs, ports.Publisher = p.stores.gate, p.stores.publisher
	ports.CampaignReader, ports.CampaignWriter = ledger, ledger
	ports.CouponReader, ports.LedgerCounter, ports.SettingStore = ledger, ledger, ledger
	ports.FailEventReader, ports.FailEventOperator = ledger, ledger
	ports.BulkReader, ports.BulkRunner = ledger, ledger
	ports.CouponFinder, ports.CouponRevoker = ledger, ledger
	ports.FunnelReader, ports.Funnel = ledger, p.funnel
	ports.Heartbeats, ports.ActionLog = ledger, ledger
	ports.Pipeline, ports.Auditor, ports.Self = p.pipeline, p.auditor, p.heartbeat
	return ports
}

// checks are what /readyz asks. An api needs Redis alone: without Kafka it answers "reserved", without the database
// it still admits. A consumer needs Kafka and the database, a retryer whatever it can get.
func (p *program) checks() []api.Check {
	consumes := p.config.hasRole(roleConsumer) && !p.config.hasRole(roleAPI)
	checks := []api.Check{
		{Name: "redis", Required: p.config.hasRole(roleAPI), Ping: p.stores.gate.Ping},
		{Name: "kafka", Required: consumes, Ping: p.stores.tail.Ping},
		{Name: "database", Required: consumes, Ping: p.stores.ledger.Ping},
	}
	if p.disk != nil {
		checks = append(checks, api.Check{Name: "disk", Required: true, Ping: p.disk.Ping})
	}
	if p.stores.source != nil {
		checks = append(checks, api.Check{Name: "consumer-group", Required: consumes, Ping: p.stores.source.Ready})
	}
	if p.retryer != nil {
		alone := !p.config.hasRole(roleAPI) && !p.config.hasRole(roleConsumer)
		checks = append(checks, api.Check{Name: "jobs", Required: alone, Ping: p.retryer.Ready})
	}
	return checks
}

// pipeline tells operators how far the consumers are behind.
func (p *program) pipeline(ctx context.Context) (api.PipelineView, error) {
	positions, err := p.stores.tail.Positions(ctx)
	view := api.PipelineView{Partitions: make([]api.PartitionLag, len(positions))}
	for i, position := range positions {
		view.Partitions[i] = api.PartitionLag{
			Partition: position.Partition, Committed: position.Committed, End: position.End, Lag: position.Lag(),
		}
	}
	return view, err
}

func (p *program) consumerConfig() consumer.Config {
	return consumer.Config{
		DefaultCampaign: p.config.DefaultCampaign, BatchSize: p.config.BatchSize,
		Linger:        max(p.config.Linger, 1), // 0 would stand for the default, and an operator who sets it wants no wait
		RowsPerSecond: p.config.RowsPerSecond,
	}
}

func (p *program) consumerPorts() consumer.Ports {
	return consumer.Ports{
		Source: p.stores.source, Coupons: p.stores.ledger, Gate: p.stores.gate, Mender: p.stores.gate,
		Settings: p.stores.ledger, Campaigns: p.stores.ledger, Funnel: p.funnel,
	}
}

func (p *program) retryerConfig() retryer.Config {
	return retryer.Config{
		MaxAttempts: p.config.MaxAttempts, BackoffMin: p.config.BackoffMin, BackoffMax: p.config.BackoffMax,
		RelayAfter: p.config.RelayAfter, AuditEvery: p.config.AuditEvery, AuditWait: p.config.AuditWait,
		VerifyEvery: p.config.VerifyEvery,
	}
}

func (p *program) retryerPorts() retryer.Ports {
	ledger, gate := p.stores.ledger, p.stores.gate
	return retryer.Ports{
		Campaigns: ledger, Claimer: ledger, Settler: ledger, Events: ledger, LedgerRebuild: ledger, Revocations: ledger,
		Gate: gate, GateReader: gate, Mender: gate, Pending: gate, GateRebuild: gate, Epochs: gate, News: gate,
		Publisher: p.stores.publisher, Tail: p.stores.tail, Stored: p.stores.tail,
		Settings: ledger, Funnel: p.funnel,
		Audit: retryer.AuditPorts{Gate: gate, Restorer: gate, Ledger: ledger, Verifier: ledger, Store: ledger},
		Topic: retryer.TopicPorts{Watcher: p.stores.tail, Settings: ledger},
	}
}
