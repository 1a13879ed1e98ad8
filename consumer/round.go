package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firstcome/crashpoint"
	"firstcome/domain"
)

const (
	// transactionsAtOnce is how many transactions of one round are under way: while the database works on one, this
	// process and the network work on the next. Where they get in each other's way, as with another process's, the
	// ledger tries the one again that was undone.
	transactionsAtOnce = 3
	// maxFailures is after how many transactions that the ledger did not do a round begins no more: what is left is tried
	// in the next round, those first that did not fail yet.
	maxFailures = 3
)

// round is one turn of the consumer over what it has in hand.
type round struct {
	*Consumer
	// waiting is what is to be done, by lane.
	waiting map[lane][]*item

	mu sync.Mutex
	// ends are how the lanes did that were tried.
	ends map[lane]end
	// stored and unstored count the transactions that the ledger did, and did not do; lastErr is why not.
	stored, unstored int
	lastErr          error
}

// end is how a lane did: the last error, if there was one, and the time that all its work took.
type end struct {
	err  error
	took time.Duration
}

// try goes through the steps 2 to 6 with the lanes that are due. It waits under ctx and works under work, which lives
// a little longer. The error is about all: the context has ended, or the ledger does not work at all.
func (c *Consumer) try(ctx, work context.Context, b *batch) error {
	if err := c.hold.wait(ctx); err != nil {
		return err
	}
	r := &round{Consumer: c, waiting: b.lanes(), ends: map[lane]end{}}
	for _, one := range c.lanes.due(r.waiting, time.Now()) {
		switch one.kind {
		case unreadable:
			r.do(one, func() error { return r.count(c.recordUnparsable(work, r.waiting[one])) })
		case fromOutside:
			r.do(one, func() error { return c.admit(work, r.waiting[one]) })
		}
	}
	r.waiting = b.lanes() // who was admitted just now is of a campaign's lane
	if err := r.store(ctx, work); err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	r.noteEnds()
	if r.stored == 0 && r.unstored >= maxFailures {
		return r.lastErr
	}
	return nil
}

// do does a part of a lane's work and notes how it went.
func (r *round) do(one lane, work func() error) {
	began := time.Now()
	err := work()
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.ends[one]
	known.took += time.Since(began)
	if err != nil {
		known.err = err
	}
	r.ends[one] = known
}

// count notes whether the ledger worked.
func (r *round) count(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.stored++
	} else {
		r.unstored++
		r.lastErr = err
	}
	return err
}

func (r *round) hasFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unstored >= maxFailures
}

// store stores the rows of the campaigns that are due, in transactions of one campaign and at most BatchSize rows each,
// several at a time. What keeps one campaign from being stored does not keep the others. The error is the context's.
func (r *round) store(ctx, work context.Context) error {
	var due []lane
	rows := 0
	for _, one := range r.lanes.due(r.waiting, time.Now()) {
		if one.kind == ofCampaign {
			due = append(due, one)
			rows += pay(r.waiting[one])
		}
	}
	if err := r.throttle.wait(ctx, rows); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.ConsumerThrottled)
	var group errgroup.Group
	group.SetLimit(transactionsAtOnce)
	for _, one := range due {
		for some := range slices.Chunk(r.waiting[one], r.cfg.BatchSize) {
			group.Go(func() error {
				if !r.hasFailed() {
					r.do(one, func() error { return r.storeCampaign(work, some) })
				}
				return nil
			})
		}
	}
	return group.Wait()
}

// noteEnds notes how the lanes did that were tried.
func (r *round) noteEnds() {
	for one, end := range r.ends {
		if end.err != nil {
			r.lanes.failed(one, end.err, end.took)
		} else if !slices.ContainsFunc(r.waiting[one], isUndone) {
			r.lanes.passed(one)
		}
	}
}

func isUndone(i *item) bool { return !i.done }

// storeCampaign stores the items of one campaign, and again those for which the gate gave a slot of a newer epoch.
func (r *round) storeCampaign(ctx context.Context, items []*item) error {
	campaign := items[0].winner.Campaign
	for range maxRounds {
		verdicts, err := bisect(winnersOf(items), func(winners []domain.Winner) ([]domain.StoreResult, error) {
			return r.storeRows(ctx, campaign, winners)
		})
		if r.count(err) != nil {
			return err
		}
		if err := r.conclude(ctx, items, verdicts); err != nil {
			return err
		}
		if items = undone(items); len(items) == 0 {
			return nil
		}
	}
	return domain.Errorf(domain.CodeGateClosed, "the gate of campaign %s is being rebuilt", campaign)
}
