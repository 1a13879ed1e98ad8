package model

import "slices"

// Result is what a search or a walk has found.
type Result struct {
	States, Depth int
	// Complete says that every state within the bounds of the case was seen.
	Complete bool
	// Broken are the properties that the trace breaks; Trace is empty when there is none.
	Broken Property
	Trace  []move
}

// origin is how a state was reached first: 8 bytes a state.
type origin struct {
	parent uint32
	by     move
}

type search struct {
	c       *Case
	seen    *hashSet
	settled *hashSet
	origins []origin
	result  Result
}

// place is a state at the edge of what was seen.
type place struct {
	state State
	index uint32
}

// Explore searches breadth first through all states that a case can reach, until a property is broken that the case does
// not allow, or MaxStates are seen. Only the states of two depths are held; of the others 64 bits and their origin.
func Explore(c *Case) Result {
	s := &search{c: c, seen: newHashSet(), settled: newHashSet(), origins: make([]origin, 1)}
	m := newMachine(c, false)
	s.seen.add(m.s)
	edge := []place{{m.s, 0}}
	for len(edge) > 0 && s.result.Broken == 0 && s.seen.entries < c.MaxStates {
		edge = s.advance(m, edge)
		s.result.Depth++
	}
	s.result.States = s.seen.entries
	s.result.Complete = len(edge) == 0 && s.result.Broken == 0
	return s.result
}

// advance goes one step further from each state of the edge.
func (s *search) advance(m *machine, edge []place) []place {
	var next []place
	for i := range edge {
		from := &edge[i]
		if s.c.AtRest {
			m.s = from.state
			m.settle(s.settled)
			if s.found(m.s.Ghost.Broken, from.index) {
				return nil
			}
		}
		m.s = from.state
		m.each(func(v move, after *State) bool {
			if !s.seen.add(*after) {
				return true
			}
			s.origins = append(s.origins, origin{from.index, v})
			index := uint32(len(s.origins) - 1) //nolint:gosec // fewer states than that are ever held
			if s.found(after.Ghost.Broken, index) {
				return false
			}
			next = append(next, place{*after, index})
			return true
		})
		if s.result.Broken != 0 {
			return nil
		}
	}
	return next
}

func (s *search) found(broken Property, index uint32) bool {
	broken &^= s.c.Allow
	if broken == 0 {
		return false
	}
	s.result.Broken = broken
	for index != 0 {
		s.result.Trace = append(s.result.Trace, s.origins[index].by)
		index = s.origins[index].parent
	}
	slices.Reverse(s.result.Trace)
	return true
}
