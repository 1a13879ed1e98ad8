package consumer

import (
	"context"
	"fmt"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// resolve brings one item that did not get its row to an end.
func (c *Consumer) resolve(ctx context.Context, i *item, v verdict) error {
	if v.refused != nil {
		return c.keepWithSlot(ctx, i, domain.ReasonRowRefused, v.refused.Error())
	}
	switch outcome := v.result.Outcome; outcome {
	case domain.HasOtherSlot:
		err := c.dispute(ctx, i.winner)
		i.done = err == nil
		return err
	case domain.SlotTaken:
		return c.keepAndDispute(ctx, i, domain.ReasonSlotTaken,
			fmt.Sprintf("slot %d is another user's", i.winner.Slot))
	case domain.OverQuota:
		return c.keepAndDispute(ctx, i, domain.ReasonOverQuota,
			fmt.Sprintf("slot %d is not within the quota", i.winner.Slot))
	case domain.UnknownCampaign:
		return c.keepWithoutSlot(ctx, i, domain.ReasonUnknownCampaign,
			fmt.Sprintf("there is no campaign %q", i.winner.Campaign))
	default:
		return domain.Errorf(domain.CodeInternal, "the coupon store gave the outcome %d, which we don't know", outcome)
	}
}

// keepAndDispute writes the fail event first: once the gate forgets the user's slot, the event is what is left of
// the winner.
func (c *Consumer) keepAndDispute(ctx context.Context, i *item, reason domain.FailReason, message string) error {
	if err := c.keepWithoutSlot(ctx, i, reason, message); err != nil {
		return err
	}
	err := c.dispute(ctx, i.winner)
	i.done = err == nil
	return err
}

// dispute closes the gate if it holds what the ledger denies.
func (c *Consumer) dispute(ctx context.Context, winner domain.Winner) error {
	c.logger.Error("the gate and the ledger contradict each other; the gate is closed if it still holds this",
		"campaign", winner.Campaign, "user_id", winner.UserID, "slot", winner.Slot, "epoch", winner.Epoch)
	if err := c.ports.Mender.Dispute(ctx, winner); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.ConsumerDisputed)
	return nil
}
