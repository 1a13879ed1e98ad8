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
// A user keeps the slot of the claim if it is within the quota and nobody's; of two who claim one slot, the claim of
// the higher epoch is kept. The others get the lowest slots left, in the order of their admission, and when none is
// left they are owed one. Whoever has a slot is pending: the record must be sent again under the new epoch, unless a fail
// event is all that stands for the user.
func allot(claims map[domain.UserID]claim, used *slotSet, quota int64) []domain.GateWinner {
	users := slices.SortedFunc(maps.Keys(claims), func(a, b domain.UserID) int {
		return cmp.Or(
			cmp.Compare(claims[b].epoch, claims[a].epoch),
			cmp.Compare(claims[a].slot, claims[b].slot),
			cmp.Compare(claims[a].admittedAt, claims[b].admittedAt),
			cmp.Compare(a, b),
		)
	})
	winners := make([]domain.GateWinner, len(users))
	for i, user := range users {
		slot := domain.Slot(claims[user].slot)
		if int64(slot) > quota || !used.take(slot) {
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
		if winners[i].Slot == domain.SlotOwed {
			winners[i].Slot, _ = used.takeLowest(domain.Slot(quota))
		}
		winners[i].Pending = winners[i].Slot >= 1 && !claims[winners[i].UserID].waiting
	}
	return winners
}

// settledQuota says which quota the campaign has after the rebuild: the wanted lower one, unless a slot above it
// is in use.
func settledQuota(campaign domain.Campaign, highest domain.Slot) int64 {
	if campaign.WantedQuota != 0 && int64(highest) <= campaign.WantedQuota {
		return campaign.WantedQuota
	}
	return campaign.Quota
}
