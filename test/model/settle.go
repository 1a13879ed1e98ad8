package model

// maxRounds bounds how long the system may take to come to rest.
const maxRounds = 20

// settle lets faults stop, what was stuck go on and every applicant ask again and again, until nothing changes any more;
// then it looks at what is left, has an operator discard what is dead, and looks once more. known remembers states from
// which all went well; it may be nil.
func (m *machine) settle(known *hashSet) {
	m.stopFaults()
	if known != nil && !known.add(m.s) {
		return
	}
	if !m.comeToRest() {
		m.breaks(Unsettled)
		return
	}
	m.checkAtRest()
	dead := false
	for i := range m.s.Events {
		if m.s.Events[i].Status == statusDead {
			m.giveUp(i)
			dead = true
		}
	}
	if dead && !m.comeToRest() {
		m.breaks(Unsettled)
		return
	}
	m.checkSlots()
}

func (m *machine) stopFaults() {
	m.s.Budget = Budget{Rebuilds: 200}
	m.s.Earlier, m.s.Replica = [2]Gate{}, Replica{}
	m.s.Ledger.Refuses, m.s.Ledger.Paused = 0, 0
	if m.s.Gate.Paused == 1 {
		m.s.Ledger.Version++
	}
	for i := range m.s.APIs {
		m.s.APIs[i].OldMaster = 0
	}
	if m.s.Rebuilds[rebuilders-1].OldMaster == 1 {
		m.s.Rebuilds[rebuilders-1] = Rebuild{}
	}
	m.s.Old, m.s.HasOld = Gate{}, 0
}

func (m *machine) comeToRest() bool {
	for range maxRounds {
		before := m.s
		m.round()
		before.Budget, before.Ghost = m.s.Budget, m.s.Ghost
		if before == m.s {
			return true
		}
	}
	return false
}

// all takes the steps of one kind as long as there are any, but for those that change nothing.
func (m *machine) all(kind func(m *machine, i int) bool, choices int) {
	for i := range choices {
		for range maxTopic * 4 {
			before := m.s
			gate := m.s.Gate
			if !kind(m, i) {
				break
			}
			m.follow(&gate)
			if m.s == before {
				break
			}
		}
	}
}

func (m *machine) once(kind func(m *machine, i int) bool, i int) {
	gate := m.s.Gate
	if kind(m, i) {
		m.follow(&gate)
	}
}

// round gives every process its turn.
func (m *machine) round() {
	m.consumeAll()
	m.all((*machine).learn, apis)
	m.all((*machine).send, apis)
	m.all((*machine).kafkaStores, 1)
	m.answerAll()
	m.all((*machine).rebuild, rebuilders)
	m.once((*machine).beginRebuild, 0)
	m.all((*machine).learn, apis)
	m.all((*machine).rebuild, rebuilders)
	m.consumeAll()
	for range maxPending {
		m.all((*machine).relay, 1)
		m.consumeAll()
	}
	m.all((*machine).applySettings, 1)
	m.once((*machine).readSettings, 0)
	m.all((*machine).applySettings, 1)
	m.once((*machine).seeThatHoldersFit, 0)
	m.all((*machine).applySettings, 1)
	m.all((*machine).releaseRevoked, maxUsers)
	for i := range maxUsers {
		m.once((*machine).findLost, i)
		m.once((*machine).putBack, 0)
	}
	m.all((*machine).try, 1)
	for i := range maxEvents {
		if m.s.Retry.At == retryIdle {
			m.once((*machine).rescue, i)
		}
		m.once((*machine).claim, i)
		m.all((*machine).try, 1)
	}
	m.all((*machine).leaseEnds, apis)
	m.askAll()
}

func (m *machine) consumeAll() {
	for range maxTopic {
		m.all((*machine).consume, 1)
		m.once((*machine).fetch, 0)
	}
	m.all((*machine).consume, 1)
}

// answerAll ends every application under way.
func (m *machine) answerAll() {
	m.all((*machine).leaseEnds, apis)
	for range 2 {
		m.all((*machine).published, apis)
		m.all((*machine).hearsHonoured, apis)
		m.all((*machine).send, apis)
		m.all((*machine).kafkaStores, 1)
	}
	m.all((*machine).patienceEnds, apis)
}

// askAll has every applicant ask each process.
func (m *machine) askAll() {
	for user := range maxUsers {
		for api := range m.c.APIs {
			m.once((*machine).apply, api*maxUsers+user)
			m.all((*machine).send, apis)
			m.all((*machine).kafkaStores, 1)
			m.answerAll()
			m.consumeAll()
		}
	}
	m.all((*machine).leaseEnds, apis)
}

// checkAtRest holds what is left against what was told.
func (m *machine) checkAtRest() {
	if m.s.Gate.orphans() != 0 {
		m.breaks(SlotLost)
	}
	for i, row := range m.s.Ledger.Rows {
		told := m.s.Ghost.Accepted[i]
		isCoupon := row != nobody && row&wasRevoked == 0
		if isCoupon && m.s.Gate.Users[i] != row {
			m.breaks(Differ)
		}
		if isCoupon && told != nobody && told != slotUntold && told != row && m.holds(i) {
			m.breaks(OtherSlot)
		}
		if told == nobody || row != nobody || m.s.Ghost.Ended>>i&1 == 1 {
			continue
		}
		event := m.eventOf(uint8(i + 1))
		switch {
		case event < 0:
			m.breaks(Lost)
		case m.s.Events[event].Reason == reasonNoSlot && (m.s.Events[event].Status == statusDead || !m.mayPromiseTwice()), m.s.Ghost.Passed>>i&1 == 1:
			m.breaks(Dead)
		}
	}
}

// mayPromiseTwice says whether an admission or a coupon can be forgotten, or two masters admit, after which there may be more
// promises than slots. Each of them is kept as an event that waits.
func (m *machine) mayPromiseTwice() bool {
	b := &m.c.Budget
	return b[LoseRedis]+b[RollBack]+b[SplitBrain]+b[LedgerLosesCommit] > 0 || m.c.Overpromised
}

// checkSlots counts: everybody has asked, so there are as many coupons as there can be.
func (m *machine) checkSlots() {
	coupons, wanted := 0, int(m.c.Users)
	for i, row := range m.s.Ledger.Rows {
		switch {
		case row&wasRevoked != 0 || row == nobody && m.s.Gate.Users[i] == revoked:
			wanted--
		case row != nobody:
			coupons++
		}
	}
	if coupons < min(wanted, int(m.s.Ledger.effectiveQuota())) {
		m.breaks(SlotLost)
	}
	if m.s.Ledger.Wanted != 0 && coupons <= int(m.s.Ledger.Wanted) {
		m.breaks(Differ)
	}
}
