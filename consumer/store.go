package consumer

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"firstcome/crashpoint"
	"firstcome/domain"
)

const (
	// maxRounds bounds how often a row is stored again within one try because the gate was rebuilt meanwhile.
	maxRounds = 3
	// maxResolving is how many items of a batch that got no row are brought to their end at the same time.
	maxResolving = 16
)

// recordUnparsable keeps the records that can't be read, so that they never hold up their partition.
func (c *Consumer) recordUnparsable(ctx context.Context, items []*item) error {
	for _, i := range items {
		if err := c.keepWithoutSlot(ctx, i, domain.ReasonUnparsable, i.delivery.Problem.Error()); err != nil {
			return err
		}
	}
	return nil
}

func (c *Consumer) storeRows(
	ctx context.Context, campaign string, winners []domain.Winner,
) ([]domain.StoreResult, error) {
	started := time.Now()
	results, err := c.ports.Coupons.StoreCoupons(ctx, campaign, winners)
	if err == nil {
		crashpoint.Reach(crashpoint.ConsumerStored)
		c.pace.stored(len(winners), time.Since(started))
	} else if domain.IsTransient(err) {
		c.pace.failed()
	}
	counts := map[domain.StoreOutcome]int{}
	for _, result := range results {
		counts[result.Outcome]++
	}
	for outcome, count := range counts {
		c.metrics.outcomes.WithLabelValues(outcomeName(outcome)).Add(float64(count))
	}
	c.rowsStored.Add(int64(counts[domain.Stored]))
	c.metrics.rowsStored.Add(float64(counts[domain.Stored]))
	if c.ports.Funnel != nil {
		c.ports.Funnel.Count(campaign, domain.FunnelIssued, int64(counts[domain.Stored]))
	}
	return results, err
}

// conclude acts on the verdicts: first what needs no store, then the rest, several at a time. Those of another epoch ask
// the gate together.
func (c *Consumer) conclude(ctx context.Context, items []*item, verdicts []verdict) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxResolving)
	var otherEpoch []*item
	for n, i := range items {
		v := verdicts[n]
		switch {
		case isStored(v.result.Outcome):
			i.done = true
		case v.result.Outcome == domain.OtherEpoch:
			otherEpoch = append(otherEpoch, i)
		default:
			group.Go(func() error {
				if err := groupCtx.Err(); err != nil {
					return err
				}
				return c.resolve(groupCtx, i, v)
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.askAgain(ctx, otherEpoch)
}

func isStored(outcome domain.StoreOutcome) bool {
	return outcome == domain.Stored || outcome == domain.AlreadyStored || outcome == domain.AlreadyRevoked
}

func winnersOf(items []*item) []domain.Winner {
	winners := make([]domain.Winner, len(items))
	for n, i := range items {
		winners[n] = i.winner
	}
	return winners
}

func undone(items []*item) []*item {
	var left []*item
	for _, i := range items {
		if !i.done {
			left = append(left, i)
		}
	}
	return left
}
