package retryer

import (
	"context"
	"time"

	"firstcome/domain"
)

// maxLateReadings is how often a rebuild at most reads on what came to the topic meanwhile. What comes after the last
// reading is brought to the open gate by anybody who waits for it, or by the consumer.
const maxLateReadings = 5

// writeLate reads the topic's tail on from where the last reading stopped, and writes the winners who came meanwhile as
// if they had been there before, until a reading finds nobody new.
func (r *Retryer) writeLate(ctx context.Context, b *builder) error {
	for range maxLateReadings {
		late, err := b.readLate(ctx, r.ports.Tail)
		if err != nil {
			return err
		}
		if len(late) == 0 {
			return nil
		}
		if err := b.writeLate(ctx, late); err != nil {
			return err
		}
		r.logger.Info("winners came to the topic while the gate was rebuilt", "campaign", b.campaign.Code, "winners", len(late))
	}
	return nil
}

// readWhenKnown reads the tail on when no process asks another gate any more; who is found counts as if found at first.
func (r *Retryer) readWhenKnown(ctx context.Context, b *builder) error {
	if !b.anotherMayBeInUse() {
		return nil
	}
	err := r.slots.aside(b.users(), func() error { return wait(ctx, time.Until(b.raisedAt.Add(epochSpread))) })
	if err != nil {
		return err
	}
	return b.readOn(ctx, r.ports.Tail)
}

// readOn takes in what the topic says since the last reading, as if it had been found then.
func (b *builder) readOn(ctx context.Context, tail domain.TailReader) error {
	since, err := b.tailSince(ctx, tail)
	for user, found := range since {
		if !b.byEvent[user] && !b.hasRow(user) && !b.revoked[user] && !b.outweighs(user, found) {
			b.upstream.claims[user] = found
		}
	}
	return err
}

// outweighs says whether what is known of a user stands against what was found. A fail event without a slot says nothing
// against one that the user was told since.
func (b *builder) outweighs(user domain.UserID, found claim) bool {
	known, claims := b.upstream.claims[user]
	_, waits := b.byEvent[user]
	return claims && known.epoch >= found.epoch && (known.slot >= 1 || !waits)
}

// tailSince gives what the topic says since the last reading.
func (b *builder) tailSince(ctx context.Context, tail domain.TailReader) (map[domain.UserID]claim, error) {
	since := newUpstream(b.campaign, b.now())
	ends, err := visitTail(ctx, tail, tailPart{b.campaign.Code, b.upstream.ends}, since.addBounded)
	if err != nil {
		return nil, err
	}
	b.upstream.ends = ends
	return since.claims, nil
}

// readLate gives what the topic says since the last reading of users that the rebuild does not know.
func (b *builder) readLate(ctx context.Context, tail domain.TailReader) (map[domain.UserID]claim, error) {
	late, err := b.tailSince(ctx, tail)
	for user := range late {
		if _, known := b.upstream.claims[user]; known || b.hasRow(user) || b.revoked[user] {
			delete(late, user)
		}
	}
	for _, event := range b.events {
		delete(late, event.UserID)
	}
	return late, err
}

// writeLate writes users that the rebuild knows from now on. Those that no slot is left for are not sent to the topic:
// it is from there that they come, and no consumer can have stored them.
func (b *builder) writeLate(ctx context.Context, late map[domain.UserID]claim) error {
	for _, winner := range allot(late, b.used, b.campaign) {
		b.upstream.claims[winner.UserID] = late[winner.UserID]
		if err := b.write(ctx, winner); err != nil {
			return err
		}
	}
	return b.finish(ctx)
}
