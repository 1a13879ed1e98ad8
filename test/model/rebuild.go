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
func (m *machine) needsRebuild(g *Gate) bool {
	return m.isClosed(g) || g.Epoch != m.s.Ledger.Epoch || g.Version > m.s.Ledger.Version
}

// gateOfRebuild is the gate to which a rebuilder is connected.
func (m *machine) gateOfRebuild(r *Rebuild) *Gate {
	if r.OldMaster == 1 {
		return &m.s.Old
	}
	return &m.s.Gate
}

// beginRebuild raises the epoch in the ledger.
func (m *machine) beginRebuild(index int) bool {
	r := &m.s.Rebuilds[index]
	if r.At != rebuildIdle || !m.needsRebuild(&m.s.Gate) || index == 1 && m.s.Rebuilds[0].At == rebuildIdle {
		return false
	}
	if m.s.Budget[Rebuilds] == 0 || index == 1 && m.s.Budget[TakeOver] == 0 {
		return false
	}
	m.s.Budget[Rebuilds]--
	if index == 1 {
		m.s.Budget[TakeOver]--
	}
	m.raiseEpoch(r, 0)
	m.say("rebuilder %d raises the epoch to %d", index, r.Epoch)
	return true
}

// beginRebuildOfOld is a retryer that is still connected to the old master, and takes it for the one that is in use.
func (m *machine) beginRebuildOfOld(int) bool {
	r := &m.s.Rebuilds[rebuilders-1]
	if m.s.HasOld == 0 || r.At != rebuildIdle || !m.needsRebuild(&m.s.Old) || !m.spend(Rebuilds) {
		return false
	}
	m.raiseEpoch(r, 1)
	m.say("a rebuilder on the old master raises the epoch to %d", r.Epoch)
	return true
}

// raiseEpoch is step 1. A gate that is not at the ledger's epoch is perhaps not the one that is in use.
func (m *machine) raiseEpoch(r *Rebuild, oldMaster uint8) {
	l := &m.s.Ledger
	l.Epoch++
	*r = Rebuild{At: rebuildCloses, Epoch: l.Epoch, OldMaster: oldMaster, Quota: l.Quota, Wanted: l.Wanted, Limit: l.Limit}
	if r.GateEpoch = m.gateOfRebuild(r).Epoch; r.GateEpoch != l.Epoch-1 && m.has(UnsureIfOlder) {
		r.Unsure = 1
	}
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
	case rebuildReadsTailAgain:
		m.say("reads on")
		m.readLate(r, &r.Late)
		r.At++
	case rebuildReadsOnceMore:
		m.say("reads on once more")
		m.readLate(r, &r.Later)
		r.At++
	case rebuildFinishes:
		m.rebuildFinishes(r)
	default:
		m.rebuildOpens(r)
	}
	return true
}

// isKnown says whether every process has read the epoch in the ledger.
func (m *machine) isKnown(epoch uint8) bool {
	for i := range m.c.APIs {
		if m.hasTwoMasters() && m.s.APIs[i].Seen < epoch {
			return false
		}
	}
	return true
}

// rebuildCloses is script/begin_rebuild.lua.
func (m *machine) rebuildCloses(r *Rebuild) {
	g := m.gateOfRebuild(r)
	if g.Epoch >= r.Epoch && m.has(OpenIfMine) {
		m.say("is overtaken")
		*r = Rebuild{}
		return
	}
	if m.isClosed(g) {
		r.Unsure = 1
		if m.has(UnsureAfterLoss) {
			g.Unsure = m.leases()
		}
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
	for _, entry := range m.gateOfRebuild(r).Pending {
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

// readTail takes in the records that no consumer has committed, and looks at those that are; those from outside carry no
// promise.
func (m *machine) readTail(r *Rebuild) {
	for i, record := range m.s.Stored {
		r.Stored[i], r.StoredEpochs[i] = record.Slot, record.Epoch
	}
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
		r.Events[i], r.EventEpochs[i] = owed, event.Epoch
	}
	if r.Claims[i] == nobody {
		r.Waiting |= 1 << i
	}
}

// readLate takes in who came to the topic meanwhile, and is not known yet.
func (m *machine) readLate(r *Rebuild, late *uint8) {
	for _, record := range m.s.Topic {
		if record.User == nobody || record.Slot == nobody || r.knows(record.User-1) || !m.has(TailAgain) {
			continue
		}
		*late |= 1 << (record.User - 1)
		r.claim(record)
	}
}

func (r *Rebuild) knows(index uint8) bool {
	return r.Rows[index] != nobody || r.Events[index] != nobody || r.Claims[index] != nobody || r.Revoked>>index&1 == 1
}

// rebuildRecalls takes in those that only the old gate knows; its word counts as the oldest claim.
func (m *machine) rebuildRecalls(r *Rebuild) {
	m.say("reads the old gate's users")
	m.recallUnstored(r)
	for i, held := range m.gateOfRebuild(r).Users {
		switch {
		case r.Rows[i] != nobody || held == nobody:
		case held == revoked:
			if m.has(KeepRevoked) {
				r.Revoked |= 1 << i
			}
		default:
			m.recallHolder(r, i, held)
		}
	}
	if !m.has(UpstreamFirst) {
		m.readTail(r)
	}
	r.At = rebuildSendsOwed
}

// recallUnstored takes in the users of committed records that the ledger has nothing of.
func (m *machine) recallUnstored(r *Rebuild) {
	for i, slot := range r.Stored {
		if slot == nobody || r.Rows[i] != nobody || r.Events[i] != nobody || !m.has(RecallUnstored) {
			continue
		}
		r.claim(Record{uint8(i + 1), slot, r.StoredEpochs[i]}) //nolint:gosec // there are three users
		r.Recalled |= 1 << i
	}
}

// recallHolder takes in what the old gate says of a user who has a slot there, or is owed one. Nobody whose record is
// committed, and no newer than the gate, claims that slot against the holder.
func (m *machine) recallHolder(r *Rebuild, index int, held uint8) {
	for i := range r.Claims {
		if i != index && r.Recalled>>i&1 == 1 && r.Claims[i] == held && r.ClaimEpochs[i] <= r.GateEpoch && m.has(HolderBeatsStored) {
			r.Claims[i] = owed
		}
	}
	if r.Claims[index] != nobody || !m.has(RecallForgotten) {
		return
	}
	r.Claims[index] = held
	if r.Events[index] != nobody {
		r.ClaimEpochs[index] = r.EventEpochs[index]
	}
}

// readWhenKnown waits until every process knows of the epoch, and reads the topic on.
func (m *machine) readWhenKnown(r *Rebuild) bool {
	if m.has(AllotWhenKnown) && !m.isKnown(r.Epoch) {
		return false
	}
	if m.has(ReadBeforeAllot) {
		m.readOn(r)
	}
	return true
}

// readOn takes in who came to the topic meanwhile, as if found at first. A fail event without a slot says nothing against one
// that the user was told since.
func (m *machine) readOn(r *Rebuild) {
	for _, record := range m.s.Topic {
		if record.User == nobody || record.Slot == nobody || !m.has(TailAgain) {
			continue
		}
		i := record.User - 1
		waits := r.Events[i] == owed && m.has(LateBeatsEvent)
		if r.Rows[i] != nobody || r.Revoked>>i&1 == 1 || r.Events[i] != nobody && !waits {
			continue
		}
		if waits && r.Claims[i] == owed {
			r.Claims[i] = nobody
		}
		r.claim(record)
	}
}

// rebuildSendsOwed sends on the records of those that no slot is left for.
func (m *machine) rebuildSendsOwed(r *Rebuild) bool {
	if r.Unsure == 1 && !m.readWhenKnown(r) {
		return false
	}
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
	if m.has(FinishIfNewest) && (l.Epoch != r.Epoch || l.Quota != r.Quota || l.Wanted != r.Wanted) {
		m.say("is overtaken")
		*r = Rebuild{}
		return
	}
	made := m.allot(r)
	m.lower(made.holders, made.count)
	for _, record := range m.s.Topic {
		if record.User != nobody && record.Slot != nobody {
			r.Due |= 1 << (record.User - 1)
		}
	}
	r.Quota, r.Wanted, r.Limit, r.Paused, r.Version = l.Quota, l.Wanted, l.Limit, l.Paused, l.Version
	r.At = rebuildReadsOnceMore
	m.say("settles the quota: %d, wanted %d", l.Quota, l.Wanted)
}

func (r *Rebuild) effectiveQuota() uint8 {
	if r.Wanted != 0 {
		return r.Wanted
	}
	return r.Quota
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
	g := m.gateOfRebuild(r)
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
		State: gateOpen, Run: g.Run, Verified: r.Run, Epoch: r.Epoch, Quota: r.effectiveQuota(), Paused: r.Paused,
		Version: r.Version, Count: made.count, Free: made.free, Users: made.users, Pending: made.pending,
	}
	m.s.Ghost.Newest = max(m.s.Ghost.Newest, r.Version)
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
