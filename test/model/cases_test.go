package model

// faultsOf says how often each fault may happen in a case.
type faultsOf map[Fault]uint8

// caseOf is a case with two api processes.
func caseOf(users, quota uint8, budget faultsOf) Case {
	c := Case{Users: users, Quota: quota, APIs: 2, AtRest: true}
	for fault, times := range budget {
		c.Budget[fault] = times
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

// honouredFromEvent begins with a user that the retryer has just given slot 2, and whose event holds none yet.
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

// owedOnTopic begins with a user who is owed a slot, of which the record on the topic tells.
func owedOnTopic(c Case) Case {
	c.Overpromised = true
	c.Begin = func(m *machine) {
		m.s.Ledger.Epoch = 2
		m.s.Ledger.Rows[1] = 1
		m.s.Gate.Epoch, m.s.Gate.Count, m.s.Gate.Users = 2, 1, [maxUsers]uint8{owed, 1}
		m.s.Topic[0] = Record{User: 1, Slot: 1, Epoch: 1}
		m.s.Ghost.Applied, m.s.Ghost.Accepted = 3, [maxUsers]uint8{slotUntold, 1}
	}
	return c
}

// lateUnderAWish begins with a wish for one coupon when Redis was lost: the topic names the holder of slot 2, and the record of
// slot 1 is still on its way.
func lateUnderAWish(c Case) Case {
	c.Overpromised = true
	c.Begin = func(m *machine) {
		m.s.Gate = Gate{Run: 1}
		m.s.Ledger.Wanted, m.s.Ledger.Version = 1, 1
		m.s.Flying[0], m.s.Topic[0] = Record{User: 1, Slot: 1, Epoch: 1}, Record{User: 2, Slot: 2, Epoch: 1}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[1] = 3, 2
	}
	return c
}

// passedOn begins with a slot that was the first user's until it was revoked, and is the second one's now; the records of
// both are stored.
func passedOn(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Ledger.Rows = [maxUsers]uint8{wasRevoked | 1, 1}
		m.s.Gate.Count, m.s.Gate.Users = 1, [maxUsers]uint8{revoked, 1}
		m.s.Stored = [maxUsers]Record{{User: 1, Slot: 1, Epoch: 1}, {User: 2, Slot: 1, Epoch: 1}}
		m.s.Ghost.Applied, m.s.Ghost.Accepted, m.s.Ghost.Revoked = 3, [maxUsers]uint8{0, 1}, 1
	}
	return c
}

// refusedInAnAttempt begins when the database has refused the row of a user who was given slot 2 for a fail event without a slot,
// and a rebuild has just raised the epoch. Another one holds slot 1, and Kafka does not know of it.
func refusedInAnAttempt(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Gate.Count, m.s.Gate.Users = 2, [maxUsers]uint8{1, 2}
		m.s.Gate.Pending[0] = Entry{Record: Record{User: 1, Slot: 1, Epoch: 1}}
		m.s.Gate.Pending[1] = Entry{Record: Record{User: 2, Slot: 2, Epoch: 1}}
		m.s.Events[0] = Event{User: 2, Epoch: 1, Status: statusProcessing, Reason: reasonNoSlot}
		m.s.Retry = Retry{At: retryEnds, Slot: 2, Epoch: 1, Reason: reasonRefused, New: 1}
		m.s.Ledger.Refuses = 1 << 1
		m.raiseEpoch(&m.s.Rebuilds[0], 0)
		m.s.Ghost.Applied, m.s.Ghost.Accepted[1] = 3, slotUntold
	}
	return c
}

// failedOver has a new master whose gate was rebuilt, and an old one that still serves the processes.
func failedOver(m *machine) {
	m.s.Old, m.s.HasOld = m.s.Gate, 1
	for i := range m.c.APIs {
		m.s.APIs[i].OldMaster, m.s.APIs[i].Seen = 1, 2
	}
	m.s.Gate.Run, m.s.Gate.Verified, m.s.Gate.Epoch, m.s.Ledger.Epoch, m.s.Ghost.NextRun = 2, 2, 2, 2, 3
}

// revokedAfterFailover begins after a failover, when the first user has a coupon.
func revokedAfterFailover(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Ledger.Rows[0], m.s.Gate.Count, m.s.Gate.Users[0] = 1, 1, 1
		m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, 1
		failedOver(m)
	}
	return c
}

// rebuiltOnOld begins after a failover, when one process has left the old master.
func rebuiltOnOld(c Case) Case {
	c.Begin = func(m *machine) {
		failedOver(m)
		m.s.APIs[1].OldMaster = 0
	}
	return c
}

// aboutToLower begins when a sweep has seen that the only holder fits a lower quota.
func aboutToLower(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Ledger.Wanted, m.s.Ledger.Version, m.s.Ledger.Rows[0] = 1, 1, 1
		m.s.Gate.Quota, m.s.Gate.Version, m.s.Gate.Count, m.s.Gate.Users[0] = 1, 1, 1, 1
		m.s.Ghost.Newest, m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, 1, 1
		m.once((*machine).seeThatHoldersFit, 0)
	}
	return c
}

// leaseOfOldMaster begins after a failover that lost the only admission, right before the rebuild gives slots: one process is
// still connected to the old master, and says from memory that it is sold out.
func leaseOfOldMaster(c Case) Case {
	c.Begin = func(m *machine) {
		m.s.Old, m.s.HasOld, m.s.APIs[0].OldMaster = m.s.Gate, 1, 1
		m.s.Old.Count, m.s.Old.Users[0] = 1, 1
		m.s.Old.Pending[0] = Entry{Record: Record{User: 1, Slot: 1, Epoch: 1}}
		m.s.Gate.Run, m.s.Ghost.NextRun, m.s.Ghost.Applied = 2, 3, 1
		m.s.Budget[Rebuilds]++
		m.once((*machine).beginRebuild, 0)
		for m.s.Rebuilds[0].At != rebuildSendsOwed {
			m.once((*machine).rebuild, 0)
		}
		m.s.APIs[0].Refuses, m.s.APIs[0].Known, m.s.APIs[0].LeaseOf = saysSoldOut, 1, 1
	}
	return c
}

// forgotten begins with a slot that was the first user's until Redis was lost, and was then told to the second one. The record
// of the first is still on its way.
func forgotten(c Case) Case {
	c.Overpromised = true
	c.Begin = func(m *machine) {
		m.s.Ledger.Epoch, m.s.Gate.Epoch, m.s.Gate.Count, m.s.Gate.Users[1] = 2, 2, 1, 1
		m.s.Topic[0], m.s.Flying[0] = Record{User: 2, Slot: 1, Epoch: 2}, Record{User: 1, Slot: 1, Epoch: 1}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[1] = 3, 1
	}
	return c
}

// waitsAtFailover begins with a user who waits in a fail event without a slot and that no gate knows of, right after a failover:
// the old master still serves.
func waitsAtFailover(c Case) Case {
	c.Overpromised = true
	c.Begin = func(m *machine) {
		m.s.Events[0] = Event{User: 1, Epoch: 1, Status: statusFail, Reason: reasonTaken}
		m.s.Ghost.Applied, m.s.Ghost.Accepted[0] = 1, slotUntold
		m.s.Old, m.s.HasOld = m.s.Gate, 1
		m.s.APIs[0].OldMaster = 1
		m.s.Gate.Run, m.s.Ghost.NextRun = 2, 3
	}
	return c
}

// waitsBehindAnother begins like waitsAtFailover; the old master has given slot 1 to another user, and the process that asked
// has died since.
func waitsBehindAnother(c Case) Case {
	c = waitsAtFailover(c)
	begin := c.Begin
	c.Begin = func(m *machine) {
		begin(m)
		m.s.Old.Count, m.s.Old.Users[1] = 1, 1
		m.s.Old.Pending[0] = Entry{Record: Record{User: 2, Slot: 1, Epoch: 1}}
		m.s.Ghost.Applied |= 1 << 1
	}
	return c
}
