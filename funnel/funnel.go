// Package funnel counts what becomes of applications. Anybody who answers or stores one adds to a counter in memory, which
// costs an atomic addition; once a second the process adds what has come together to the ledger, where the sums of all
// processes stand. The counts are for operators to look at: no decision and no promise rests on them.
//
// A process that is killed takes the counts of its last second with it, and so does a commit whose outcome is unknown:
// the figures may fall short, and never say too much. While the ledger is away the counts wait in memory.
package funnel

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"firstcome/domain"
)

const (
	// flushEvery is how often counts are added to the ledger, and flushTimeout how long that may take.
	flushEvery   = time.Second
	flushTimeout = 3 * time.Second
	// purgeEvery is how often old buckets are deleted: at most maxPurges pages at a time.
	purgeEvery = time.Minute
	maxPurges  = 20
)

// Counters are the counts of one process that the ledger does not have yet. They are safe for concurrent use.
type Counters struct {
	store  domain.FunnelWriter
	logger *slog.Logger
	warn   rate.Sometimes
	// campaigns holds one *counts for each campaign that something was counted for; only campaigns that exist are.
	campaigns sync.Map
}

// counts are those of one campaign, in the order of outcomes.
type counts []atomic.Int64

var (
	outcomes = domain.FunnelOutcomes()
	places   = func() map[domain.FunnelOutcome]int {
		places := map[domain.FunnelOutcome]int{}
		for place, outcome := range outcomes {
			places[outcome] = place
		}
		return places
	}()
)

// New makes counters that flush into the store.
func New(store domain.FunnelWriter, logger *slog.Logger) *Counters {
	return &Counters{store: store, logger: logger, warn: rate.Sometimes{Interval: time.Minute}}
}

// Count adds to a counter of a campaign that exists. An outcome that there is no counter for counts as an internal one.
func (c *Counters) Count(campaign string, outcome domain.FunnelOutcome, n int64) {
	place, known := places[outcome]
	if !known {
		place = places[domain.FunnelOutcome(domain.CodeInternal)]
	}
	c.of(campaign)[place].Add(n)
}

func (c *Counters) of(campaign string) counts {
	if found, ok := c.campaigns.Load(campaign); ok {
		return found.(counts)
	}
	found, _ := c.campaigns.LoadOrStore(campaign, make(counts, len(outcomes)))
	return found.(counts)
}

// Run flushes until the context ends, and once more then.
func (c *Counters) Run(ctx context.Context) {
	flush, purge := time.NewTicker(flushEvery), time.NewTicker(purgeEvery)
	defer flush.Stop()
	defer purge.Stop()
	for {
		select {
		case <-flush.C:
			c.report("flush", c.flushOnce(ctx))
		case <-purge.C:
			c.report("purge", c.purgeOnce(ctx))
		case <-ctx.Done():
			c.report("flush", c.flushOnce(context.WithoutCancel(ctx)))
			return
		}
	}
}

func (c *Counters) report(what string, err error) {
	if err != nil {
		c.warn.Do(func() { c.logger.Warn("the operators' figures are behind", "during", what, "error", err) })
	}
}

// flushOnce takes all counts out of memory and adds them to the ledger. What certainly did not get there is put back.
func (c *Counters) flushOnce(ctx context.Context) error {
	taken := c.take()
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	err := c.store.AddFunnel(ctx, time.Now(), taken)
	if err != nil && domain.CodeOf(err) != domain.CodeOutcomeUnknown {
		for _, count := range taken {
			c.Count(count.Campaign, count.Outcome, count.Count)
		}
	}
	return err
}

func (c *Counters) take() []domain.FunnelCount {
	var taken []domain.FunnelCount
	c.campaigns.Range(func(campaign, found any) bool {
		for place := range found.(counts) {
			if n := found.(counts)[place].Swap(0); n != 0 {
				taken = append(taken, domain.FunnelCount{Campaign: campaign.(string), Outcome: outcomes[place], Count: n})
			}
		}
		return true
	})
	return taken
}

func (c *Counters) purgeOnce(ctx context.Context) error {
	before := time.Now().Add(-domain.FunnelRetention)
	for range maxPurges {
		purged, err := c.store.PurgeFunnel(ctx, before, domain.MaxPage)
		if err != nil || purged < domain.MaxPage {
			return err
		}
	}
	return nil
}
