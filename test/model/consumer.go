package model

// fetch reads the first record that is not committed.
func (m *machine) fetch(int) bool {
	c, record := &m.s.Consumer, m.s.Topic[0]
	if c.At != consumerIdle || record.User == nobody {
		return false
	}
	*c = Consumer{At: consumerStores, User: record.User, Slot: record.Slot, Epoch: record.Epoch}
	if record.Slot == nobody {
		c.At, c.External = consumerAsks, 1
	}
	if !m.has(CommitAfterStore) {
		m.commitOffset()
	}
	m.say("the consumer reads the record of user %d, slot %d, epoch %d", record.User, record.Slot, record.Epoch)
	return true
}

func (m *machine) commitOffset() {
	m.noteStored(m.s.Topic[0])
	copy(m.s.Topic[:], m.s.Topic[1:])
	m.s.Topic[maxTopic-1] = Record{}
	for i := range m.s.Events {
		m.s.Events[i].AtHead = 0
	}
}

// noteStored keeps what a rebuild finds among the committed records, where the ledger may have lost the row.
func (m *machine) noteStored(record Record) {
	if m.c.Budget[LedgerLosesCommit] == 0 || record.User == nobody || record.Slot == nobody {
		return
	}
	if known := &m.s.Stored[record.User-1]; known.Epoch < record.Epoch {
		*known = record
	}
}

// consume takes the consumer's next step with the record in its hand.
func (m *machine) consume(int) bool {
	c := &m.s.Consumer
	if c.Awaits != 0 {
		return false
	}
	switch c.At {
	case consumerStores:
		m.consumerStores(c)
		return true
	case consumerAsks:
		return m.consumerAsks(c)
	case consumerKeeps:
		return m.consumerKeeps(c)
	case consumerDisputes:
		m.say("the consumer disputes user %d, slot %d", c.User, c.Slot)
		m.dispute(Record{c.User, c.Slot, c.Epoch})
		c.At = consumerCommits
		return true
	case consumerCommits:
		m.say("the consumer commits the offset")
		*c = Consumer{}
		if m.has(CommitAfterStore) {
			m.commitOffset()
		}
		return true
	}
	return false
}

func (m *machine) consumerStores(c *Consumer) {
	m.say("the consumer stores user %d, slot %d, epoch %d:", c.User, c.Slot, c.Epoch)
	switch m.store(Record{c.User, c.Slot, c.Epoch}) {
	case stored, alreadyStored:
		m.say("there is a row")
		c.At = consumerCommits
	case otherEpoch:
		m.say("of another epoch")
		c.At = consumerAsks
	case hasOtherSlot:
		m.say("the user has another slot")
		c.At = consumerDisputes
	case slotTaken, overQuota:
		m.say("the slot is taken")
		c.At, c.Reason = consumerKeeps, reasonTaken
	case rowRefused:
		m.say("the row is refused")
		c.At, c.Reason = consumerKeeps, reasonRefused
	}
}

// consumerAsks asks the gate which slot the user of another epoch holds now; a record from outside applies.
func (m *machine) consumerAsks(c *Consumer) bool {
	g := &m.s.Gate
	if m.isClosed(g) {
		return false // It waits: nothing is committed while the gate is closed.
	}
	ask := m.honour
	if c.External == 1 {
		ask = m.admit
	}
	given, ok := ask(g, c.User)
	if !ok {
		return false
	}
	m.say("the consumer asks the gate for user %d:", c.User)
	if m.has(HonourWaits) {
		c.Awaits = g.Told
	}
	switch {
	case given.slot == revoked || c.External == 1 && (given.refusal != 0 || given.slot == owed):
		m.say("refused")
		c.At = consumerCommits
	case given.refusal != 0:
		m.say("owed a slot")
		c.At, c.Slot, c.Reason = consumerKeeps, nobody, reasonNoSlot
	default:
		m.say("slot %d, epoch %d", given.slot, g.Epoch)
		c.At, c.Slot, c.Epoch = consumerStores, given.slot, g.Epoch
	}
	return true
}

// consumerKeeps writes the fail event first: once the gate forgets the slot, the event is what is left of the winner.
func (m *machine) consumerKeeps(c *Consumer) bool {
	event := Event{User: c.User, Slot: c.Slot, Epoch: c.Epoch, Reason: c.Reason}
	if c.Reason != reasonRefused {
		event.Slot = nobody
	}
	kept, ok := m.keep(event)
	switch {
	case !ok:
		return false
	case !kept:
		m.say("the event of user %d is of another epoch", c.User)
		c.At, c.Reason = consumerAsks, 0
	case c.Reason == reasonTaken:
		m.say("a fail event of user %d, without a slot", c.User)
		c.At = consumerDisputes
	default:
		m.say("a fail event of user %d, slot %d", c.User, event.Slot)
		c.At = consumerCommits
	}
	return true
}
