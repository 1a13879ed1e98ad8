package model

// apply is admission/doc.go, steps 1 to 3: the refusal from memory, or the gate's decision.
func (m *machine) apply(choice int) bool {
	index, user := choice/maxUsers, uint8(choice%maxUsers+1)
	api := &m.s.APIs[index]
	if index >= m.c.APIs || api.At != apiIdle || !m.mayAsk(user) {
		return false
	}
	if api.Refuses != 0 && api.Known>>(user-1)&1 == 0 {
		m.say("api %d, from memory:", index)
		m.s.Ghost.Applied |= 1 << (user - 1)
		m.refuse(user, api.Refuses)
		return true
	}
	g := m.gateOf(index)
	if m.isClosed(g) {
		m.say("api %d: the gate is closed for user %d", index, user)
		m.endLease(index)
		return true
	}
	given, ok := m.admit(g, user)
	if !ok {
		return false
	}
	if m.isOutdated(index, g) {
		m.say("api %d: what the gate says of user %d is older than the ledger", index, user)
		m.endLease(index)
		return true
	}
	m.s.Ghost.Applied |= 1 << (user - 1)
	m.say("api %d asks for user %d:", index, user)
	m.answerApplicant(index, user, given)
	return true
}

// mayAsk lets users come in the order of their numbers, which is as good as any.
func (m *machine) mayAsk(user uint8) bool {
	return user <= m.c.Users && (user == 1 || m.s.Ghost.Applied>>(user-2)&1 == 1)
}

func (m *machine) answerApplicant(index int, user uint8, given answer) {
	api, g := &m.s.APIs[index], m.gateOf(index)
	switch {
	case given.isNew:
		m.say("NEW winner of slot %d, epoch %d", given.slot, g.Epoch)
		m.endLease(index)
		api.At, api.User, api.Slot, api.Epoch = apiAdmitted, user, given.slot, g.Epoch
		if !m.has(AcceptedAfterKafka) {
			m.tellAccepted(user, given.slot)
		}
	case given.refusal != 0:
		m.grantLease(index, given.refusal)
		m.refuse(user, given.refusal)
	default:
		m.answerKnown(g, user, given.slot)
	}
}

// answerKnown is what somebody hears who was admitted earlier.
func (m *machine) answerKnown(g *Gate, user, held uint8) {
	switch {
	case held == revoked:
		m.say("user %d hears REVOKED", user)
	case g.Told != 0:
		m.say("user %d is not told yet", user)
	case held == owed:
		m.tellAccepted(user, slotUntold)
	case !m.isInQueue(g, user) && m.has(ReservedWhilePending):
		m.say("user %d hears RESERVED", user)
	default:
		if g.hasPending(user) && !m.isSafe(user) {
			m.breaks(Lost)
		}
		m.tellAccepted(user, held)
	}
}

func (m *machine) refuse(user, refusal uint8) {
	switch refusal {
	case saysSoldOut:
		m.tellSoldOut(user)
	case saysPaused:
		m.say("user %d hears PAUSED", user)
	default:
		m.say("user %d hears CLOSED", user)
	}
}

// grantLease is admission/refusal_keeper.go: what the gate says to everybody is said from memory for a while.
func (m *machine) grantLease(index int, refusal uint8) {
	api, g := &m.s.APIs[index], m.gateOf(index)
	if refusal == saysClosed || g.Reopening != 0 {
		return
	}
	api.Refuses, api.Known = refusal, 0
	if m.hasTwoMasters() {
		api.LeaseOf = g.Epoch
	}
	for i, held := range g.Users {
		if held != nobody {
			api.Known |= 1 << i
		}
	}
}

// leaseEnds is the end of a lease, at any time.
func (m *machine) leaseEnds(index int) bool {
	if m.s.APIs[index].Refuses == 0 {
		return false
	}
	m.say("api %d: the lease of its refusal is over", index)
	m.endLease(index)
	return true
}

// learn is a process's look at the campaigns of the ledger, as every second. A lease of an older epoch ends.
func (m *machine) learn(index int) bool {
	api := &m.s.APIs[index]
	if !m.hasTwoMasters() || index >= m.c.APIs || api.Seen == m.s.Ledger.Epoch {
		return false
	}
	api.Seen = m.s.Ledger.Epoch
	m.say("api %d reads epoch %d in the ledger", index, api.Seen)
	if api.Refuses != 0 && api.LeaseOf < api.Seen && m.has(LeaseOfEpoch) {
		m.endLease(index)
	}
	return true
}

// hasTwoMasters says whether the case is about two of them: what processes know of the ledger's epoch matters only there.
func (m *machine) hasTwoMasters() bool { return m.c.Budget[SplitBrain] > 0 }

// isOutdated says whether a process knows that the ledger is beyond the gate that answers.
func (m *machine) isOutdated(index int, g *Gate) bool {
	return m.s.APIs[index].Seen > g.Epoch && m.has(GateNotOlder)
}

// isClosedTo says whether a gate confirms nothing to a process.
func (m *machine) isClosedTo(index int, g *Gate) bool { return m.isClosed(g) || m.isOutdated(index, g) }

// send is step 4: the record goes to Kafka.
func (m *machine) send(index int) bool {
	api := &m.s.APIs[index]
	if api.At != apiAdmitted || api.Awaits != 0 || !m.fly(Record{api.User, api.Slot, api.Epoch}) {
		return false
	}
	api.At = apiSent
	m.say("api %d sends the record of user %d", index, api.User)
	return true
}

// fly puts a record on its way, in one order for each set of them.
func (m *machine) fly(record Record) bool {
	last := maxFlying - 1
	if m.s.Flying[last].User != nobody {
		return false
	}
	for last > 0 && before(record, m.s.Flying[last-1]) {
		m.s.Flying[last] = m.s.Flying[last-1]
		last--
	}
	m.s.Flying[last] = record
	return true
}

// before puts records before empty places, and else goes by user, slot and epoch.
func before(a, b Record) bool {
	if b.User == nobody {
		return true
	}
	key := func(r Record) int { return int(r.User)<<16 | int(r.Slot)<<8 | int(r.Epoch) }
	return key(a) < key(b)
}

// published is step 5: Kafka has acknowledged, and the gate is asked whether it was rebuilt since.
func (m *machine) published(index int) bool {
	api, g := &m.s.APIs[index], m.gateOf(index)
	record := Record{api.User, api.Slot, api.Epoch}
	switch {
	case api.At != apiAcked:
		return false
	case api.Round > 0 && (m.isClosedTo(index, g) || g.Epoch != api.Epoch):
		m.say("api %d: acknowledged, and the gate was closed again;", index)
		m.tellAccepted(api.User, slotUntold)
	case m.isClosedTo(index, g) && m.has(OpenGateAtAcknowledge):
		return false // It waits until the gate is open, or patience ends.
	case m.isClosedTo(index, g):
		m.say("api %d: acknowledged, and the gate is closed;", index)
		m.tellAccepted(api.User, slotUntold)
	case g.Epoch != api.Epoch && m.has(EpochAtAcknowledge):
		return m.askAgain(index)
	default:
		m.acknowledge(g, record)
		m.say("api %d: acknowledged;", index)
		m.tellAccepted(api.User, api.Slot)
	}
	m.idle(index)
	return true
}

func (m *machine) idle(index int) {
	api := &m.s.APIs[index]
	*api = API{Refuses: api.Refuses, Known: api.Known, OldMaster: api.OldMaster, Seen: api.Seen, LeaseOf: api.LeaseOf}
}

// askAgain asks a gate that was rebuilt since, what holds now.
func (m *machine) askAgain(index int) bool {
	api, g := &m.s.APIs[index], m.gateOf(index)
	given, ok := m.honour(g, api.User)
	if !ok {
		return false
	}
	m.say("api %d: the gate was rebuilt; it honours user %d:", index, api.User)
	switch {
	case given.isNew:
		m.say("slot %d, epoch %d", given.slot, g.Epoch)
		api.At, api.Slot, api.Epoch, api.Round = apiAdmitted, given.slot, g.Epoch, 1
	case given.slot == revoked:
		m.idle(index)
		return true
	default:
		api.At, api.Slot = apiHonoured, slotUntold
		if given.refusal == 0 && m.isInQueue(g, api.User) {
			api.Slot = given.slot
		}
	}
	api.Awaits = g.Told
	return true
}

// hearsHonoured answers a user that the rebuilt gate honoured, when no lease is left that could refuse them.
func (m *machine) hearsHonoured(index int) bool {
	api := &m.s.APIs[index]
	if api.At != apiHonoured || api.Awaits != 0 {
		return false
	}
	m.say("api %d:", index)
	m.tellAccepted(api.User, api.Slot)
	m.idle(index)
	return true
}

// patienceEnds answers who has waited for Kafka, or for the gate, for too long. A winner of a later round is
// on the topic already.
func (m *machine) patienceEnds(index int) bool {
	api := &m.s.APIs[index]
	if api.At < apiSent || api.At == apiHonoured {
		return false
	}
	m.say("api %d: its patience ends;", index)
	if api.Round > 0 {
		m.tellAccepted(api.User, slotUntold)
	} else {
		m.say("user %d hears RESERVED", api.User)
	}
	m.idle(index)
	return true
}
