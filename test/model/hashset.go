package model

import "hash/maphash"

// hashSet remembers states by 64 bits of each, 8 bytes a state and up to twice that for room. Two states with the same
// bits would be taken for one; among a hundred million states that has a chance of one in four thousand.
type hashSet struct {
	seed    maphash.Seed
	places  []uint64
	entries int
}

func newHashSet() *hashSet {
	return &hashSet{seed: maphash.MakeSeed(), places: make([]uint64, 1<<16)}
}

// add says whether the state was not there yet.
func (h *hashSet) add(s State) bool {
	if h.entries*10 > len(h.places)*7 {
		h.grow()
	}
	bits := maphash.Comparable(h.seed, s)
	if bits == 0 {
		bits = 1
	}
	if !h.put(bits) {
		return false
	}
	h.entries++
	return true
}

func (h *hashSet) put(bits uint64) bool {
	mask := uint64(len(h.places) - 1)
	place := bits & mask
	for h.places[place] != 0 {
		if h.places[place] == bits {
			return false
		}
		place = (place + 1) & mask
	}
	h.places[place] = bits
	return true
}

func (h *hashSet) grow() {
	old := h.places
	h.places = make([]uint64, 2*len(old))
	for _, bits := range old {
		if bits != 0 {
			h.put(bits)
		}
	}
}
