package model

// faultsOf says how often each fault may happen in a case.
type faultsOf map[Fault]uint8

// caseOf is a case with two api processes.
func caseOf(users, quota uint8, budget faultsOf) Case {
	c := Case{Users: users, Quota: quota, APIs: 2, AtRest: true}
	for fault, times := range budget {
		c.Budget[fault] = times
	}
	if c.Budget[SplitBrain] > 0 {
		c.Allow = FalseRefusal | ToldTwice | OtherSlot
	}
	return c
}

// alone is a case with one api process.
func alone(users, quota uint8, budget faultsOf) Case {
	c := caseOf(users, quota, budget)
	c.APIs = 1
	return c
}

func named(name string, c Case) Case {
	c.Name = name
	return c
}

// frozenRebuild begins with a rebuild that was frozen after its first readings, when nobody had applied.
func frozenRebuild(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Gate.State = gateClosed
		m.s.Budget[Rebuilds]++
		m.once((*machine).beginRebuild, 0)
		for m.s.Rebuilds[0].At != rebuildFinishes {
			m.once((*machine).rebuild, 0)
		}
	}
	return c
}

// refusedInHand begins with an accepted user whose row was refused, when the consumer is about to keep the event.
func refusedInHand(c Case) Case {
	c.Begin = func(m *machine) {
		record := Record{User: 1, Slot: 1, Epoch: 1}
		m.s.Gate.Count, m.s.Gate.Users[0], m.s.Topic[0] = 1, 1, record
		m.s.Consumer = Consumer{At: consumerKeeps, User: 1, Slot: 1, Epoch: 1, Reason: reasonRefused}
		m.s.Ledger.Refuses, m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, 1, 1
	}
	return c
}

// owedAndFreed begins with a user who is owed a slot and waits in a fail event, when another one is free again.
func owedAndFreed(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Gate.Count, m.s.Gate.Free, m.s.Gate.Users[0] = 1, 1<<1, owed
		m.s.Events[0] = Event{User: 1, Epoch: 1, Status: statusFail, Reason: reasonNoSlot}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, slotUntold
	}
	return c
}

// honouredFromEvent begins with a user to whom the retryer has just given slot 2, and whose event holds none yet.
func honouredFromEvent(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Gate.Count, m.s.Gate.Free, m.s.Gate.Users[0] = 2, 1<<1, 2
		m.s.Gate.Pending[0] = Entry{Record: Record{User: 1, Slot: 2, Epoch: 1}}
		m.s.Events[0] = Event{User: 1, Epoch: 1, Status: statusFail, Reason: reasonNoSlot}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, slotUntold
	}
	return c
}

// waitsAndLate begins with a user who waits in a fail event without a slot, and another one whose record is on its way since
// before the gate was lost.
func waitsAndLate(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Gate = Gate{Run: 1}
		m.s.Events[0] = Event{User: 1, Epoch: 1, Status: statusFail, Reason: reasonNoSlot}
		m.s.Flying[0] = Record{User: 2, Slot: 1, Epoch: 1}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 3, slotUntold
	}
	return c
}
