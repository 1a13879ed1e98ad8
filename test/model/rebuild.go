package model

// The steps of a rebuild that are still to come, as retryer/rebuild.go numbers them.
const (
	rebuildIdle = iota
	rebuildCloses
	rebuildReadsPending
	rebuildReadsTail
	rebuildReadsLedger
	rebuildRecalls
	rebuildSendsOwed
	rebuildReadsTailAgain
	rebuildFinishes
	rebuildReadsOnceMore
	rebuildOpens
)

// needsRebuild is decideSweep.
func (m *machine) needsRebuild() bool {
	g, l := &m.s.Gate, &m.s.Ledger
	return m.isClosed(g) || g.Epoch != l.Epoch || l.Wanted != 0 || g.Quota > l.Quota
}

// beginRebuild raises the epoch in the ledger.
func (m *machine) beginRebuild(index int) bool {
	r := &m.s.Rebuilds[index]
	if r.At != rebuildIdle || !m.needsRebuild() || index == 1 && m.s.Rebuilds[0].At == rebuildIdle {
		return false
	}
	if m.s.Budget[Rebuilds] == 0 || index == 1 && m.s.Budget[TakeOver] == 0 {
		return false
	}
	m.s.Budget[Rebuilds]--
	if index == 1 {
		m.s.Budget[TakeOver]--
	}
	m.s.Ledger.Epoch++
	*r = Rebuild{At: rebuildCloses, Epoch: m.s.Ledger.Epoch, Quota: m.s.Ledger.Quota}
	m.say("rebuilder %d raises the epoch to %d", index, r.Epoch)
	return true
}

// rebuild takes the next step of a rebuild; choices from rebuilders on read from the ledger's replica where they read
// the ledger.
func (m *machine) rebuild(choice int) bool {
	index, fromReplica := choice%rebuilders, choice >= rebuilders
	r := &m.s.Rebuilds[index]
	if r.At == rebuildIdle || fromReplica && r.At != rebuildReadsLedger {
		return false
	}
	m.say("rebuilder %d", index)
	switch r.At {
	case rebuildCloses:
		m.rebuildCloses(r)
	case rebuildReadsPending:
		m.rebuildReadsPending(r)
	case rebuildReadsTail:
		m.say("reads the topic")
		m.readTail(r)
		r.At = rebuildReadsLedger
	case rebuildReadsLedger:
		return m.rebuildReadsLedger(r, fromReplica)
	case rebuildRecalls:
		m.rebuildRecalls(r)
	case rebuildSendsOwed:
		return m.rebuildSendsOwed(r)
	case rebuildReadsTailAgain, rebuildReadsOnceMore:
		m.say("reads on")
		if m.has(TailAgain) {
			m.readLate(r)
		}
		r.At++
	case rebuildFinishes:
		m.rebuildFinishes(r)
	default:
		m.rebuildOpens(r)
	}
	return true
}

// rebuildCloses is script/begin_rebuild.lua.
func (m *machine) rebuildCloses(r *Rebuild) {
	g := &m.s.Gate
	if g.Epoch >= r.Epoch && m.has(OpenIfMine) {
		m.say("is overtaken")
		*r = Rebuild{}
		return
	}
	if m.isClosed(g) && m.has(UnsureAfterLoss) {
		g.Unsure = m.leases()
	}
	g.Closing = m.leases()
	g.State, g.Verified, g.Epoch = gateClosed, 0, r.Epoch
	r.Run, r.At = g.Run, rebuildReadsPending
	if !m.has(UpstreamFirst) {
		r.At = rebuildReadsLedger
	}
	m.say("closes the gate")
}

func (m *machine) rebuildReadsPending(r *Rebuild) {
	m.say("reads the pending entries")
	for _, entry := range m.s.Gate.Pending {
		if entry.User != nobody {
			r.claim(entry.Record)
		}
	}
	r.At = rebuildReadsTail
	if !m.has(UpstreamFirst) {
		r.At = rebuildRecalls
	}
}

// claim keeps, for each user, what the highest epoch says.
func (r *Rebuild) claim(record Record) {
	i := record.User - 1
	if r.Claims[i] == nobody || r.ClaimEpochs[i] < record.Epoch {
		r.Claims[i], r.ClaimEpochs[i] = record.Slot, record.Epoch
	}
}

// readTail takes in the records that no consumer has committed; those from outside carry no promise.
func (m *machine) readTail(r *Rebuild) {
	for _, record := range m.s.Topic {
		if record.User != nobody && record.Slot != nobody {
			r.claim(record)
		}
	}
}

// rebuildReadsLedger reads rows and events as of one moment.
func (m *machine) rebuildReadsLedger(r *Rebuild, fromReplica bool) bool {
	epoch, rows := m.s.Ledger.Epoch, m.s.Ledger.Rows
	if fromReplica {
		if m.c.Budget[ReplicaLags] == 0 || m.s.Replica.Rows == rows && m.s.Replica.Epoch == epoch {
			return false
		}
		epoch, rows = m.s.Replica.Epoch, m.s.Replica.Rows
	}
	if epoch != r.Epoch && m.has(SnapshotEpoch) {
		m.say("reads a snapshot of epoch %d, and gives up", epoch)
		*r = Rebuild{}
		return true
	}
	m.say("reads the ledger")
	r.Rows = rows
	for _, event := range m.s.Events {
		if event.Status != 0 {
			r.addEvent(event)
		}
	}
	r.At = rebuildRecalls
	if !m.has(UpstreamFirst) {
		// The wrong order: what moves meanwhile from the topic to a row is seen by neither.
		if r.Claims == ([maxUsers]uint8{}) {
			r.At = rebuildReadsPending
		}
	}
	return true
}

// addEvent keeps an event with a slot rather than one without.
func (r *Rebuild) addEvent(event Event) {
	i := event.User - 1
	switch {
	case event.Slot != nobody:
		r.Events[i], r.EventEpochs[i] = event.Slot, event.Epoch
	case r.Events[i] == nobody:
		r.Events[i] = owed
	}
	if r.Claims[i] == nobody {
		r.Waiting |= 1 << i
	}
}

// readLate takes in who came to the topic meanwhile, and is not known yet.
func (m *machine) readLate(r *Rebuild) {
	for _, record := range m.s.Topic {
		if record.User == nobody || record.Slot == nobody || r.knows(record.User-1) {
			continue
		}
		r.Late |= 1 << (record.User - 1)
		r.claim(record)
	}
}

func (r *Rebuild) knows(index uint8) bool {
	return r.Rows[index] != nobody || r.Events[index] != nobody || r.Claims[index] != nobody
}

// rebuildRecalls takes in whom only the old gate knows; its word counts as the oldest claim.
func (m *machine) rebuildRecalls(r *Rebuild) {
	m.say("reads the old gate's users")
	for i, held := range m.s.Gate.Users {
		if r.Rows[i] == nobody && r.Claims[i] == nobody && held != nobody && held != revoked && m.has(RecallForgotten) {
			r.Claims[i] = held
		}
	}
	if !m.has(UpstreamFirst) {
		m.readTail(r)
	}
	r.At = rebuildSendsOwed
}

// rebuildSendsOwed sends on the records of those for whom no slot is left.
func (m *machine) rebuildSendsOwed(r *Rebuild) bool {
	m.say("sends on who is owed a slot")
	made := m.allot(r)
	for i, held := range made.users {
		if held == owed && r.Rows[i] == nobody && r.Events[i] == nobody && m.has(OwedIsNoted) &&
			!m.append(Record{uint8(i + 1), r.claimedSlot(i), m.claimedEpoch(r, i)}) {
			return false
		}
	}
	r.At = rebuildReadsTailAgain
	return true
}

// rebuildFinishes settles the quota.
func (m *machine) rebuildFinishes(r *Rebuild) {
	l := &m.s.Ledger
	if m.has(FinishIfNewest) && (l.Epoch != r.Epoch || l.Quota != r.Quota) {
		m.say("is overtaken")
		*r = Rebuild{}
		return
	}
	if l.Wanted != 0 {
		made := m.allot(r)
		if made.count <= l.Wanted {
			l.Quota = l.Wanted
		}
		l.Wanted = 0
	}
	for _, record := range m.s.Topic {
		if record.User != nobody && record.Slot != nobody {
			r.Due |= 1 << (record.User - 1)
		}
	}
	r.Quota, r.At = l.Quota, rebuildReadsOnceMore
	m.say("settles the quota: %d", l.Quota)
}

// claimedSlot is a slot that can exist, which every record of a promise names.
func (r *Rebuild) claimedSlot(index int) uint8 {
	if slot := r.Claims[index]; slot != nobody && slot <= highestSlot {
		return slot
	}
	return 1
}

// claimedEpoch is the epoch of the claim, which is certainly over.
func (m *machine) claimedEpoch(r *Rebuild, index int) uint8 {
	if m.has(OwedSentAsClaimed) {
		return min(r.ClaimEpochs[index], r.Epoch-1)
	}
	return r.Epoch - 1
}

// rebuildOpens is script/open_rebuilt.lua.
func (m *machine) rebuildOpens(r *Rebuild) {
	g, l := &m.s.Gate, &m.s.Ledger
	if m.has(OpenIfMine) && (g.State != gateClosed || g.Epoch != r.Epoch || g.Run != r.Run) {
		m.say("is overtaken")
		*r = Rebuild{}
		return
	}
	before, wait, told := m.refusal(g), g.Unsure, g.Closing
	if g.Quota == 0 {
		before = 0 // Nobody knows what a gate said that lost its settings.
	}
	made := m.allot(r)
	*g = Gate{
		State: gateOpen, Run: g.Run, Verified: r.Run, Epoch: r.Epoch, Quota: r.Quota, Paused: l.Paused, Version: l.Version,
		Count: made.count, Free: made.free, Users: made.users, Pending: made.pending,
	}
	m.s.Ghost.Newest = max(m.s.Ghost.Newest, l.Version)
	if m.has(RebuiltToldLater) {
		g.Told = told
	}
	if wait != 0 {
		g.Reopening, g.Says = wait, saysClosed
	} else {
		m.reopen(g, before)
	}
	for i, held := range g.Users {
		if r.Due>>i&1 == 1 && held == nobody {
			m.breaks(Missed)
		}
	}
	m.say("OPENS the gate, epoch %d: users %v, count %d, free %b", r.Epoch, g.Users, g.Count, g.Free)
	*r = Rebuild{}
}
