package retryer

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func allotted(quota int64, taken []domain.Slot, promises ...domain.Winner) map[domain.UserID]domain.Slot {
	u := newUpstream(domain.Campaign{Code: sale, Quota: quota}, at(1000))
	for _, promise := range promises {
		u.add(promise)
	}
	used := newSlotSet()
	for _, slot := range taken {
		used.take(slot)
	}
	slots := map[domain.UserID]domain.Slot{}
	for _, winner := range allot(u.claims, used, domain.Campaign{Quota: quota}) {
		slots[winner.UserID] = winner.Slot
	}
	return slots
}

func TestOfTwoWhoWerePromisedOneSlotTheLaterEpochCounts(t *testing.T) {
	assert.Equal(t, map[domain.UserID]domain.Slot{1: 1, 2: 5},
		allotted(10, nil, promise(1, 5, 3, at(0)), promise(2, 5, 4, at(9))))
}

func TestOfWhatIsSaidOfOneUserTheLaterEpochCounts(t *testing.T) {
	assert.Equal(t, map[domain.UserID]domain.Slot{1: 7},
		allotted(10, nil, promise(1, 5, 3, at(0)), promise(1, 7, 4, at(0)), promise(1, 6, 2, at(0))))
}

func TestWhoLosesASlotGetsTheLowestLeftInTheOrderOfAdmission(t *testing.T) {
	assert.Equal(t, map[domain.UserID]domain.Slot{1: 3, 2: 1, 3: domain.SlotOwed},
		allotted(4, []domain.Slot{2, 4}, promise(1, 2, 1, at(2)), promise(2, 4, 1, at(1)), promise(3, 9, 1, at(3))))
}

func TestAFailEventWithASlotCountsMoreThanOneWithout(t *testing.T) {
	w, r := opened(t, sale)
	w.fail(refusedEvent(1, domain.NoSlot, 1))
	w.fail(refusedEvent(2, 4, 1))
	w.fail(refusedEvent(1, 5, 1))
	w.fail(refusedEvent(3, 4, 1))
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(5), w.slotOf(sale, 1))
	assert.Equal(t, domain.Slot(4), w.slotOf(sale, 2), "of two events with one slot the first keeps it")
	assert.Equal(t, domain.Slot(1), w.slotOf(sale, 3), "the other gets what is left")
}
