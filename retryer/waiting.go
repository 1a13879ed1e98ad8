package retryer

import (
	"context"

	"firstcome/domain"
)

// wakeBatch bounds how many events that wait for a slot are made due in one look at a campaign.
const wakeBatch = 500

// wakeWaiting makes the events due whose users are owed a slot, as many as slots are there for them, in the order of
// their admission. An event that was claimed just now and found none is made due by the next look.
func (r *Retryer) wakeWaiting(ctx context.Context, campaign string, report domain.GateReport) error {
	served := min(report.Room(), report.Owed)
	if served == 0 {
		return nil
	}
	return r.wake(ctx, campaign, int(min(served, wakeBatch)))
}

// wakeRebuilt makes the events due that wait for a slot: the rebuild gave slots to those for whom there were some.
func (r *Retryer) wakeRebuilt(ctx context.Context, campaign string) {
	if err := r.wake(ctx, campaign, wakeBatch); err != nil {
		r.logger.Warn("events that wait for a slot were not made due; they look again by themselves",
			"campaign", campaign, "error", err)
	}
}

func (r *Retryer) wake(ctx context.Context, campaign string, limit int) error {
	woken, err := r.ports.Claimer.WakeFailEvents(ctx, campaign, limit)
	if woken > 0 {
		r.logger.Info("slots are there again for users who were promised one", "campaign", campaign, "events", woken)
	}
	return err
}
