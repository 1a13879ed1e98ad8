package model

// relay is retryer/relay.go: a pending entry is sent again, and removed if the gate is still at its epoch.
func (m *machine) relay(int) bool {
	r, g := &m.s.Relay, &m.s.Gate
	switch r.At {
	case relayIdle:
		if m.isClosed(g) || g.Pending[0].User == nobody || !m.has(RelaySends) {
			return false
		}
		*r = Relay{relaySends, g.Pending[0]}
		m.say("the relay reads the pending entry of user %d, slot %d", r.User, r.Slot)
	case relaySends:
		if !m.append(r.Record) {
			return false
		}
		r.At = relayAcknowledges
		m.say("the relay sends the record of user %d, slot %d, epoch %d", r.User, r.Slot, r.Epoch)
	case relayAcknowledges:
		m.say("the relay acknowledges")
		if !m.isClosed(g) {
			m.acknowledge(g, r.Record)
		}
		*r = Relay{}
	}
	return true
}

// append puts a record on the topic; the api that waits for it has its acknowledgement.
func (m *machine) append(record Record) bool {
	for i := range m.s.Topic {
		if m.s.Topic[i].User != nobody {
			continue
		}
		m.s.Topic[i] = record
		for a := range m.s.APIs {
			api := &m.s.APIs[a]
			if api.At == apiSent && (Record{api.User, api.Slot, api.Epoch}) == record {
				api.At = apiAcked
			}
		}
		return true
	}
	return false
}

// releaseRevoked is retryer/release.go: the gate is told of a revocation, and then the ledger that it was told. Choices from
// maxUsers on are of a retryer that is still connected to the old master.
func (m *machine) releaseRevoked(choice int) bool {
	index, l, g := choice%maxUsers, &m.s.Ledger, &m.s.Gate
	if choice >= maxUsers {
		if g = &m.s.Old; m.s.HasOld == 0 {
			return false
		}
	}
	if l.Unreleased>>index&1 == 0 || m.isClosed(g) {
		return false
	}
	slot := l.Rows[index] &^ wasRevoked
	m.say("the sweep releases slot %d of user %d, epoch %d", slot, index+1, g.Epoch)
	m.release(g, uint8(index+1), slot)
	if g.Epoch == l.Epoch || !m.has(ReleasedOfEpoch) {
		l.Unreleased &^= 1 << index
	}
	return true
}

// releaseHalf crashes between the two.
func (m *machine) releaseHalf(index int) bool {
	if m.s.Ledger.Unreleased>>index&1 == 0 || m.isClosed(&m.s.Gate) || !m.spend(Crash) {
		return false
	}
	slot := m.s.Ledger.Rows[index] &^ wasRevoked
	m.say("the sweep releases slot %d of user %d, and CRASHES before it notes that", slot, index+1)
	m.release(&m.s.Gate, uint8(index+1), slot)
	return true
}

func (m *machine) rowOf() Sweeper {
	l := &m.s.Ledger
	return Sweeper{At: sweepBrings, Quota: l.effectiveQuota(), Paused: l.Paused, Version: l.Version, Epoch: l.Epoch}
}

func (m *machine) settingsDiffer() bool {
	g, l := &m.s.Gate, &m.s.Ledger
	return !m.isClosed(g) && g.Epoch == l.Epoch && (g.Version < l.Version || g.Quota != l.effectiveQuota() || g.Paused != l.Paused)
}

// readSettings is the look of a retryer that is slow to act on it.
func (m *machine) readSettings(int) bool {
	if m.s.Sweeper.At != sweepIdle || !m.settingsDiffer() || !m.has(SweepSettings) {
		return false
	}
	m.s.Sweeper = m.rowOf()
	m.say("a sweep reads the settings, version %d", m.s.Sweeper.Version)
	return true
}

// seeThatHoldersFit is the look of a retryer at a gate that gives slots by the wish already.
func (m *machine) seeThatHoldersFit(int) bool {
	g, l := &m.s.Gate, &m.s.Ledger
	if m.s.Sweeper.At != sweepIdle || l.Wanted == 0 || m.isClosed(g) || g.Epoch != l.Epoch || m.settingsDiffer() ||
		g.holders() > l.Wanted {
		return false
	}
	m.s.Sweeper = Sweeper{At: sweepLowers, Version: l.Version, Epoch: l.Epoch, Holders: g.holders(), Count: g.Count}
	m.say("a sweep sees that %d holders fit the quota %d", m.s.Sweeper.Holders, l.Wanted)
	return true
}

// applySettings brings what was read to the gate, or lowers the quota.
func (m *machine) applySettings(int) bool {
	row := m.s.Sweeper
	m.s.Sweeper = Sweeper{}
	switch row.At {
	case sweepBrings:
		m.bringSettings(row)
	case sweepLowers:
		m.lowerFor(row)
	default:
		return false
	}
	return true
}

// lowerFor is LowerQuota: what was read must still hold.
func (m *machine) lowerFor(row Sweeper) {
	l := &m.s.Ledger
	if (l.Epoch != row.Epoch || l.Version != row.Version) && m.has(LowerIfUnchanged) {
		m.say("the campaign was changed since the sweep looked")
		return
	}
	m.lower(row.Holders, row.Count)
	m.say("a sweep lowers the quota: it is %d, limit %d", l.Quota, l.Limit)
}

// sweepSettings is another retryer that looks and acts at once.
func (m *machine) sweepSettings(int) bool {
	if m.s.Sweeper.At == sweepIdle || !m.settingsDiffer() || !m.has(SweepSettings) {
		return false
	}
	m.bringSettings(m.rowOf())
	return true
}

// bringSettings is script/settings.lua.
func (m *machine) bringSettings(row Sweeper) {
	g := &m.s.Gate
	m.say("a sweep brings settings of version %d to the gate: quota %d, paused %d", row.Version, row.Quota, row.Paused)
	if m.isClosed(g) || g.Epoch != row.Epoch || m.has(SettingsVersion) && row.Version < g.Version {
		m.say("(refused)")
		return
	}
	before := m.refusal(g)
	g.Quota, g.Paused, g.Version = row.Quota, row.Paused, row.Version
	m.s.Ghost.Newest = max(m.s.Ghost.Newest, row.Version)
	m.reopen(g, before)
}

// findLost is the audit's look: a winner that nothing but the gate knows.
func (m *machine) findLost(index int) bool {
	g, user := &m.s.Gate, uint8(index+1)
	held := g.Users[index]
	if m.s.PutBack.User != nobody || m.isClosed(g) || held == nobody || held == revoked || !m.has(PutBack) ||
		m.s.Ledger.Rows[index] != nobody || m.eventOf(user) >= 0 || m.isOnTopic(user) || g.hasPending(user) {
		return false
	}
	m.s.PutBack = Record{user, held, g.Epoch}
	m.say("the audit finds user %d lost", user)
	return true
}

func (g *Gate) hasPending(user uint8) bool {
	for _, entry := range g.Pending {
		if entry.User == user {
			return true
		}
	}
	return false
}

// putBack is script/put_back.lua; who is owed a slot is honoured, or becomes a fail event by a record of an epoch that is over.
func (m *machine) putBack(int) bool {
	lost, g := m.s.PutBack, &m.s.Gate
	if lost.User == nobody {
		return false
	}
	m.s.PutBack = Record{}
	m.say("the audit puts user %d back", lost.User)
	switch {
	case g.Epoch != lost.Epoch || g.Users[lost.User-1] != lost.Slot || g.State == gateMissing:
		m.say("(refused)")
		return true
	case lost.Slot == owed && m.isClosed(g):
		return true
	case lost.Slot == owed:
		given, ok := m.honour(g, lost.User)
		if ok && given.refusal != 0 && m.has(OwedSentAgain) {
			return m.append(Record{lost.User, 1, lost.Epoch - 1})
		}
		return ok
	}
	return g.addPending(Entry{lost, 1})
}
