package retryer

import (
	"context"
	"sync"

	"firstcome/domain"
)

// wakeBatch bounds how many events that wait for a slot are made due in one look at a campaign.
const wakeBatch = 500

// owing remembers at which campaigns users were owed a slot at the last look.
type owing struct {
	mu        sync.Mutex
	campaigns map[string]bool
}

func newOwing() *owing { return &owing{campaigns: map[string]bool{}} }

func (o *owing) note(campaign string, owes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if owes {
		o.campaigns[campaign] = true
		return
	}
	delete(o.campaigns, campaign)
}

func (o *owing) at(campaign string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.campaigns[campaign]
}

// wakeWaiting makes the events due whose users are owed a slot, as many as slots are there for them, in the order of
// their admission. An event that was claimed just now and found none is made due by the next look. When nobody is owed a slot
// any more, all that still wait are made due once: their users have a slot by another event or because they applied again,
// so they wait for nothing.
func (r *Retryer) wakeWaiting(ctx context.Context, campaign string, report domain.GateReport) error {
	if report.Owed > 0 {
		r.owing.note(campaign, true)
	}
	served := min(report.Room(), report.Owed)
	if report.Owed == 0 && r.owing.at(campaign) {
		served = wakeBatch
	}
	if served == 0 {
		return nil
	}
	woken, err := r.wake(ctx, campaign, int(min(served, wakeBatch)))
	if err == nil && report.Owed == 0 && woken < wakeBatch {
		r.owing.note(campaign, false)
	}
	return err
}

// wakeRebuilt makes the events due that wait for a slot: the rebuild gave slots as far as there were some.
func (r *Retryer) wakeRebuilt(ctx context.Context, campaign string) {
	if _, err := r.wake(ctx, campaign, wakeBatch); err != nil {
		r.logger.Warn("events that wait for a slot were not made due; they look again by themselves",
			"campaign", campaign, "error", err)
	}
}

func (r *Retryer) wake(ctx context.Context, campaign string, limit int) (int, error) {
	woken, err := r.ports.Claimer.WakeFailEvents(ctx, campaign, limit)
	if woken > 0 {
		r.logger.Info("slots are there again for users who were promised one", "campaign", campaign, "events", woken)
	}
	return woken, err
}
