package sqlledger

import "firstcome/domain"

// knownRows is what a transaction has read of the coupons that a batch touches.
type knownRows struct {
	// slotOf holds the slot of each user who has a row; NoSlot for a revoked one.
	slotOf map[domain.UserID]domain.Slot
	// taken holds the slots that rows hold.
	taken map[domain.Slot]bool
}

// newKnownRows has room for a batch of this size.
func newKnownRows(size int) knownRows {
	return knownRows{slotOf: make(map[domain.UserID]domain.Slot, size), taken: make(map[domain.Slot]bool, size)}
}

func (k knownRows) add(user domain.UserID, slot domain.Slot) {
	k.slotOf[user] = slot
	if slot != domain.NoSlot {
		k.taken[slot] = true
	}
}

// settle decides on each winner of a batch in the order in which they came, given the campaign's row and the coupons
// that are there already. Each winner that it lets through counts for those after it, so two of one batch conflict
// with each other as they would in two batches. It adds them to known.
func settle(campaign campaignRow, winners []domain.Winner, known knownRows) []domain.StoreResult {
	results := make([]domain.StoreResult, len(winners))
	for i, winner := range winners {
		results[i] = settleOne(campaign, winner, known)
		if results[i].Outcome == domain.Stored {
			known.add(winner.UserID, winner.Slot)
		}
	}
	return results
}

// settleOne looks at the user's row first: anybody who has one is done with, whatever the record says.
func settleOne(campaign campaignRow, winner domain.Winner, known knownRows) domain.StoreResult {
	slot, hasRow := known.slotOf[winner.UserID]
	switch {
	case hasRow && slot == domain.NoSlot:
		return domain.StoreResult{Outcome: domain.AlreadyRevoked}
	case hasRow && slot == winner.Slot:
		return domain.StoreResult{Outcome: domain.AlreadyStored, Slot: slot}
	case hasRow:
		return domain.StoreResult{Outcome: domain.HasOtherSlot, Slot: slot}
	case winner.Epoch != campaign.Epoch:
		return domain.StoreResult{Outcome: domain.OtherEpoch}
	case winner.Slot < 1 || int64(winner.Slot) > max(campaign.Quota, campaign.SlotLimit):
		return domain.StoreResult{Outcome: domain.OverQuota}
	case known.taken[winner.Slot]:
		return domain.StoreResult{Outcome: domain.SlotTaken}
	}
	return domain.StoreResult{Outcome: domain.Stored, Slot: winner.Slot}
}

// leavesRow says whether the user has a row after this outcome.
func leavesRow(outcome domain.StoreOutcome) bool {
	switch outcome {
	case domain.Stored, domain.AlreadyStored, domain.AlreadyRevoked, domain.HasOtherSlot:
		return true
	}
	return false
}
