package retryer

import (
	"context"
	"time"

	"firstcome/domain"
)

const (
	// pendingPage is how many pending entries are read at once, maxPendingPages how many pages; together they hold
	// more entries than the largest quota has slots.
	pendingPage     = 200
	maxPendingPages = domain.MaxQuota/pendingPage + 1000
	// spareClaims is how many users above the quota the tail may name before the rest of it is left to the consumer.
	spareClaims = 10_000
)

// claim is what a pending entry or a record says of one user, or a fail event that holds no slot; about 60 bytes with its
// place in the map.
type claim struct {
	slot int32 // domain.NoSlot when it says none that can exist
	// lost says that a stored record alone named the user, and the ledger has nothing of it.
	lost       bool
	epoch      int64
	admittedAt int64 // microseconds since 1970
}

// winner gives what the claim says as a record would.
func (c claim) winner(campaign string, user domain.UserID) domain.Winner {
	return domain.Winner{
		Campaign: campaign, UserID: user, Slot: domain.Slot(c.slot), Epoch: c.epoch, AdmittedAt: time.UnixMicro(c.admittedAt).UTC(),
	}
}

// upstream holds the users that were admitted and perhaps are not in the ledger yet: those of pending entries, and
// those of the topic's tail, of one campaign.
type upstream struct {
	campaign string
	// limit bounds the users of the tail. Records beyond it stay on the topic, and the consumer brings each to the gate.
	limit   int
	claims  map[domain.UserID]claim
	dropped int
	// ends are where the last reading of the tail stopped.
	ends domain.TailEnds
	// now bounds the admission times that are believed: a time in the future would stand in a stream without end. It is by the
	// clock of the gate's server, which gave these times: this host's may be behind.
	now time.Time
	// shown is the highest epoch that was named, of those that can be one: up to highestEpoch.
	shown, highestEpoch int64
	// stored are the newest records that consumers have committed, as they were before the ledger was read.
	stored newestStored
}

func newUpstream(campaign domain.Campaign, now time.Time) *upstream {
	return &upstream{
		campaign: campaign.Code, limit: int(campaign.HighestSlot()) + spareClaims,
		claims: map[domain.UserID]claim{}, now: now, highestEpoch: campaign.Epoch + domain.MaxEpochLead,
	}
}

// readPending takes in what is left of the pending entries. The gate is closed by then: no new ones come.
func (u *upstream) readPending(ctx context.Context, reader domain.PendingReader) error {
	return visitPending(ctx, reader, u.campaign, u.add)
}

// visitPending calls visit for every winner of the pending entries.
func visitPending(ctx context.Context, reader domain.PendingReader, campaign string, visit func(domain.Winner)) error {
	after := ""
	for range maxPendingPages {
		entries, err := reader.Pending(ctx, campaign, after, pendingPage)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			for _, winner := range entry.Winners {
				visit(winner)
			}
		}
		if len(entries) < pendingPage {
			return nil
		}
		after = entries[len(entries)-1].ID
	}
	return domain.Errorf(domain.CodeInternal, "more than %d pending entries", maxPendingPages*pendingPage)
}

// readTail takes in the records that no consumer has committed. A record from outside carries no promise yet: it
// asks the gate when it is consumed.
func (u *upstream) readTail(ctx context.Context, reader domain.TailReader) (err error) {
	u.ends, err = visitTail(ctx, reader, tailPart{campaign: u.campaign}, u.addBounded)
	return err
}

// tailPart is what is wanted of the tail: the records of one campaign, after the ends of an earlier reading.
type tailPart struct {
	campaign string
	from     domain.TailEnds
}

// visitTail calls visit for every winner of the campaign whose record no consumer has committed, and gives the ends.
func visitTail(
	ctx context.Context, reader domain.TailReader, part tailPart, visit func(domain.Winner),
) (domain.TailEnds, error) {
	return reader.ReadTail(ctx, part.from, func(delivery domain.Delivery) error {
		if delivery.Problem == nil && !delivery.External && delivery.Winner.Campaign == part.campaign {
			visit(delivery.Winner)
		}
		return nil
	})
}

func (u *upstream) addBounded(winner domain.Winner) {
	if _, known := u.claims[winner.UserID]; !known && len(u.claims) >= u.limit {
		u.dropped++
		return
	}
	u.add(winner)
}

// addWaiting takes in the user of a fail event without a slot. What a pending entry or a record says of that user stands:
// it may be newer, and name a slot that the user was told.
func (u *upstream) addWaiting(event domain.Holder) {
	if _, known := u.claims[event.UserID]; known {
		return
	}
	u.limit++
	u.claims[event.UserID] = claim{
		slot: int32(domain.NoSlot), epoch: event.Epoch, admittedAt: u.believed(event.AdmittedAt),
	}
}

// recall takes in what the closed gate says of a user, which counts as the oldest claim, and says whether nothing else is
// known of the user.
func (u *upstream) recall(winner domain.GateWinner) (forgotten bool) {
	claimed, known := u.claims[winner.UserID]
	switch {
	case !known:
		u.addBounded(domain.Winner{UserID: winner.UserID, Slot: winner.Slot, AdmittedAt: winner.AdmittedAt})
	case domain.Slot(claimed.slot) == domain.NoSlot && winner.Slot >= 1 && winner.Slot <= domain.MaxQuota:
		claimed.slot = int32(winner.Slot)
		u.claims[winner.UserID] = claimed
	}
	return !known
}

// shows notes the epoch of a record.
func (u *upstream) shows(epoch int64) {
	if epoch <= u.highestEpoch {
		u.shown = max(u.shown, epoch)
	}
}

// add keeps, for each user, what the highest epoch says.
func (u *upstream) add(winner domain.Winner) {
	u.shows(winner.Epoch)
	last, known := u.claims[winner.UserID]
	if winner.UserID < 1 || known && last.epoch >= winner.Epoch {
		return
	}
	slot := int32(domain.NoSlot)
	if winner.Slot >= 1 && winner.Slot <= domain.MaxQuota {
		slot = int32(winner.Slot)
	}
	u.claims[winner.UserID] = claim{
		slot: slot, epoch: winner.Epoch, admittedAt: u.believed(winner.AdmittedAt), lost: last.lost,
	}
}

func (u *upstream) believed(admittedAt time.Time) int64 {
	if admittedAt.After(u.now) {
		return u.now.UnixMicro()
	}
	return max(admittedAt.UnixMicro(), time.Millisecond.Microseconds())
}
