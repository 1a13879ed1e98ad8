package retryer

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"firstcome/domain"
)

// allot gives a slot to every user who is left in upstream, and the order in which their records are sent again.
//
// A user keeps the slot of the claim if it can have a holder and is nobody's, and if there are fewer holders than the
// quota; of two who claim one slot, the claim of the higher epoch is kept, and of one epoch the later one: the slot was freed and
// given again. A wish for a lower quota takes no such slot away:
// it may have been told. The others get the lowest slots left, in the order of their admission, and when there are as many
// holders as the quota (or the wish) says they are owed one. A user with a slot is pending: until a
// record of the new epoch names the slot, nothing but the gate knows of it, and it must not be told. That holds for a user
// of a fail event too, which names none.
func allot(claims map[domain.UserID]claim, used *slotSet, campaign domain.Campaign) []domain.GateWinner {
	users := slices.SortedFunc(maps.Keys(claims), func(a, b domain.UserID) int {
		return cmp.Or(
			cmp.Compare(claims[b].epoch, claims[a].epoch),
			cmp.Compare(claims[a].slot, claims[b].slot),
			cmp.Compare(claims[b].admittedAt, claims[a].admittedAt),
			cmp.Compare(a, b),
		)
	})
	winners := make([]domain.GateWinner, len(users))
	for i, user := range users {
		slot := domain.Slot(claims[user].slot)
		if !keepSlot(slot, used, campaign) {
			slot = domain.SlotOwed
		}
		winners[i] = domain.GateWinner{
			UserID: user, Slot: slot, AdmittedAt: time.UnixMicro(claims[user].admittedAt).UTC(),
		}
	}
	slices.SortFunc(winners, func(a, b domain.GateWinner) int {
		return cmp.Or(a.AdmittedAt.Compare(b.AdmittedAt), cmp.Compare(claims[a.UserID].slot, claims[b.UserID].slot),
			cmp.Compare(a.UserID, b.UserID))
	})
	for i := range winners {
		if winners[i].Slot == domain.SlotOwed && used.count < campaign.EffectiveQuota() {
			winners[i].Slot, _ = used.takeLowest(domain.Slot(campaign.EffectiveQuota()))
		}
		winners[i].Pending = winners[i].Slot >= 1
	}
	return winners
}

// keepSlot takes a slot that somebody was promised and that is no coupon yet, unless it is somebody else's, or too high, or
// there are as many holders as the quota that is in force: under a quota that was lowered, a slot above it can be free.
func keepSlot(slot domain.Slot, used *slotSet, campaign domain.Campaign) bool {
	return slot >= 1 && int64(slot) <= campaign.HighestSlot() && used.count < campaign.Quota && used.take(slot)
}
