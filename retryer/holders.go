package retryer

import (
	"context"
	"slices"
	"time"

	"firstcome/domain"
)

// writeChunk is how many users go to the gate in one call: about as many as the ledger reads at once, so that the one is
// read while the other is written.
const writeChunk = 5000

// builder writes the gate's users from what the ledger and upstream hold. The ledger is read as a stream; of each
// coupon it keeps the user (8 bytes) and the slot (a bit), and of each unresolved fail event the holder.
type builder struct {
	gate   domain.GateRebuilder
	target domain.RebuildTarget
	// closed is when the gate was closed by this host's clock, of which only what has passed since counts.
	closed   time.Time
	campaign domain.Campaign
	upstream *upstream

	used   *slotSet
	rows   []domain.UserID
	events []domain.Holder
	// byEvent are the users of events: true for those who keep the slot of one, and are written.
	byEvent map[domain.UserID]bool
	// gateEpoch is the epoch at which the gate was closed, raisedAt when the ledger had the new one.
	gateEpoch int64
	raisedAt  time.Time
	// recalled are the users of stored records that the ledger has lost, by the slots that the records name.
	recalled map[domain.Slot][]domain.UserID
	// lost counts the users of stored records whose coupons the ledger has lost.
	lost int
	// revoked are the users of whose revocation the closed gate alone knows; they are written.
	revoked map[domain.UserID]bool

	// buffer fills up while spare is written; written gives the outcome, and is nil when nothing is being written.
	buffer, spare []domain.GateWinner
	written       chan error
}

// anotherMayBeInUse says whether processes may still ask another gate than the one that was closed: nobody knows what this one
// said last, or it was not at the ledger's epoch, as on a server that was replaced and to which this retryer is still
// connected. What the other one admits and tells must be on the topic before this one gives a slot to anybody else.
func (b *builder) anotherMayBeInUse() bool {
	return b.target.Unsure || b.gateEpoch != b.campaign.Epoch-1
}

// writeHolders writes everybody that the ledger gives a slot to, or none at any time, and takes them out of upstream. The
// users of its fail events who have no slot are left in upstream.
func (b *builder) writeHolders(ctx context.Context, ledger domain.LedgerRebuild) error {
	err := ledger.VisitHolders(ctx, b.campaign, func(holder domain.Holder) error {
		if holder.ByFailEvent {
			b.events = append(b.events, holder)
			return nil
		}
		delete(b.upstream.claims, holder.UserID)
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

// writeEvents writes the users who keep the slot of a fail event; of several events of one user the first counts whose
// slot can be kept. The other users of events come to the allotment with those of upstream: an event that holds no slot
// says nothing against one that the user was given since.
func (b *builder) writeEvents(ctx context.Context) error {
	slices.Sort(b.rows)
	b.events = slices.DeleteFunc(b.events, func(event domain.Holder) bool { return b.hasRow(event.UserID) })
	b.byEvent = make(map[domain.UserID]bool, len(b.events))
	for _, event := range b.events {
		if b.byEvent[event.UserID] || !b.keepsSlot(event) {
			continue
		}
		b.byEvent[event.UserID] = true
		delete(b.upstream.claims, event.UserID)
		winner := domain.GateWinner{UserID: event.UserID, Slot: event.Slot, AdmittedAt: event.AdmittedAt}
		if err := b.write(ctx, winner); err != nil {
			return err
		}
	}
	for _, event := range b.events {
		if !b.byEvent[event.UserID] {
			b.byEvent[event.UserID] = false
			b.upstream.addWaiting(event)
		}
	}
	return nil
}

// now is the moment by the clock of the gate's server.
func (b *builder) now() time.Time { return b.target.ClosedAt.Add(time.Since(b.closed)) }

// users is how many users the builder holds in memory.
func (b *builder) users() int { return len(b.rows) + len(b.upstream.claims) }

func (b *builder) hasRow(user domain.UserID) bool {
	_, found := slices.BinarySearch(b.rows, user)
	return found
}

// keepsSlot takes the slot of an event, unless it can't be kept: it is somebody else's or too high (keepSlot), or the gate
// gave the user another one since the event was written.
func (b *builder) keepsSlot(event domain.Holder) bool {
	if claim, claims := b.upstream.claims[event.UserID]; claims && claim.slot >= 1 && claim.epoch > event.Epoch {
		return false
	}
	return keepSlot(event.Slot, b.used, b.campaign)
}

// recallStored takes in the winners of committed records that the ledger gives nothing to, and counts those that nobody
// else names either.
func (b *builder) recallStored(winners ...domain.Winner) {
	for _, winner := range winners {
		_, hasEvent := b.byEvent[winner.UserID]
		if hasEvent || b.hasRow(winner.UserID) {
			continue
		}
		_, known := b.upstream.claims[winner.UserID]
		b.upstream.addBounded(winner)
		if claim, claims := b.upstream.claims[winner.UserID]; claims && !known {
			claim.lost = true
			b.upstream.claims[winner.UserID] = claim
			b.lost++
		}
		b.recalled[winner.Slot] = append(b.recalled[winner.Slot], winner.UserID)
	}
}

// recallForgotten takes in what the closed gate says of the users that neither the ledger nor upstream gives a slot to,
// and says how many it alone knows. It comes after the ledger was read: who moved on meanwhile is known by now.
func (b *builder) recallForgotten(ctx context.Context) (int, error) {
	forgotten := 0
	err := b.gate.VisitWinners(ctx, b.campaign.Code, func(winner domain.GateWinner) error {
		switch {
		case b.byEvent[winner.UserID] || b.revoked[winner.UserID] || b.hasRow(winner.UserID):
			return nil
		case winner.Slot == domain.NoSlot:
			return b.keepRevoked(ctx, winner)
		}
		b.unseat(winner)
		if b.upstream.recall(winner) {
			forgotten++
		}
		return nil
	})
	return forgotten, err
}

// keepRevoked writes a user that the gate calls revoked, and that the ledger has no row of. A gate hears of a revocation
// from the ledger only, so the ledger has lost it, and it is final: no record gives that user a coupon again.
func (b *builder) keepRevoked(ctx context.Context, winner domain.GateWinner) error {
	if b.upstream.claims[winner.UserID].lost {
		b.lost-- // It is the revocation that was lost.
	}
	delete(b.upstream.claims, winner.UserID)
	b.revoked[winner.UserID] = true
	return b.write(ctx, winner)
}

// unseat takes the slot of a holder of the gate from the claims of others that stored records make. The gate knows what
// became of a slot since; a record of a newer epoch than the gate's is newer than that.
func (b *builder) unseat(holder domain.GateWinner) {
	for _, user := range b.recalled[holder.Slot] {
		claim, claims := b.upstream.claims[user]
		if claims && user != holder.UserID && domain.Slot(claim.slot) == holder.Slot && claim.epoch <= b.gateEpoch {
			claim.slot = int32(domain.NoSlot)
			b.upstream.claims[user] = claim
		}
	}
}

// writeUpstream writes the users who are left in upstream, and gives back the winners that no slot was left for, as
// upstream named them; without those that have a fail event already.
func (b *builder) writeUpstream(ctx context.Context) ([]domain.Winner, error) {
	var owed []domain.Winner
	for _, winner := range allot(b.upstream.claims, b.used, b.campaign) {
		if _, hasEvent := b.byEvent[winner.UserID]; winner.Slot == domain.SlotOwed && !hasEvent {
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
