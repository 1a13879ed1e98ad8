package retryer

import (
	"context"
	"maps"
	"time"

	"firstcome/domain"
)

// maxLateReadings is how often a rebuild at most reads on what came to the topic meanwhile. What comes after the last
// reading is brought to the open gate by whoever waits for it, or by the consumer.
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
	late, err := b.readLate(ctx, r.ports.Tail)
	maps.Copy(b.upstream.claims, late)
	return err
}

// readLate gives what the topic says since the last reading of users whom the rebuild does not know.
func (b *builder) readLate(ctx context.Context, tail domain.TailReader) (map[domain.UserID]claim, error) {
	late := newUpstream(b.campaign, time.Now())
	ends, err := visitTail(ctx, tail, tailPart{b.campaign.Code, b.upstream.ends}, late.addBounded)
	if err != nil {
		return nil, err
	}
	b.upstream.ends = ends
	for user := range late.claims {
		if _, known := b.upstream.claims[user]; known || b.hasRow(user) || b.revoked[user] {
			delete(late.claims, user)
		}
	}
	for _, event := range b.events {
		delete(late.claims, event.UserID)
	}
	return late.claims, nil
}

// writeLate writes users whom the rebuild knows from now on. Those for whom no slot is left are not sent to the topic:
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
