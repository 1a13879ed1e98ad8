package retryer

import (
	"context"
	"slices"

	"firstcome/domain"
)

// writeChunk is how many users go to the gate in one call: about as many as the ledger reads at once, so that the one is
// read while the other is written.
const writeChunk = 5000

// builder writes the gate's users from what the ledger and upstream hold. The ledger is read as a stream; of each
// coupon it keeps the user (8 bytes) and the slot (a bit), and of each unresolved fail event the holder.
type builder struct {
	gate     domain.GateRebuilder
	target   domain.RebuildTarget
	campaign domain.Campaign
	upstream *upstream

	used   *slotSet
	rows   []domain.UserID
	events []domain.Holder

	// buffer fills up while spare is written; written gives the outcome, and is nil when nothing is being written.
	buffer, spare []domain.GateWinner
	written       chan error
}

// writeHolders writes everybody whom the ledger knows, and takes them out of upstream.
func (b *builder) writeHolders(ctx context.Context, ledger domain.LedgerRebuild) error {
	err := ledger.VisitHolders(ctx, b.campaign.Code, func(holder domain.Holder) error {
		delete(b.upstream.claims, holder.UserID)
		if holder.ByFailEvent {
			b.events = append(b.events, holder)
			return nil
		}
		return b.writeRow(ctx, holder)
	})
	if err != nil {
		return err
	}
	if err := b.writeEvents(ctx); err != nil {
		return err
	}
	return b.finish(ctx)
}

// writeRow writes the holder of a coupon, who keeps the slot whatever it is.
func (b *builder) writeRow(ctx context.Context, holder domain.Holder) error {
	if holder.Slot > domain.MaxQuota {
		return domain.Errorf(domain.CodeInternal, "user %d holds slot %d, beyond what a campaign can have",
			holder.UserID, holder.Slot)
	}
	if holder.Slot != domain.NoSlot && !b.used.take(holder.Slot) {
		holder.Slot = domain.SlotOwed
	}
	b.rows = append(b.rows, holder.UserID)
	return b.write(ctx, domain.GateWinner{UserID: holder.UserID, Slot: holder.Slot, AdmittedAt: holder.AdmittedAt})
}

// writeEvents writes the users for whom only a fail event stands. One with a slot keeps it unless it is taken, and
// comes before those without; of several events of one user the first counts.
func (b *builder) writeEvents(ctx context.Context) error {
	slices.Sort(b.rows)
	written := map[domain.UserID]bool{}
	for _, withSlot := range []bool{true, false} {
		for _, event := range b.events {
			_, hasRow := slices.BinarySearch(b.rows, event.UserID)
			if (event.Slot >= 1) != withSlot || hasRow || written[event.UserID] {
				continue
			}
			written[event.UserID] = true
			if int64(event.Slot) > b.campaign.Quota || !b.used.take(event.Slot) {
				event.Slot = domain.SlotOwed
			}
			winner := domain.GateWinner{UserID: event.UserID, Slot: event.Slot, AdmittedAt: event.AdmittedAt}
			if err := b.write(ctx, winner); err != nil {
				return err
			}
		}
	}
	return nil
}

// recallForgotten takes in the users whom nothing but the closed gate knows, and says how many there are. It comes after
// the ledger was read: who moved on meanwhile is known by now.
func (b *builder) recallForgotten(ctx context.Context) (int, error) {
	waiting := make(map[domain.UserID]bool, len(b.events))
	for _, event := range b.events {
		waiting[event.UserID] = true
	}
	forgotten := 0
	err := b.gate.VisitWinners(ctx, b.campaign.Code, func(winner domain.GateWinner) error {
		_, hasRow := slices.BinarySearch(b.rows, winner.UserID)
		if _, claims := b.upstream.claims[winner.UserID]; claims || hasRow || waiting[winner.UserID] || winner.Slot == domain.NoSlot {
			return nil
		}
		b.upstream.addBounded(domain.Winner{UserID: winner.UserID, Slot: winner.Slot, AdmittedAt: winner.AdmittedAt})
		forgotten++
		return nil
	})
	return forgotten, err
}

// writeUpstream writes the users whom only upstream knows, and gives back the winners for whom no slot was left, as
// upstream named them.
func (b *builder) writeUpstream(ctx context.Context) ([]domain.Winner, error) {
	var owed []domain.Winner
	for _, winner := range allot(b.upstream.claims, b.used, b.campaign.Quota) {
		if winner.Slot == domain.SlotOwed {
			owed = append(owed, b.claimed(winner))
		}
		if err := b.write(ctx, winner); err != nil {
			return nil, err
		}
	}
	return owed, b.finish(ctx)
}

// claimed gives the winner as upstream named it, under an epoch that is certainly over.
func (b *builder) claimed(winner domain.GateWinner) domain.Winner {
	claim := b.upstream.claims[winner.UserID]
	return domain.Winner{
		Campaign: b.campaign.Code, UserID: winner.UserID, Slot: max(domain.Slot(claim.slot), 1),
		AdmittedAt: winner.AdmittedAt, Epoch: min(claim.epoch, b.campaign.Epoch-1),
	}
}

func (b *builder) write(ctx context.Context, winner domain.GateWinner) error {
	b.buffer = append(b.buffer, winner)
	if len(b.buffer) < writeChunk {
		return nil
	}
	return b.flush(ctx)
}

// flush hands the buffer over to be written, after what was handed over before: two calls never run at once. An error of
// either comes from the next flush or settle.
func (b *builder) flush(ctx context.Context) error {
	if err := b.settle(); err != nil {
		return err
	}
	winners, written := b.buffer, make(chan error, 1)
	b.buffer, b.spare, b.written = b.spare[:0], winners, written
	go func() { written <- b.gate.WriteWinners(ctx, b.target, winners) }()
	return nil
}

// settle waits until nothing is being written.
func (b *builder) settle() error {
	if b.written == nil {
		return nil
	}
	err := <-b.written
	b.written = nil
	return err
}

// finish writes what is left in the buffer, and waits for it.
func (b *builder) finish(ctx context.Context) error {
	if len(b.buffer) > 0 {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	return b.settle()
}
