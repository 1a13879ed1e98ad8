package model

import (
	"fmt"
	"strings"
)

// Fault is something that happens at most as often as the case's budget says.
type Fault int

// The faults, and what operators do.
const (
	Crash Fault = iota
	LoseRedis
	RollBack
	SplitBrain
	RestartRedis
	LoseUser
	RefuseRow
	RecreateTopic
	LoseRecord
	LedgerLosesCommit
	ReplicaLags
	LoseLease
	TakeOver // a rebuild begins while another one is frozen
	Rebuilds
	Revoke
	RaiseQuota
	LowerQuota
	Pause
	Discard
	FromOutside
	faults
)

// Budget is how often each fault may still happen.
type Budget [faults]uint8

// Case is what one search or walk looks at.
type Case struct {
	Name         string
	Users, Quota uint8
	APIs         int
	Budget       Budget
	// Overpromised says that the case begins with more promises than slots.
	Overpromised bool
	// Begin takes the first steps, where a case begins in the middle.
	Begin func(m *machine)
	// Without are the rules that are taken out; Allow the properties that may be broken.
	Without Rule
	Allow   Property
	// AtRest says that each state is followed until it has come to rest.
	AtRest bool
	// MaxStates bounds a search.
	MaxStates int
}

// machine takes steps of one case. The state is a copy that a step may change only if it takes place.
type machine struct {
	c       *Case
	s       State
	telling bool
	told    strings.Builder
}

func newMachine(c *Case, telling bool) *machine {
	m := &machine{c: c, telling: telling}
	m.s.Gate = Gate{State: gateOpen, Epoch: 1, Quota: c.Quota, Run: 1, Verified: 1}
	m.s.Ledger = Ledger{Epoch: 1, Quota: c.Quota}
	m.s.Ghost.NextRun = 2
	m.s.Budget = c.Budget
	if m.hasTwoMasters() {
		for i := range c.APIs {
			m.s.APIs[i].Seen = 1
		}
	}
	if c.Begin != nil {
		c.Begin(m)
	}
	return m
}

func (m *machine) has(rule Rule) bool { return m.c.Without&rule == 0 }

// spend takes from a budget; false: nothing is left of it.
func (m *machine) spend(fault Fault) bool {
	if m.s.Budget[fault] == 0 {
		return false
	}
	m.s.Budget[fault]--
	return true
}

// say adds to the sentence that a trace prints for the step.
func (m *machine) say(format string, values ...any) {
	if m.telling {
		fmt.Fprintf(&m.told, format+" ", values...)
	}
}

// step is one kind of step. run takes the i-th of them, below choices, and says whether it took place; if not, it
// has changed nothing.
type step struct {
	name    string
	choices int
	run     func(m *machine, i int) bool
}

// move is one step that was taken.
type move struct{ kind, choice uint8 }

// take runs a step, and does what follows each.
func (m *machine) take(v move) bool {
	before := m.s.Gate
	if !steps[v.kind].run(m, int(v.choice)) {
		return false
	}
	m.follow(&before)
	return true
}

// follow keeps the gates of before the last two writes, forgets an old master that nobody uses, and checks.
func (m *machine) follow(before *Gate) {
	switch {
	case m.s.Budget[RollBack] == 0:
		m.s.Earlier = [2]Gate{}
	case m.s.Gate != *before && m.s.Gate.Run == before.Run:
		m.s.Earlier = [2]Gate{*before, m.s.Earlier[0]}
	}
	if m.s.HasOld == 1 && !m.isOldInUse() {
		m.s.Old, m.s.HasOld = Gate{}, 0
	}
	m.check()
}

// isOldInUse says whether somebody is connected to the old master.
func (m *machine) isOldInUse() bool {
	return m.s.APIs[0].OldMaster == 1 || m.s.APIs[1].OldMaster == 1 || m.s.Rebuilds[rebuilders-1].OldMaster == 1
}

// each calls visit for every step that can be taken from the machine's state, with the state after it.
func (m *machine) each(visit func(v move, after *State) bool) {
	from := m.s
	for kind := range steps {
		for choice := range steps[kind].choices {
			v := move{uint8(kind), uint8(choice)}
			if !m.take(v) {
				continue
			}
			goOn := m.s == from || visit(v, &m.s)
			m.s = from
			if !goOn {
				return
			}
		}
	}
}
