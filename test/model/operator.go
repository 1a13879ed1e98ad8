package model

// revoke takes a coupon back: one transaction moves its slot aside.
func (m *machine) revoke(index int) bool {
	l := &m.s.Ledger
	row := &l.Rows[index]
	if *row == nobody || *row&wasRevoked != 0 || !m.spend(Revoke) {
		return false
	}
	m.say("an operator revokes the coupon of user %d, slot %d", index+1, *row)
	*row |= wasRevoked
	l.Unreleased |= 1 << index
	return true
}

// discard gives an event up that nobody works on. A revoked row keeps a late duplicate from bringing the user back.
func (m *machine) discard(index int) bool {
	event := &m.s.Events[index]
	if event.Status != statusFail && event.Status != statusDead || !m.spend(Discard) {
		return false
	}
	m.giveUp(index)
	return true
}

func (m *machine) giveUp(index int) {
	event, l := &m.s.Events[index], &m.s.Ledger
	user := event.User - 1
	m.say("an operator discards the event of user %d, slot %d", event.User, event.Slot)
	if l.Rows[user] == nobody {
		l.Rows[user] = wasRevoked | event.Slot
		l.Unreleased |= 1 << user
	}
	m.s.Ghost.Accepted[user] = nobody
	*event = Event{}
}

// raiseQuota is written to the ledger; a sweep brings it to the gate.
func (m *machine) raiseQuota(int) bool {
	l := &m.s.Ledger
	if l.Quota >= maxUsers || !m.spend(RaiseQuota) {
		return false
	}
	l.Quota++
	l.Wanted = 0
	l.Version++
	m.say("an operator raises the quota to %d", l.Quota)
	m.operatorSweeps()
	return true
}

// pause, and then resume.
func (m *machine) pause(int) bool {
	l := &m.s.Ledger
	if !m.spend(Pause) {
		return false
	}
	l.Paused ^= 1
	l.Version++
	m.say("an operator sets paused to %d", l.Paused)
	m.operatorSweeps()
	return true
}

// operatorSweeps is what there would be without the sweep: the operator's process tells the gate, once.
func (m *machine) operatorSweeps() {
	if !m.has(SweepSettings) {
		m.s.Sweeper = m.rowOf()
	}
}

// lowerQuota notes the wish, which is granted once the holders fit.
func (m *machine) lowerQuota(int) bool {
	l := &m.s.Ledger
	if l.Quota < 2 || !m.spend(LowerQuota) {
		return false
	}
	m.say("an operator asks for the quota %d", l.Quota-1)
	l.Version++
	if m.has(LowerIsAWish) {
		l.Wanted = l.Quota - 1
		return true
	}
	l.Quota--
	return true
}
