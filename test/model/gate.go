package model

import "math/bits"

// answer is what the gate says of one user.
type answer struct {
	isNew bool
	// slot is a slot, owed, or revoked; nobody for a refusal.
	slot    uint8
	refusal uint8
}

// What the gate says to those that it doesn't know.
const (
	saysSoldOut = 1 + iota
	saysClosed
	saysPaused
)

// isClosed is read_gate: nobody is admitted, and nothing is acknowledged.
func (m *machine) isClosed(g *Gate) bool {
	return g.State != gateOpen || m.has(RunID) && g.Run != g.Verified || m.has(SumOfSlots) && g.orphans() != 0
}

// orphans is how many of the slots that were handed out are neither held nor free.
func (g *Gate) orphans() int {
	holders := 0
	for _, held := range g.Users {
		if held != nobody && held != owed && held != revoked {
			holders++
		}
	}
	return int(g.Count) - holders - bits.OnesCount8(g.Free)
}

// holders is how many slots have a holder, as a gate in which the sum is right counts them.
func (g *Gate) holders() uint8 {
	return g.Count - uint8(bits.OnesCount8(g.Free)) //nolint:gosec // at most eight
}

// gateOf is the gate to which an api process is connected.
func (m *machine) gateOf(api int) *Gate {
	if m.s.APIs[api].OldMaster == 1 {
		return &m.s.Old
	}
	return &m.s.Gate
}

func (g *Gate) lowestFree() uint8 {
	for slot := uint8(1); slot <= g.Quota; slot++ {
		if g.Free>>slot&1 == 1 {
			return slot
		}
	}
	return nobody
}

// nextSlot is the lowest free slot, or a new one; nobody when none is left.
func (g *Gate) nextSlot(byHolders bool) uint8 {
	if byHolders && g.holders() >= g.Quota {
		return nobody
	}
	if slot := g.lowestFree(); slot != nobody {
		return slot
	}
	if g.Count < g.Quota {
		return g.Count + 1
	}
	return nobody
}

// room is how many slots are left for newcomers: those that nobody holds and nobody is owed.
func (m *machine) room(g *Gate) int {
	room := int(g.Quota) - int(g.Count) + bits.OnesCount8(g.Free)
	if m.has(OwedFirst) {
		room -= g.owed()
	}
	return room
}

func (g *Gate) owed() int {
	number := 0
	for _, held := range g.Users {
		if held == owed {
			number++
		}
	}
	return number
}

// refusal is what everybody hears that the gate doesn't know; 0 when somebody may be admitted.
func (m *machine) refusal(g *Gate) uint8 {
	switch {
	case g.Paused == 1:
		return saysPaused
	case m.room(g) <= 0:
		return saysSoldOut
	case g.Reopening != 0:
		return g.Says
	}
	return 0
}

// admit is script/admit.lua for one applicant. ok is false beyond the bounds of the model.
func (m *machine) admit(g *Gate, user uint8) (given answer, ok bool) {
	if held := g.Users[user-1]; held != nobody && (m.has(KnownBeforeStock) || m.refusal(g) == 0) {
		return answer{slot: held}, true
	}
	if refusal := m.refusal(g); refusal != 0 {
		return answer{refusal: refusal}, true
	}
	if !m.give(g, user, true) {
		return answer{}, false
	}
	m.noteNewcomer(g)
	return answer{isNew: true, slot: g.Users[user-1]}, true
}

// noteNewcomer notes who was passed, and whether a setting was undone.
func (m *machine) noteNewcomer(g *Gate) {
	for i, held := range g.Users {
		if held == owed {
			m.s.Ghost.Passed |= 1 << i
		}
	}
	if g == &m.s.Gate && g.Version < m.s.Ghost.Newest {
		m.breaks(Undone)
	}
}

// honour is the same script for a user that a promise was made to.
func (m *machine) honour(g *Gate, user uint8) (given answer, ok bool) {
	if held := g.Users[user-1]; held != nobody && held != owed {
		return answer{slot: held}, true
	}
	told := g.Told
	if g.Users[user-1] == nobody && m.refusal(g) != 0 && m.has(HonouredToldLater) {
		told = m.leases()
	}
	if g.nextSlot(m.has(RoomByHolders)) == nobody || g.Users[user-1] != owed && m.room(g) <= 0 {
		g.Users[user-1], g.Told = owed, told
		return answer{refusal: saysSoldOut}, true
	}
	if !m.give(g, user, m.has(HonourMakesPending)) {
		return answer{}, false
	}
	g.Told = told
	return answer{isNew: true, slot: g.Users[user-1]}, true
}

// give hands the next slot to a user, and makes a pending entry in the same step.
func (m *machine) give(g *Gate, user uint8, pending bool) bool {
	slot := g.nextSlot(m.has(RoomByHolders))
	if pending && !g.addPending(Entry{Record: Record{user, slot, g.Epoch}}) {
		return false
	}
	if g.Free>>slot&1 == 1 {
		g.Free &^= 1 << slot
	} else {
		g.Count = slot
	}
	g.Users[user-1] = slot
	return true
}

func (g *Gate) addPending(entry Entry) bool {
	for i := range g.Pending {
		if g.Pending[i].User == nobody {
			g.Pending[i] = entry
			return true
		}
	}
	return false
}

func (g *Gate) removePending(entry Record) {
	for i := range g.Pending {
		if g.Pending[i].Record == entry {
			copy(g.Pending[i:], g.Pending[i+1:])
			g.Pending[maxPending-1] = Entry{}
			return
		}
	}
}

// isInQueue says whether the gate takes the user's record for one that is in Kafka.
func (m *machine) isInQueue(g *Gate, user uint8) bool {
	for _, entry := range g.Pending {
		if entry.User == user && (entry.PutBack == 0 || m.has(ReservedWhilePutBack)) {
			return false
		}
	}
	return true
}

// acknowledge is script/acknowledge.lua.
func (m *machine) acknowledge(g *Gate, record Record) {
	if g.Epoch != record.Epoch && m.has(EntryOfThisEpoch) {
		return
	}
	if g.Epoch != record.Epoch {
		record = g.Pending[0].Record // After a rebuild the same ID can name another entry.
	}
	g.removePending(record)
}

// release is script/release.lua: the user is marked as revoked, and the slot is free if the gate says the same.
func (m *machine) release(g *Gate, user, slot uint8) {
	held := g.Users[user-1]
	if held == revoked {
		return
	}
	before := m.refusal(g)
	g.Users[user-1] = nobody
	if m.has(RevokedMark) {
		g.Users[user-1] = revoked
		m.noteRevoked(g, user)
	}
	switch {
	case held == slot || !m.has(ReleaseIfHeld):
		if slot != nobody && slot <= g.Count {
			g.Free |= 1 << slot
		}
		m.reopen(g, before)
	case held == owed:
		m.reopen(g, before)
	case held != nobody:
		g.State, g.Verified = gateClosed, 0
	}
}

// noteRevoked notes that no coupon may come back to a user as long as the gate knows of the revocation. A second master may
// be wrong about that.
func (m *machine) noteRevoked(g *Gate, user uint8) {
	if g == &m.s.Gate {
		m.s.Ghost.Revoked |= 1 << (user - 1)
	}
}

// reopen lets newcomers wait if they were refused before and would not be now.
func (m *machine) reopen(g *Gate, before uint8) {
	if before == 0 || before == saysClosed || m.refusal(g) != 0 || !m.has(CapacityAfterLeases) {
		return
	}
	g.Reopening, g.Says = m.leases(), before
}

// dispute is script/dispute.lua: the gate is closed if it holds what the ledger denies.
func (m *machine) dispute(record Record) {
	g := &m.s.Gate
	if m.has(DisputeCloses) && g.State == gateOpen && g.Epoch <= record.Epoch && g.Users[record.User-1] == record.Slot {
		g.State, g.Verified = gateClosed, 0
	}
}

// leases are the processes that refuse somebody from memory now.
func (m *machine) leases() uint8 {
	var held uint8
	for i := range m.s.APIs {
		if m.s.APIs[i].Refuses != 0 {
			held |= 1 << i
		}
	}
	return held
}

// endLease ends what a process refuses from memory, and whatever waited for that.
func (m *machine) endLease(api int) {
	m.s.APIs[api].Refuses, m.s.APIs[api].Known, m.s.APIs[api].LeaseOf = 0, 0, 0
	for i := range m.s.APIs {
		m.s.APIs[i].Awaits &^= 1 << api
	}
	m.s.Consumer.Awaits &^= 1 << api
	m.s.Retry.Awaits &^= 1 << api
	for _, g := range []*Gate{&m.s.Gate, &m.s.Old, &m.s.Earlier[0], &m.s.Earlier[1]} {
		g.Unsure &^= 1 << api
		g.Closing &^= 1 << api
		g.Told &^= 1 << api
		if g.Reopening != 0 {
			if g.Reopening &^= 1 << api; g.Reopening == 0 {
				g.Says = 0
			}
		}
	}
}
