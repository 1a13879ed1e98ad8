package consumer

import (
	"context"
	"strings"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// firstAttemptAfter is how soon the retryer tries a fresh fail event.
const firstAttemptAfter = time.Second

// keepWithSlot ends an item with a fail event that holds its slot. If the gate was rebuilt meanwhile the slot may be
// another user's: the gate is asked, and the item stays undone for another round.
func (c *Consumer) keepWithSlot(ctx context.Context, i *item, reason domain.FailReason, message string) error {
	err := c.recordFailEvent(ctx, i, i.winner, failure{reason, message})
	if domain.CodeOf(err) == domain.CodeEpochChanged {
		return c.askAgain(ctx, []*item{i})
	}
	i.done = err == nil
	return err
}

// keepWithoutSlot ends an item with a fail event for a winner whose slot is not, or no longer, theirs.
func (c *Consumer) keepWithoutSlot(ctx context.Context, i *item, reason domain.FailReason, message string) error {
	winner := i.winner
	winner.Slot = domain.NoSlot
	err := c.recordFailEvent(ctx, i, winner, failure{reason, message})
	i.done = err == nil
	return err
}

// failure says why a record could not be stored.
type failure struct {
	reason  domain.FailReason
	message string
}

func (c *Consumer) recordFailEvent(ctx context.Context, i *item, winner domain.Winner, why failure) error {
	event := domain.FailEvent{
		Winner:        winner,
		Status:        domain.FailStatusFail,
		Reason:        why.reason,
		ErrorMessage:  bounded(why.message),
		Raw:           i.delivery.Raw[:min(len(i.delivery.Raw), domain.MaxRawBytes)],
		Position:      i.delivery.Position,
		Digest:        i.delivery.Digest,
		NextAttemptAt: time.Now().Add(firstAttemptAfter),
	}
	if err := c.ports.Coupons.RecordFailEvent(ctx, event); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.ConsumerKept)
	c.metrics.failEvents.WithLabelValues(string(why.reason)).Inc()
	c.logger.Warn("record kept as a fail event", "reason", event.Reason, "error", event.ErrorMessage,
		"campaign", event.Campaign, "user_id", event.UserID, "topic", event.Position.Topic,
		"partition", event.Position.Partition, "offset", event.Position.Offset)
	return nil
}

// bounded cuts an error text to what is kept of it. It may quote bytes of the record, so it is made valid UTF-8.
func bounded(message string) string {
	message = message[:min(len(message), domain.MaxErrorMessageBytes)]
	return strings.ToValidUTF8(message, "")
}
