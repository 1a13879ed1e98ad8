package consumer

import (
	"context"
	"fmt"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// resolve brings one item that did not get its row to an end, or gives it a slot of the present epoch and leaves it
// undone, to be stored in the next round.
func (c *Consumer) resolve(ctx context.Context, i *item, v verdict) error {
	if v.refused != nil {
		return c.keepWithSlot(ctx, i, domain.ReasonRowRefused, v.refused.Error())
	}
	switch outcome := v.result.Outcome; outcome {
	case domain.OtherEpoch:
		return c.askAgain(ctx, i)
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

// admit asks the gate for a record from outside.
func (c *Consumer) admit(ctx context.Context, i *item) error {
	if c.cfg.DefaultCampaign == "" {
		return c.keepWithoutSlot(ctx, i, domain.ReasonUnknownCampaign, "no default campaign is configured")
	}
	admission, err := c.ports.Gate.Admit(ctx, c.cfg.DefaultCampaign, i.delivery.Winner.UserID)
	switch code := domain.CodeOf(err); code {
	case "":
		crashpoint.Reach(crashpoint.ConsumerAdmitted)
		i.take(admission)
		return nil
	case domain.CodeSoldOut, domain.CodeNotStarted, domain.CodePaused, domain.CodeEnded, domain.CodeRevoked:
		c.metrics.externalRefused.WithLabelValues(string(code)).Inc()
		i.done = true
		return nil
	case domain.CodeGateClosed:
		if c.campaignIsUnknown(ctx) {
			return c.keepWithoutSlot(ctx, i, domain.ReasonUnknownCampaign,
				fmt.Sprintf("there is no campaign %q", c.cfg.DefaultCampaign))
		}
	}
	return err
}

// campaignIsUnknown tells a default campaign that nobody created from one whose gate is closed for a while.
func (c *Consumer) campaignIsUnknown(ctx context.Context) bool {
	if c.ports.Campaigns == nil {
		return false
	}
	_, err := c.ports.Campaigns.Campaign(ctx, c.cfg.DefaultCampaign)
	return domain.CodeOf(err) == domain.CodeUnknownCampaign
}

// askAgain asks the gate which slot a user of another epoch holds now. A record of ours carries a promise, which
// the gate honours whatever the campaign's window; one from outside applies again.
func (c *Consumer) askAgain(ctx context.Context, i *item) error {
	if i.delivery.External {
		return c.admit(ctx, i)
	}
	admission, err := c.ports.Gate.Honour(ctx, i.winner.Campaign, i.winner.UserID)
	switch domain.CodeOf(err) {
	case "":
		crashpoint.Reach(crashpoint.ConsumerHonoured)
		i.take(admission)
		return nil
	case domain.CodeRevoked:
		i.done = true
		return nil
	case domain.CodeSoldOut:
		return c.keepWithoutSlot(ctx, i, domain.ReasonNoSlotLeft,
			fmt.Sprintf("admitted to slot %d under epoch %d; no slot is left now", i.winner.Slot, i.winner.Epoch))
	}
	return err
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

// confirm tells the gate of new winners whose rows are durable now. It is a courtesy: the relay would send what is not
// confirmed to the topic, where it is known as a duplicate. So the first failure ends it, and nothing waits for it.
func (c *Consumer) confirm(ctx context.Context, b *batch) {
	for _, i := range b.items {
		if !i.admission.New || !i.done {
			continue
		}
		if err := c.ports.Gate.Confirm(ctx, i.admission); err != nil {
			c.logger.Debug("a stored winner was not confirmed; the relay sends it again", "error", err)
			return
		}
		crashpoint.Reach(crashpoint.ConsumerConfirmed)
		i.admission.New = false
	}
}
