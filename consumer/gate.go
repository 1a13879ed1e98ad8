package consumer

import (
	"context"
	"fmt"
	"slices"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// question is one of the gate's questions about the users of one campaign.
type question struct {
	ask      func(context.Context, string, []domain.UserID, []domain.Decision) error
	campaign string
	// answered passes the crash point between the gate's answer and whatever follows from it.
	answered func()
	// refused brings an item to its end that got no slot.
	refused func(ctx context.Context, i *item, refusal error) error
}

// askGate has the gate decide about all items, in their order and a whole batch a call. Those who hold a slot are left
// undone, to be stored; for the others the question says what becomes of them. Neither is done before the users may be told.
func (c *Consumer) askGate(ctx context.Context, q question, items []*item) error {
	for some := range slices.Chunk(items, domain.MaxBatch) {
		users, decisions := make([]domain.UserID, len(some)), make([]domain.Decision, len(some))
		for n, i := range some {
			users[n] = i.winner.UserID
		}
		err := q.ask(ctx, q.campaign, users, decisions)
		if err == nil {
			err = domain.WaitUntilTold(ctx, decisions[0].TellIn)
		}
		if err != nil {
			for n := range decisions {
				decisions[n].Err = err
			}
		} else {
			q.answered()
		}
		// First what needs no store: a failure of one must not forget what the gate gave to the others.
		for n, i := range some {
			if decisions[n].Err == nil {
				i.take(decisions[n].Admission)
			}
		}
		for n, i := range some {
			if refusal := decisions[n].Err; refusal != nil {
				if err := q.refused(ctx, i, refusal); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// admit asks the gate for records from outside: the first in line comes first.
func (c *Consumer) admit(ctx context.Context, items []*item) error {
	if c.cfg.DefaultCampaign == "" {
		for _, i := range items {
			if err := c.keepWithoutSlot(ctx, i, domain.ReasonUnknownCampaign, "no default campaign is configured"); err != nil {
				return err
			}
		}
		return nil
	}
	return c.askGate(ctx, question{
		ask: c.ports.Gate.AdmitAll, campaign: c.cfg.DefaultCampaign, refused: c.notAdmitted,
		answered: func() { crashpoint.Reach(crashpoint.ConsumerAdmitted) },
	}, items)
}

func (c *Consumer) notAdmitted(ctx context.Context, i *item, refusal error) error {
	switch code := domain.CodeOf(refusal); code {
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
	return refusal
}

// campaignIsUnknown tells a default campaign that nobody created from one whose gate is closed for a while.
func (c *Consumer) campaignIsUnknown(ctx context.Context) bool {
	if c.ports.Campaigns == nil {
		return false
	}
	_, err := c.ports.Campaigns.Campaign(ctx, c.cfg.DefaultCampaign)
	return domain.CodeOf(err) == domain.CodeUnknownCampaign
}

// askAgain asks the gate which slots the users of another epoch hold now, all of one campaign. A record of ours carries
// a promise, which the gate honours whatever the campaign's window; one from outside applies again.
func (c *Consumer) askAgain(ctx context.Context, items []*item) error {
	var ours, external []*item
	for _, i := range items {
		if i.delivery.External {
			external = append(external, i)
		} else {
			ours = append(ours, i)
		}
	}
	if err := c.admit(ctx, external); err != nil || len(ours) == 0 {
		return err
	}
	return c.askGate(ctx, question{
		ask: c.ports.Gate.HonourAll, campaign: ours[0].winner.Campaign, refused: c.notHonoured,
		answered: func() { crashpoint.Reach(crashpoint.ConsumerHonoured) },
	}, ours)
}

func (c *Consumer) notHonoured(ctx context.Context, i *item, refusal error) error {
	switch domain.CodeOf(refusal) {
	case domain.CodeRevoked:
		i.done = true
		return nil
	case domain.CodeSoldOut:
		return c.keepWithoutSlot(ctx, i, domain.ReasonNoSlotLeft,
			fmt.Sprintf("admitted to slot %d under epoch %d; no slot is left now", i.winner.Slot, i.winner.Epoch))
	}
	return refusal
}

// confirm tells the gate of new winners whose rows are durable now. It is a courtesy: the relay would send what is not
// confirmed to the topic, where it is known as a duplicate. So the first failure ends it, and nothing waits for it.
func (c *Consumer) confirm(ctx context.Context, b *batch) {
	for made, entries := range b.entriesDone() {
		if err := c.ports.Gate.Acknowledge(ctx, made.campaign, made.epoch, entries); err != nil {
			c.logger.Debug("stored winners were not confirmed; the relay sends them again", "error", err)
			return
		}
		crashpoint.Reach(crashpoint.ConsumerConfirmed)
	}
}
