package model

import "strings"

// Property is what must never be broken. The numbers are those of the promises in README.md.
type Property uint16

// The properties.
const (
	// OverQuota is P1: more coupons than the quota, or one slot in two.
	OverQuota Property = 1 << iota
	// TwoCoupons is P2: two coupons of one user.
	TwoCoupons
	// Lost is P3: an accepted user who is neither on the topic nor in the ledger.
	Lost
	// Dead is P3 and P4: a promise that ended for want of a slot, or was passed by a newcomer.
	Dead
	// SlotLost is P4: somebody asks in vain while there is a slot.
	SlotLost
	// OtherSlot is P5: another slot than the one that was told.
	OtherSlot
	// FalseRefusal is P5: "sold out" for somebody who was accepted.
	FalseRefusal
	// ToldTwice is P5: one slot told to two users.
	ToldTwice
	// Undone is P7: an operator's change that was in force and is no more.
	Undone
	// Missed is P7: a gate that opened without somebody that the topic named.
	Missed
	// Differ is P4 and P7: gate and ledger say different things at rest.
	Differ
	// Unsettled says that the system never comes to rest.
	Unsettled
)

var propertyNames = []string{
	"P1: more coupons than slots", "P2: two coupons of one user", "P3: an accepted winner is lost",
	"P3: a promise got no slot although there was one", "P4: a slot is lost", "P5: another slot than was told",
	"P5: an accepted user is told sold out", "P5: one slot is told to two users",
	"P7: a setting in force was undone", "P7: the gate opened without a winner that the topic named",
	"P7: gate and ledger differ at rest", "the system does not come to rest",
}

// String names the properties, joined by "; ".
func (p Property) String() string {
	var names []string
	for i, name := range propertyNames {
		if p>>i&1 == 1 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "; ")
}

func (m *machine) breaks(p Property) { m.s.Ghost.Broken |= p }

// tellAccepted is an answer "accepted", with a slot or slotUntold.
func (m *machine) tellAccepted(user, slot uint8) {
	told := &m.s.Ghost.Accepted[user-1]
	if slot == slotUntold {
		m.say("user %d hears ACCEPTED;", user)
		if *told == nobody {
			*told = slotUntold
		}
		return
	}
	m.say("user %d hears ACCEPTED, slot %d;", user, slot)
	if *told != nobody && *told != slotUntold && *told != slot && m.holds(int(user-1)) {
		m.breaks(OtherSlot)
	}
	*told = slot
	for other := range m.s.Ghost.Accepted {
		if other != int(user-1) && m.s.Ghost.Accepted[other] == slot && m.holds(other) && m.holds(int(user-1)) {
			m.breaks(ToldTwice)
		}
	}
}

// holds says whether nobody took the user's coupon back.
func (m *machine) holds(index int) bool {
	return m.s.Ledger.Rows[index]&wasRevoked == 0 && m.s.Ghost.Ended>>index&1 == 0
}

// tellSoldOut is false for those who were accepted or have a coupon, which can be seen.
func (m *machine) tellSoldOut(user uint8) {
	m.say("user %d hears SOLD OUT;", user)
	if m.holds(int(user-1)) && (m.s.Ledger.Rows[user-1] != nobody || m.s.Ghost.Accepted[user-1] != nobody) {
		m.breaks(FalseRefusal)
	}
}

// check looks at what must hold in every state.
func (m *machine) check() {
	rows := 0
	for i, row := range m.s.Ledger.Rows {
		if row != nobody && row&wasRevoked == 0 {
			rows++
			if row > max(m.s.Ledger.Quota, m.s.Ledger.Limit) {
				m.breaks(OverQuota)
			}
			if m.s.Ghost.Revoked>>i&1 == 1 {
				m.breaks(Undone)
			}
		}
		if m.s.Ghost.Accepted[i] != nobody && m.holds(i) && !m.isDurable(uint8(i+1)) {
			m.breaks(Lost)
		}
	}
	if rows > int(m.s.Ledger.Quota) {
		m.breaks(OverQuota)
	}
}

func (m *machine) isDurable(user uint8) bool {
	return m.isSafe(user) || m.mayComeBack(user)
}

// isSafe says whether the topic or the ledger knows the user.
func (m *machine) isSafe(user uint8) bool {
	return m.s.Ledger.Rows[user-1] != nobody || m.eventOf(user) >= 0 || m.isOnTopic(user)
}

// mayComeBack is true while lost records or commits are still to be found by the audit: the gate, closed or open, knows.
func (m *machine) mayComeBack(user uint8) bool {
	if m.c.Budget[LoseRecord] == 0 && m.c.Budget[LedgerLosesCommit] == 0 {
		return false
	}
	if v := m.s.Gate.Users[user-1]; v != nobody && v != revoked || m.s.Stored[user-1].User != nobody {
		return true
	}
	for i := range m.s.Rebuilds {
		if r := &m.s.Rebuilds[i]; r.At != rebuildIdle && (r.Claims[user-1] != nobody || r.Stored[user-1] != nobody) {
			return true
		}
	}
	return false
}

func (m *machine) isOnTopic(user uint8) bool {
	for _, record := range m.s.Topic {
		if record.User == user {
			return true
		}
	}
	return false
}

func (m *machine) eventOf(user uint8) int {
	for i := range m.s.Events {
		if m.s.Events[i].Status != 0 && m.s.Events[i].User == user {
			return i
		}
	}
	return -1
}
