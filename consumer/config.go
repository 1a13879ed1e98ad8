package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firstcome/domain"
)

// Limits of the configuration.
const (
	// MaxBatchSize is how many rows one transaction may store at most.
	MaxBatchSize = 1000
	// transactionsPerPoll is how many full transactions one poll gives work for at most. Their offsets are committed
	// together: a commit of offsets takes as long as the storing of some hundred rows.
	transactionsPerPoll = 4
	// MaxLinger bounds how long a batch waits for company.
	MaxLinger = 5 * time.Second
)

// Config holds what an operator may set. A zero value takes the default named at each field.
type Config struct {
	// DefaultCampaign is the code of the campaign for which records from outside apply. Without it each of them
	// becomes a fail event.
	DefaultCampaign string
	// BatchSize is how many rows one transaction stores at most, 1..MaxBatchSize; 500.
	BatchSize int
	// Linger is how long a batch waits for more records once it has one; 20 ms.
	Linger time.Duration
	// RowsPerSecond limits the rows stored by all consumers together; its zero value is no limit. The setting
	// domain.SettingRowsPerSecond replaces it while running.
	RowsPerSecond domain.Rate
	// MinBackoff and MaxBackoff bound the wait between two tries while a store is away; 50 ms and 2 s.
	MinBackoff, MaxBackoff time.Duration
	// StopGrace is how long a batch under way may still use the stores after the consumer was told to stop; 3 s.
	StopGrace time.Duration
}

// Ports are the stores that the consumer works with.
type Ports struct {
	Source  domain.Source
	Coupons domain.CouponStore
	Gate    domain.Admitter
	Mender  Disputer
	// Settings may be nil: Config.RowsPerSecond then stays in force.
	Settings SettingReader
	// Campaigns may be nil: a default campaign that does not exist then looks like a closed gate, and pauses the consumer.
	Campaigns CampaignFinder
	// Funnel may be nil; else it is told of the coupons that are new.
	Funnel FunnelCounter
}

// FunnelCounter counts, in memory, what becomes of applications.
type FunnelCounter interface {
	Count(campaign string, outcome domain.FunnelOutcome, n int64)
}

// Disputer is told of contradictions between the gate and the ledger; part of domain.GateMender.
type Disputer interface {
	Dispute(ctx context.Context, winner domain.Winner) error
}

// SettingReader reads what operators change while running; part of domain.SettingStore.
type SettingReader interface {
	Setting(ctx context.Context, name string) (string, error)
}

// CampaignFinder tells whether a campaign exists; part of domain.CampaignReader.
type CampaignFinder interface {
	Campaign(ctx context.Context, code string) (domain.Campaign, error)
}

// Defaults gives the values that a zero one stands for.
func Defaults() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.BatchSize = orDefault(c.BatchSize, 500)
	c.Linger = orDefault(c.Linger, 20*time.Millisecond)
	c.MinBackoff = orDefault(c.MinBackoff, 50*time.Millisecond)
	c.MaxBackoff = orDefault(c.MaxBackoff, 2*time.Second)
	c.StopGrace = orDefault(c.StopGrace, 3*time.Second)
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
	if c.DefaultCampaign != "" {
		if err := domain.CheckCampaignCode(c.DefaultCampaign); err != nil {
			return fmt.Errorf("default campaign: %w", err)
		}
	}
	if c.BatchSize < 1 || c.BatchSize > MaxBatchSize {
		return fmt.Errorf("batch size must be 1 to %d, not %d", MaxBatchSize, c.BatchSize)
	}
	if c.Linger < 0 || c.Linger > MaxLinger {
		return fmt.Errorf("linger must be 0 to %v, not %v", MaxLinger, c.Linger)
	}
	if !c.RowsPerSecond.Valid() {
		return fmt.Errorf("rows per second must be 0 (no limit) to %d, not %v", domain.MaxRowsPerSecond, c.RowsPerSecond)
	}
	if c.MinBackoff < 0 || c.MaxBackoff < c.MinBackoff {
		return fmt.Errorf("backoff must go from 0 or more up, not from %v to %v", c.MinBackoff, c.MaxBackoff)
	}
	return nil
}

func (p Ports) check() error {
	if p.Source == nil || p.Coupons == nil || p.Gate == nil || p.Mender == nil {
		return errors.New("a source, a coupon store, a gate and its mender are needed")
	}
	return nil
}
