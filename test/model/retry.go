package model

// claim takes a FAIL event to PROCESSING.
func (m *machine) claim(index int) bool {
	r, event := &m.s.Retry, &m.s.Events[index]
	if r.At != retryIdle || event.Status != statusFail {
		return false
	}
	event.Status = statusProcessing
	*r = Retry{At: retryTries, Event: uint8(index), Slot: event.Slot, Epoch: event.Epoch}
	if event.Slot == nobody {
		r.At = retryAsks
	}
	m.say("the retryer claims the event of user %d, slot %d", event.User, event.Slot)
	return true
}

// try takes the next step of the attempt.
func (m *machine) try(int) bool {
	r := &m.s.Retry
	if r.At == retryIdle || r.Awaits != 0 {
		return false
	}
	if r.At == retryTells || r.At == retryDisputes {
		m.retryTellsGate(r)
		return true
	}
	event := &m.s.Events[r.Event]
	if event.Status != statusProcessing {
		m.say("the retryer has lost its lease")
		*r = Retry{}
		return true
	}
	switch r.At {
	case retryAsks:
		return m.retryAsks(r, event)
	case retryTries:
		m.retryStores(r, event)
	case retryEnds:
		m.retryFails(r, event)
	}
	return true
}

// retryTellsGate is tellGate: of a contradiction, or that the event of a new winner names the slot. The relay does the same for
// the entry of a winner who has a row.
func (m *machine) retryTellsGate(r *Retry) {
	record := Record{r.Event, r.Slot, r.Epoch}
	if r.At == retryDisputes {
		m.say("the retryer disputes user %d, slot %d", record.User, record.Slot)
		m.dispute(record)
	} else {
		m.say("the retryer acknowledges the entry of user %d, slot %d", record.User, record.Slot)
		if !m.isClosed(&m.s.Gate) {
			m.acknowledge(&m.s.Gate, record)
		}
	}
	*r = Retry{}
}

func (m *machine) retryAsks(r *Retry, event *Event) bool {
	if m.isClosed(&m.s.Gate) {
		return false // It gives the event back, and comes again.
	}
	given, ok := m.honour(&m.s.Gate, event.User)
	if !ok {
		return false
	}
	m.say("the retryer asks the gate for user %d:", event.User)
	if m.has(HonourWaits) {
		r.Awaits = m.s.Gate.Told
	}
	switch {
	case given.slot == revoked:
		m.say("revoked")
		*event, *r = Event{}, Retry{}
	case given.refusal != 0:
		m.say("no slot is left")
		r.At, r.Slot, r.Reason, r.New = retryEnds, nobody, reasonNoSlot, 0
	default:
		m.say("slot %d", given.slot)
		r.At, r.Slot, r.Epoch, r.New = retryTries, given.slot, m.s.Gate.Epoch, 0
		if given.isNew {
			r.New = 1
		}
	}
	return true
}

// retryStores is StoreClaimed: the row and the event's end are one transaction.
func (m *machine) retryStores(r *Retry, event *Event) {
	m.say("the retryer stores user %d, slot %d:", event.User, r.Slot)
	switch m.store(Record{event.User, r.Slot, r.Epoch}) {
	case stored, alreadyStored:
		m.say("the event is resolved")
		*event, *r = Event{}, Retry{}
	case hasOtherSlot:
		m.say("the user has another slot")
		*r = Retry{At: retryDisputes, Event: event.User, Slot: r.Slot, Epoch: r.Epoch}
		*event = Event{}
	case otherEpoch:
		m.say("of another epoch")
		r.At = retryAsks
	case slotTaken, overQuota:
		m.say("the slot is taken")
		r.At, r.Reason = retryEnds, reasonTaken
	case rowRefused:
		m.say("the row is refused")
		r.At, r.Reason = retryEnds, reasonRefused
	}
}

// retryFails is FailClaimed: the attempt counts, unless no slot was left; a new slot is noted under its epoch only. An
// event whose slot is another user's asks for another one, and is not given up.
func (m *machine) retryFails(r *Retry, event *Event) {
	event.Status, event.Reason = statusFail, r.Reason
	if r.Reason != reasonNoSlot || !m.has(NoSlotWaits) {
		event.Attempts = min(event.Attempts+1, maxAttempts)
		if event.Attempts >= maxAttempts && r.Reason != reasonTaken {
			event.Status = statusDead
		}
	}
	slot := r.Slot
	if r.Reason != reasonRefused {
		slot = nobody
	}
	isNoted := slot == nobody || r.Epoch == m.s.Ledger.Epoch || !m.has(EpochOfEvent)
	if isNoted {
		event.Slot, event.Epoch = slot, r.Epoch
	}
	m.say("the attempt for user %d ends, %d attempts, slot %d", event.User, event.Attempts, event.Slot)
	switch {
	case r.Reason == reasonTaken:
		*r = Retry{At: retryDisputes, Event: event.User, Slot: r.Slot, Epoch: r.Epoch}
	case slot != nobody && r.New == 1 && (isNoted || !m.has(EntryUntilNoted)):
		*r = Retry{At: retryTells, Event: event.User, Slot: slot, Epoch: r.Epoch}
	default:
		*r = Retry{}
	}
}

// rescue gives an event back whose lease ran out; while somebody works on it that is a fault.
func (m *machine) rescue(index int) bool {
	event, r := &m.s.Events[index], &m.s.Retry
	if event.Status != statusProcessing {
		return false
	}
	isWorkedOn := r.At != retryIdle && r.At != retryDisputes && int(r.Event) == index
	if isWorkedOn && !m.spend(LoseLease) {
		return false
	}
	event.Status = statusFail
	m.say("the lease of the event of user %d runs out", event.User)
	return true
}
