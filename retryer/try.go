package retryer

import (
	"context"
	"fmt"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// try is one attempt at one fail event.
type try struct {
	*Retryer
	event domain.FailEvent
	// winner is what is to be stored: what the event says, or what the gate said last.
	winner    domain.Winner
	admission domain.Admission
	// failure says why the event can't be stored, when the ledger or the gate decided so.
	failure *domain.Failure
	// waits is true when the gate had no slot left, another when the slot turned out to be another user's or too high: the
	// next attempt asks for another one.
	waits, another bool
	// unexplained is true when a store failed with what nobody here knows: that is about the store, and not about the row.
	unexplained bool
	// disputed is what the gate holds and the ledger denies.
	disputed domain.Winner
}

// store returns nil when the event is resolved. Otherwise either failure is set, or the error is a store's.
func (t *try) store(ctx context.Context) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			t.logger.Error("attempt at a fail event panicked", "fail_event", t.event.ID, "panic", panicked)
			err = domain.Errorf(domain.CodeInternal, "the attempt panicked: %v", panicked)
		}
	}()
	ask := t.winner.Slot < 1
	for range maxRounds {
		if ask {
			if err := t.askGate(ctx); err != nil {
				return t.explain(err)
			}
		}
		result, err := t.ports.Settler.StoreClaimed(ctx, t.event, t.winner)
		if err != nil {
			return t.explain(err)
		}
		if result.Outcome == domain.Stored && t.ports.Funnel != nil {
			t.ports.Funnel.Count(t.winner.Campaign, domain.FunnelIssued, 1)
		}
		if result.Outcome != domain.OtherEpoch || t.winner.Slot < 1 {
			return t.conclude(result.Outcome)
		}
		ask = true
	}
	return domain.Errorf(domain.CodeGateClosed, "the gate of campaign %s is being rebuilt", t.event.Campaign)
}

// explain notes whether anybody knows what a store's error is about.
func (t *try) explain(err error) error {
	t.unexplained = domain.CodeOf(err) == domain.CodeInternal
	return err
}

// askGate takes the slot that the gate holds for the user now. For a revoked user it takes none, and the ledger
// then finds the revoked row.
func (t *try) askGate(ctx context.Context) error {
	admission, err := domain.Honour(ctx, t.ports.Gate, t.event.Campaign, t.event.UserID)
	switch domain.CodeOf(err) {
	case "":
		crashpoint.Reach(crashpoint.RetryHonoured)
		t.admission, t.winner = admission, admission.Winner
		return nil
	case domain.CodeRevoked:
		t.winner.Slot = domain.NoSlot
		return nil
	case domain.CodeSoldOut:
		t.waits = true
		return t.failWithoutSlot(domain.ReasonNoSlotLeft, "no slot is left; raise the quota, or revoke a coupon")
	case domain.CodeGateClosed:
		// A campaign that nobody created has no gate either, and none will open.
		if _, found := t.ports.Campaigns.Campaign(ctx, t.event.Campaign); domain.CodeOf(found) == domain.CodeUnknownCampaign {
			return t.failWithoutSlot(domain.ReasonUnknownCampaign, "there is no such campaign")
		}
	}
	return err
}

// conclude acts on what the ledger said; everything but a resolved event is a failure.
func (t *try) conclude(outcome domain.StoreOutcome) error {
	switch outcome {
	case domain.Stored, domain.AlreadyStored, domain.AlreadyRevoked:
		return nil
	case domain.HasOtherSlot:
		t.disputed = t.winner
		return nil
	case domain.UnknownCampaign:
		return t.failWithoutSlot(domain.ReasonUnknownCampaign, "there is no such campaign")
	}
	if t.winner.Slot < 1 {
		return t.failWithoutSlot(t.event.Reason, "the gate says that the user was revoked, the ledger doesn't")
	}
	t.disputed = t.winner
	switch outcome {
	case domain.SlotTaken:
		t.another = true
		return t.failWithoutSlot(domain.ReasonSlotTaken, fmt.Sprintf("slot %d is another user's", t.winner.Slot))
	case domain.OverQuota:
		t.another = true
		return t.failWithoutSlot(domain.ReasonOverQuota, fmt.Sprintf("slot %d is not within the quota", t.winner.Slot))
	}
	return domain.Errorf(domain.CodeInternal, "the ledger gave the outcome %d, which we don't know", outcome)
}

// failWithoutSlot notes a decided failure, after which the event holds no slot, and returns it as an error.
func (t *try) failWithoutSlot(reason domain.FailReason, message string) error {
	t.failure = &domain.Failure{Reason: reason, Slot: domain.NoSlot, Epoch: t.winner.Epoch, Message: message}
	return domain.Errorf(domain.CodeConflict, "%s", message)
}

// whatFailed gives the decided failure, or makes one of an error that no repetition will change. The user then
// keeps the slot that the event or the gate gave.
func (t *try) whatFailed(err error) domain.Failure {
	if t.failure != nil {
		return *t.failure
	}
	reason := t.event.Reason
	if domain.CodeOf(err) == domain.CodeRowRefused {
		reason = domain.ReasonRowRefused
	}
	return domain.Failure{
		Reason: reason, Slot: max(t.winner.Slot, domain.NoSlot), Epoch: t.winner.Epoch, Message: err.Error(),
	}
}

// tellGate follows what the ledger now holds. If a new winner is durable there, as a row or as an event with the slot, the
// record need not be sent any more; should this fail the relay sends it, which does no harm. If not, the entry is all that
// tells of the slot that the gate gave.
func (t *try) tellGate(ctx context.Context, durable bool) {
	if t.disputed.Slot >= 1 {
		t.logger.Error("the gate and the ledger contradict each other; the gate is closed if it still holds this",
			"campaign", t.disputed.Campaign, "user_id", t.disputed.UserID, "slot", t.disputed.Slot)
		if err := t.ports.Mender.Dispute(ctx, t.disputed); err != nil && len(t.unsent) < maxUnsent {
			t.unsent = append(t.unsent, t.disputed)
		}
		return
	}
	if t.admission.New && durable {
		err := t.ports.Gate.Acknowledge(ctx, t.admission.Campaign, t.admission.Epoch, []string{t.admission.EntryID})
		if err != nil {
			t.logger.Debug("a stored winner was not confirmed; the relay sends it", "error", err)
		}
		crashpoint.Reach(crashpoint.RetryTold)
	}
}
