package retryer

import "firstcome/domain"

// slotSet says which slots have a holder: one bit each, 1.25 MB at the largest quota.
type slotSet struct {
	words   []uint64
	highest domain.Slot
	// count is how many have a holder.
	count int64
	// from is where the search for the lowest unused slot goes on; no unused one is below it.
	from domain.Slot
}

func newSlotSet() *slotSet {
	return &slotSet{words: make([]uint64, domain.MaxQuota/64+1), from: 1}
}

// take marks a slot and says whether it was free. A slot that cannot exist is never free.
func (s *slotSet) take(slot domain.Slot) bool {
	if slot < 1 || slot > domain.MaxQuota || s.has(slot) {
		return false
	}
	s.words[slot/64] |= 1 << (slot % 64)
	s.highest = max(s.highest, slot)
	s.count++
	return true
}

func (s *slotSet) has(slot domain.Slot) bool { return s.words[slot/64]&(1<<(slot%64)) != 0 }

// takeLowest marks the lowest free slot up to the limit and gives it; false when there is none.
func (s *slotSet) takeLowest(limit domain.Slot) (domain.Slot, bool) {
	for s.from <= limit && s.has(s.from) {
		s.from++
	}
	if s.from > limit {
		return domain.SlotOwed, false
	}
	s.take(s.from)
	return s.from, true
}
