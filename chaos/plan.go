package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// step is one fault at one place: it begins At after the beginning of its round and lasts For, if the fault lasts.
type step struct {
	Fault, Target string
	At, For       time.Duration
	// Size is 0 up to 1; each fault makes of it what it needs: a delay, a number of records, a new quota.
	Size float64
}

func (s step) String() string {
	return fmt.Sprintf("%s %s for %s (size %.2f)", s.Fault, s.Target, s.For.Round(time.Millisecond), s.Size)
}

// between gives the value that the step's size picks from a range.
func (s step) between(lowest, highest int) int {
	return lowest + int(s.Size*float64(highest-lowest+1))
}

// round is what overlaps. When it ends everything is healed.
type round struct {
	// Settle is true when everything must have come to rest before the round begins.
	Settle bool
	Steps  []step
}

// kind is what the plan needs to know of a fault.
type kind struct {
	name string
	// targets are the places where it can strike; one is drawn.
	targets []string
	// occupies says what no other fault may touch meanwhile; nil means the target alone.
	occupies func(target string) []string
	// loses is the store that may lose data by it, or "".
	loses string
	// shortest and longest bound how long it lasts.
	shortest, longest time.Duration
}

func (k kind) touches(target string) []string {
	if k.occupies == nil {
		return []string{target}
	}
	return k.occupies(target)
}

const (
	minStepsOfRound, maxStepsOfRound = 3, 8
	// latestStart is when the last fault of a round begins at the latest.
	latestStart = 5 * time.Second
	// restOfRound is what a round takes beyond its faults, settleTime what a settlement usually takes.
	restOfRound = time.Second
	settleTime  = 8 * time.Second
)

// newPlan draws rounds until they fill about the length. The same seed, length and kinds give the same plan.
func newPlan(seed uint64, length time.Duration, kinds []kind) []round {
	p := &planner{random: rand.New(rand.NewPCG(seed, 0)), kinds: kinds}
	var rounds []round
	for spent := time.Duration(0); spent < length; {
		next := p.round()
		rounds = append(rounds, next)
		spent += next.length() + restOfRound
		if next.Settle {
			spent += settleTime
		}
	}
	return rounds
}

type planner struct {
	random *rand.Rand
	kinds  []kind
	// left are the kinds whose turn is still to come until all of them have had theirs.
	left []kind
	// lost is the store that has lost data since the last settlement, or "".
	lost string
}

// round draws some faults that don't get in each other's way, and settles first if another store than the one that has
// lost data is to lose some.
func (p *planner) round() round {
	var r round
	taken := map[string]bool{}
	loses := ""
	for range minStepsOfRound + p.random.IntN(maxStepsOfRound-minStepsOfRound+1) {
		k, target := p.draw()
		touched := k.touches(target)
		if (k.loses != "" && loses != "" && k.loses != loses) || slices.ContainsFunc(touched, func(t string) bool { return taken[t] }) {
			p.left = append(p.left, k) // its turn comes later
			continue
		}
		for _, t := range touched {
			taken[t] = true
		}
		if k.loses != "" {
			loses = k.loses
		}
		r.Steps = append(r.Steps, p.step(k, target))
	}
	slices.SortStableFunc(r.Steps, func(a, b step) int { return int(a.At - b.At) })
	r.Settle = loses != "" && p.lost != "" && loses != p.lost
	if loses != "" {
		p.lost = loses
	}
	return r
}

func (p *planner) draw() (kind, string) {
	if len(p.left) == 0 {
		p.left = slices.Clone(p.kinds)
	}
	i := p.random.IntN(len(p.left))
	k := p.left[i]
	p.left = slices.Delete(p.left, i, i+1)
	return k, k.targets[p.random.IntN(len(k.targets))]
}

// step draws when and how hard. Short faults are more frequent than long ones.
func (p *planner) step(k kind, target string) step {
	short := p.random.Float64()
	return step{
		Fault: k.name, Target: target, Size: p.random.Float64(),
		At:  time.Duration(p.random.Float64() * float64(latestStart)).Truncate(time.Millisecond),
		For: (k.shortest + time.Duration(short*short*float64(k.longest-k.shortest))).Truncate(time.Millisecond),
	}
}

func (r round) length() time.Duration {
	longest := time.Duration(0)
	for _, s := range r.Steps {
		longest = max(longest, s.At+s.For)
	}
	return longest
}
