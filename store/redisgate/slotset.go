package redisgate

import (
	"iter"

	"firstcome/domain"
)

// slotSet is a set of slots, one bit each: 1.25 MB for the ten million of the largest campaign.
type slotSet struct {
	words []uint64
	last  int64
}

const wordBits = 64

// add adds a slot of 1 or more, and says whether it was new.
func (s *slotSet) add(slot domain.Slot) bool {
	word, bit := int(slot)/wordBits, uint64(1)<<(slot%wordBits)
	for word >= len(s.words) {
		s.words = append(s.words, 0)
	}
	if s.words[word]&bit != 0 {
		return false
	}
	s.words[word] |= bit
	s.last = max(s.last, int64(slot))
	return true
}

// highest is the highest slot in the set, 0 when it is empty.
func (s *slotSet) highest() int64 { return s.last }

func (s *slotSet) has(slot int64) bool {
	return s.words[slot/wordBits]&(uint64(1)<<(slot%wordBits)) != 0
}

// gaps gives the slots below the highest that are not in the set, in their order, up to limit at a time. A yielded
// slice is used again for the next.
func (s *slotSet) gaps(limit int) iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		some := make([]int64, 0, limit)
		for slot := int64(1); slot < s.last; slot++ {
			if s.has(slot) {
				continue
			}
			if some = append(some, slot); len(some) == limit {
				if !yield(some) {
					return
				}
				some = some[:0]
			}
		}
		if len(some) > 0 {
			yield(some)
		}
	}
}
