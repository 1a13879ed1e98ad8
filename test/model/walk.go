package model

import "math/rand/v2"

// Walk takes up to steps steps at random from the beginning of a case, at each one of those that are possible, and then
// lets the system come to rest. The same seed walks the same way. A trace that breaks a property is shortened.
func Walk(c *Case, seed uint64, steps int) Result {
	chance := rand.New(rand.NewPCG(seed, 0))
	m := newMachine(c, false)
	result := Result{}
	for range 5 + chance.IntN(steps) {
		v, ok := m.any(chance)
		if !ok || !m.take(v) {
			break
		}
		result.Depth++
		result.Trace = append(result.Trace, v)
		if m.s.Ghost.Broken&^c.Allow != 0 {
			break
		}
	}
	if result.Broken = c.replay(result.Trace); result.Broken == 0 {
		result.Trace = nil
		return result
	}
	result.Trace = c.shorten(result.Trace, result.Broken)
	return result
}

// any is one of the steps that can be taken.
func (m *machine) any(chance *rand.Rand) (move, bool) {
	var possible []move
	m.each(func(v move, _ *State) bool {
		possible = append(possible, v)
		return true
	})
	if len(possible) == 0 {
		return move{}, false
	}
	return possible[chance.IntN(len(possible))], true
}

// replay says what a trace breaks, at the latest when the system has come to rest; 0 when a step can't be taken.
func (c *Case) replay(trace []move) Property {
	m := newMachine(c, false)
	for _, v := range trace {
		if !m.take(v) {
			return 0
		}
		if broken := m.s.Ghost.Broken &^ c.Allow; broken != 0 {
			return broken
		}
	}
	m.settle(nil)
	return m.s.Ghost.Broken &^ c.Allow
}

// shorten leaves out steps, up to four in a row, for as long as the trace still breaks what it broke.
func (c *Case) shorten(trace []move, broken Property) []move {
	for {
		shorter := c.shortenOnce(trace, broken)
		if len(shorter) == len(trace) {
			return trace
		}
		trace = shorter
	}
}

func (c *Case) shortenOnce(trace []move, broken Property) []move {
	for width := 4; width >= 1; width-- {
		for i := 0; i+width <= len(trace); {
			without := append(append([]move{}, trace[:i]...), trace[i+width:]...)
			if c.replay(without)&broken == 0 {
				i++
				continue
			}
			trace = without
		}
	}
	return trace
}
