package retryer

import (
	"context"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// How a rebuild ends, as the metric names it.
const (
	rebuildOpened    = "opened"
	rebuildOvertaken = "overtaken"
	rebuildFailed    = "failed"
)

// Rebuild makes the gate of one campaign anew from the topic and the ledger, and opens it. It returns nil when it was
// overtaken by a newer rebuild, which then does the work. CodeConflict: this process is rebuilding the campaign
// already, or as many others as it may. CodeUnknownCampaign.
func (r *Retryer) Rebuild(ctx context.Context, code string) error {
	if !r.slots.take(code) {
		return domain.Errorf(domain.CodeConflict, "campaign %s, or as many others as may be, are being rebuilt", code)
	}
	defer r.slots.leave(code)
	return r.rebuildNow(ctx, code)
}

func (r *Retryer) rebuildNow(ctx context.Context, code string) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.RebuildTimeout)
	defer cancel()
	started := time.Now()
	campaign, err := r.rebuildAbove(ctx, code)
	took := time.Since(started)
	switch {
	case domain.CodeOf(err) == domain.CodeOvertaken:
		r.metrics.rebuilt(rebuildOvertaken, took)
		r.logger.Info("rebuild overtaken by a newer one", "campaign", code)
		return nil
	case err != nil:
		r.metrics.rebuilt(rebuildFailed, took)
		r.watch.failed(code, time.Now())
		return err
	}
	r.metrics.rebuilt(rebuildOpened, took)
	r.watch.open(code, campaign.Epoch)
	r.stored.forget(code)
	r.wakeRebuilt(ctx, code)
	r.logger.Info("gate rebuilt and opened", "campaign", code, "epoch", campaign.Epoch, "quota", campaign.Quota, "took", took)
	return nil
}

// rebuildSteps is the rebuild. Upstream is read before the ledger, so that a winner who moves meanwhile (from a pending
// entry to the topic, from the topic to a row) is seen at least once. A crash at any step leaves a closed gate, and
// the next sweep of any retryer begins again with a higher epoch.
//
//  1. Raise the epoch and the fencing number in the ledger: no row of an older epoch is stored from here on. The epoch
//     comes after the gate's as well, and after what this process has seen (floorOf): a ledger that lost its last commits
//     may be several behind. A crash leaves an open gate of the old epoch, whose winners become rows only after the next
//     rebuild.
//  2. Close the gate, and claim the rebuild's own keys for this epoch. A crash leaves those keys empty and unused.
//  3. Read the pending entries that are left.
//  4. Read the topic's tail, and the newest records before it, which are stored; for the first epoch too: the ledger may
//     have gone back to before the gate was first opened. If they are of this epoch or a newer one, begin again above it.
//  5. Read the ledger as of one moment, and write everybody that has a slot there to the rebuild's own keys. A crash from
//     here to step 8 leaves keys that nobody reads; the next rebuild empties them. Who a stored record tells of and the
//     ledger has nothing, the ledger has lost the coupon: the record counts as one of the tail.
//  6. Read the users that the closed gate held. Those that neither upstream nor the ledger knows, Kafka has lost (retention
//     passed the committed offset): the gate's word is all that is left of the promise, and counts as the oldest claim.
//     Those that the gate calls revoked, and the ledger does not know, stay revoked: the ledger has lost the revocation. A slot
//     that the gate gives to somebody is not kept for the user of a stored record that is no newer than the gate.
//  7. Where some process may ask another gate (anotherMayBeInUse), wait until every one knows of the new epoch, and read the
//     tail on: what the other gate told is on the topic by then, and no slot that it told is given to somebody else. Write
//     the users of upstream, of the old gate and of fail events that hold no slot, each with a fresh pending entry
//     unless an event is all that stands for the user: the relay sends them again. Those that no slot is left for (after
//     two masters at once, say) have no entry: they go to the topic now, unless they have an event, as winners of an
//     older epoch, and the consumer brings them to the gate or makes them fail events. A crash leaves records that the
//     consumer meets twice.
//  8. Read the tail on from where step 4 stopped, and write who came meanwhile as in step 7: the api publishes what it
//     admitted before step 2, and Kafka may acknowledge it at any time. A crash leaves keys that nobody reads.
//  9. Grant the wish for a lower quota if the holders fit, and if this rebuilder is still the newest. A crash leaves the
//     lower quota in the ledger and a closed gate.
//  10. Read on once more, as in step 8, so that next to nothing lies between the last reading and the opening. A crash leaves
//     what step 9 left.
//  11. Swap the keys in and open the gate, if it is still closed, on the same server, and waits for this epoch.
//
// A record that is acknowledged after step 10 is on the topic, and the new gate does not know its user. The api that got
// the acknowledgement has promised nothing yet: the gate is closed to it, or at another epoch, so it has the open gate
// honour the user before it says "accepted" (admission/confirm.go). Had it died, nobody was promised anything, and the consumer
// has the gate honour the user when it meets the record.
func (r *Retryer) rebuildSteps(ctx context.Context, code string, shown int64) (domain.Campaign, error) {
	report, err := r.ports.GateReader.Inspect(ctx, code)
	if err != nil {
		return domain.Campaign{}, err
	}
	campaign, err := r.ports.LedgerRebuild.BeginRebuild(ctx, code, floorOf(report, shown))
	if err != nil {
		return campaign, err
	}
	raisedAt := time.Now()
	crashpoint.Reach(crashpoint.RebuildRaised)
	r.watch.raised(code, campaign.Epoch)
	target, err := r.ports.GateRebuild.BeginRebuild(ctx, code, campaign.Epoch)
	if err != nil {
		return campaign, err
	}
	crashpoint.Reach(crashpoint.RebuildClosed)
	closed := time.Now()
	upstream, err := r.readUpstream(ctx, campaign, target.ClosedAt)
	if err != nil {
		return campaign, err
	}
	b := &builder{
		gate: r.ports.GateRebuild, target: target, closed: closed, campaign: campaign, upstream: upstream, used: newSlotSet(),
		gateEpoch: report.Epoch, raisedAt: raisedAt, recalled: map[domain.Slot][]domain.UserID{}, revoked: map[domain.UserID]bool{},
	}
	// After an error a write may still be under way, whose outcome no longer matters.
	defer func() { _ = b.settle() }()
	if err := r.writeHolders(ctx, b); err != nil {
		return campaign, err
	}
	crashpoint.Reach(crashpoint.RebuildHoldersWritten)
	if err := r.recallUnstored(ctx, b); err != nil {
		return campaign, err
	}
	if err := r.recallForgotten(ctx, b); err != nil {
		return campaign, err
	}
	crashpoint.Reach(crashpoint.RebuildRecalled)
	if err := r.writeUpstream(ctx, b); err != nil {
		return campaign, err
	}
	if err := r.writeLate(ctx, b); err != nil {
		return campaign, err
	}
	crashpoint.Reach(crashpoint.RebuildLateWritten)
	if campaign, err = r.lowerRebuilt(ctx, b); err != nil {
		return campaign, err
	}
	crashpoint.Reach(crashpoint.RebuildSettled)
	b.campaign = campaign
	return campaign, r.openWritten(ctx, b)
}

// openWritten is steps 10 and 11.
func (r *Retryer) openWritten(ctx context.Context, b *builder) error {
	if err := r.writeLate(ctx, b); err != nil {
		return err
	}
	if err := r.ports.GateRebuild.OpenRebuilt(ctx, b.target, b.campaign); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.RebuildOpened)
	return nil
}

// epochSpread is how long after it was raised an epoch is known to every api: they read the campaigns each second. Until
// then one of them may ask a server that was replaced, and tell its users the slots that this one gave.
const epochSpread = 1200 * time.Millisecond

// couponReaders bounds the rebuilds of this process that read coupons at the same time: each holds a connection to the
// database and a page of winners until it has read all of them.
const couponReaders = 4

func (r *Retryer) writeHolders(ctx context.Context, b *builder) error {
	select {
	case r.couponReaders <- struct{}{}:
		defer func() { <-r.couponReaders }()
		return b.writeHolders(ctx, r.ports.LedgerRebuild)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Retryer) readUpstream(ctx context.Context, campaign domain.Campaign, closedAt time.Time) (*upstream, error) {
	upstream := newUpstream(campaign, closedAt)
	if err := upstream.readPending(ctx, r.ports.Pending); err != nil {
		return nil, err
	}
	crashpoint.Reach(crashpoint.RebuildPendingRead)
	err := upstream.readTail(ctx, r.ports.Tail)
	if err != nil {
		return nil, err
	}
	crashpoint.Reach(crashpoint.RebuildTailRead)
	if upstream.stored, err = r.newest.of(ctx, campaign.Code); err != nil {
		return nil, err
	}
	for _, winner := range upstream.stored.winners {
		upstream.shows(winner.Epoch)
	}
	if err := r.requireNew(ctx, campaign, upstream.shown); err != nil {
		return nil, err
	}
	if upstream.dropped > 0 {
		r.logger.Error("the topic names far more winners than the campaign has coupons; the rest is left to the consumer",
			"campaign", campaign.Code, "records_left", upstream.dropped)
	}
	return upstream, nil
}

// recallUnstored looks for the users whose records the consumers have committed, and that the ledger has nothing of: it
// went back, as after a fail-over without the last commits, or a restored backup. If one is found among the newest
// records, all that the topic still has are read.
func (r *Retryer) recallUnstored(ctx context.Context, b *builder) error {
	b.recallStored(b.upstream.stored.winners...)
	if b.lost == 0 || b.upstream.stored.whole {
		return nil
	}
	err := r.slots.aside(b.users(), func() error {
		return r.stored.all(ctx, b.campaign, func(winner domain.Winner) { b.recallStored(winner) })
	})
	if err != nil {
		return err
	}
	return r.requireNew(ctx, b.campaign, b.upstream.shown)
}

func (r *Retryer) recallForgotten(ctx context.Context, b *builder) error {
	forgotten, err := b.recallForgotten(ctx)
	if b.lost > 0 {
		r.metrics.recalled.WithLabelValues("topic").Add(float64(b.lost))
		r.logger.Error("THE DATABASE LOST COUPONS: it has nothing of users whose records were stored; the topic still has "+
			"these records, and the users keep their slots", "campaign", b.campaign.Code, "winners", b.lost)
	}
	if len(b.revoked) > 0 {
		r.logger.Error("THE DATABASE LOST REVOCATIONS: the gate says that users were revoked that have no row; they stay revoked",
			"campaign", b.campaign.Code, "users", len(b.revoked))
	}
	if forgotten > 0 {
		r.metrics.recalled.WithLabelValues("gate").Add(float64(forgotten))
		r.logger.Error("RECORDS WERE LOST: winners of the gate stand neither on the topic nor in the ledger; they are sent again",
			"campaign", b.campaign.Code, "winners", forgotten)
	}
	return err
}

func (r *Retryer) writeUpstream(ctx context.Context, b *builder) error {
	if err := r.readWhenKnown(ctx, b); err != nil {
		return err
	}
	owed, err := b.writeUpstream(ctx)
	if err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.RebuildUpstreamWritten)
	if len(owed) == 0 {
		return nil
	}
	r.logger.Error("more winners were promised a coupon than there are slots", "campaign", b.campaign.Code,
		"without_slot", len(owed))
	if err := r.ports.Publisher.PublishAll(ctx, owed); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.RebuildOwedSent)
	return nil
}

func (r *Retryer) lowerRebuilt(ctx context.Context, b *builder) (domain.Campaign, error) {
	use := domain.SlotUse{Holders: b.used.count, Highest: int64(b.used.highest)}
	return r.ports.LedgerRebuild.FinishRebuild(ctx, b.campaign, use)
}
