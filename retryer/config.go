package retryer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firstcome/domain"
)

// Config holds what an operator may set. A zero value takes the default named at each field.
type Config struct {
	// RetryEvery is how often due fail events are claimed; 1 s.
	RetryEvery time.Duration
	// SweepEvery is how often gates are compared with their campaign rows; 500 ms.
	SweepEvery time.Duration
	// RelayEvery is how often pending entries are looked at; 1 s. RelayAfter is how old one must be to be sent; 2 s.
	RelayEvery, RelayAfter time.Duration
	// RescueEvery is how often leases that ran out are looked for; 5 s.
	RescueEvery time.Duration
	// TopicEvery is how often a retryer looks whether the topic still is what it was; 3 s.
	TopicEvery time.Duration
	// PurgeEvery is how often attempts older than KeepAttempts are deleted; 1 h. KeepAttempts is 30 days.
	PurgeEvery, KeepAttempts time.Duration
	// ClaimLimit is how many fail events are claimed at once, up to 1000; 100.
	ClaimLimit int
	// Lease is how long claimed events are nobody else's; 30 s.
	Lease time.Duration
	// MaxAttempts is after how many failed attempts an event is DEAD; 10.
	MaxAttempts int
	// BackoffMin and BackoffMax bound the wait between two attempts, which doubles each time; 1 s and 5 min.
	BackoffMin, BackoffMax time.Duration
	// ConcurrentRebuilds is how many campaigns are rebuilt at the same time, up to 64; 32. They read the topic
	// together, and coupons a few at a time (couponReaders). Those that only wait do not count (maxAside).
	ConcurrentRebuilds int
	// RebuildTimeout ends a rebuild that takes too long; 10 min.
	RebuildTimeout time.Duration
	// RebuildPatience is how long another process's rebuild is given before it is taken over; 15 s, and twice as
	// long each time that this was not enough.
	RebuildPatience time.Duration
	// AuditEvery is how often all campaigns are audited; 1 h. AuditWait is how long an audit waits before it looks again
	// at what seemed wrong; 1 s.
	AuditEvery, AuditWait time.Duration
	// VerifyEvery is how often a retryer looks whether the ledger has to be compared with the rest now; 2 s.
	VerifyEvery time.Duration
}

const (
	maxClaimLimit         = domain.MaxPage
	maxConcurrentRebuilds = 64
)

// Defaults gives the values that a zero one stands for.
func Defaults() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.RetryEvery = orDefault(c.RetryEvery, time.Second)
	c.SweepEvery = orDefault(c.SweepEvery, 500*time.Millisecond)
	c.RelayEvery = orDefault(c.RelayEvery, time.Second)
	c.RelayAfter = orDefault(c.RelayAfter, 2*time.Second)
	c.RescueEvery = orDefault(c.RescueEvery, 5*time.Second)
	c.TopicEvery = orDefault(c.TopicEvery, 3*time.Second)
	c.PurgeEvery = orDefault(c.PurgeEvery, time.Hour)
	c.KeepAttempts = orDefault(c.KeepAttempts, 30*24*time.Hour)
	c.ClaimLimit = orDefault(c.ClaimLimit, 100)
	c.Lease = orDefault(c.Lease, 30*time.Second)
	c.MaxAttempts = orDefault(c.MaxAttempts, 10)
	c.BackoffMin = orDefault(c.BackoffMin, time.Second)
	c.BackoffMax = orDefault(c.BackoffMax, 5*time.Minute)
	c.ConcurrentRebuilds = orDefault(c.ConcurrentRebuilds, 32)
	c.RebuildTimeout = orDefault(c.RebuildTimeout, 10*time.Minute)
	c.RebuildPatience = orDefault(c.RebuildPatience, 15*time.Second)
	c.AuditEvery = orDefault(c.AuditEvery, time.Hour)
	c.AuditWait = orDefault(c.AuditWait, time.Second)
	c.VerifyEvery = orDefault(c.VerifyEvery, 2*time.Second)
	return c
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (c Config) check() error {
	for _, d := range []time.Duration{
		c.RetryEvery, c.SweepEvery, c.RelayEvery, c.RelayAfter, c.RescueEvery, c.PurgeEvery, c.KeepAttempts, c.TopicEvery,
		c.Lease, c.BackoffMin, c.RebuildTimeout, c.RebuildPatience, c.AuditEvery, c.AuditWait, c.VerifyEvery,
	} {
		if d < 0 {
			return fmt.Errorf("no interval, lease or time limit may be negative: %v", d)
		}
	}
	if c.ClaimLimit < 1 || c.ClaimLimit > maxClaimLimit {
		return fmt.Errorf("claim limit must be 1 to %d, not %d", maxClaimLimit, c.ClaimLimit)
	}
	if c.ConcurrentRebuilds < 1 || c.ConcurrentRebuilds > maxConcurrentRebuilds {
		return fmt.Errorf("concurrent rebuilds must be 1 to %d, not %d", maxConcurrentRebuilds, c.ConcurrentRebuilds)
	}
	if c.MaxAttempts < 1 {
		return fmt.Errorf("max attempts must be at least 1, not %d", c.MaxAttempts)
	}
	if c.BackoffMax < c.BackoffMin {
		return fmt.Errorf("the longest backoff, %v, is shorter than the shortest, %v", c.BackoffMax, c.BackoffMin)
	}
	return nil
}

// Ports are the stores that the retryer works with; all of them are needed, but those for audits only to audit.
type Ports struct {
	// The ledger.
	Campaigns     domain.CampaignReader
	Claimer       domain.FailEventClaimer
	Settler       domain.FailEventSettler
	Events        FailEventRecorder
	LedgerRebuild domain.LedgerRebuild
	Revocations   domain.RevocationLedger
	// The gate.
	Gate        domain.Admitter
	GateReader  domain.GateReader
	Mender      domain.GateMender
	Pending     domain.PendingReader
	GateRebuild domain.GateRebuilder
	// The topic.
	Publisher domain.Publisher
	Tail      domain.TailReader
	Stored    domain.StoredReader
	// Audit is what an audit needs in addition.
	Audit AuditPorts
	// Topic may be empty: then nobody looks whether records were lost.
	Topic TopicPorts
	// Epochs may be nil: then a gate that was replaced may be taken for the one in use.
	Epochs domain.EpochWitness
	// News may be nil: then it takes up to SweepEvery until a gate that was lost is seen.
	News domain.GateNews
	// Settings may be nil: then no operator can have the jobs run at once. Funnel may be nil as well.
	Settings SettingReader
	Funnel   FunnelCounter
}

// FailEventRecorder keeps what could not be stored; part of domain.CouponStore.
type FailEventRecorder interface {
	RecordFailEvent(ctx context.Context, event domain.FailEvent) error
}

// SettingReader reads what operators change while running; part of domain.SettingStore.
type SettingReader interface {
	Setting(ctx context.Context, name string) (string, error)
}

// FunnelCounter counts, in memory, what becomes of applications.
type FunnelCounter interface {
	Count(campaign string, outcome domain.FunnelOutcome, n int64)
}

// AuditPorts are what an audit needs in addition to the other ports.
type AuditPorts struct {
	Gate     domain.GateLister
	Restorer domain.PendingRestorer
	Ledger   domain.AuditLedger
	Verifier domain.LedgerVerifier
	Store    domain.AuditStore
}

// TopicPorts are what the search for lost winners needs in addition to those of the audit.
type TopicPorts struct {
	Watcher  domain.TopicWatcher
	Settings domain.SettingStore
}

func (p TopicPorts) complete() bool { return p.Watcher != nil && p.Settings != nil }

func (p AuditPorts) complete() bool {
	return p.Gate != nil && p.Restorer != nil && p.Ledger != nil && p.Verifier != nil && p.Store != nil
}

func (p Ports) check() error {
	for _, port := range []any{
		p.Campaigns, p.Claimer, p.Settler, p.Events, p.LedgerRebuild, p.Revocations, p.Gate, p.GateReader, p.Mender,
		p.Pending, p.GateRebuild, p.Publisher, p.Tail, p.Stored,
	} {
		if port == nil {
			return errors.New("every port is needed")
		}
	}
	return nil
}
