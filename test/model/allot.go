package model

import (
	"cmp"
	"slices"
)

// made is what a rebuild writes.
type made struct {
	users                [maxUsers]uint8
	holders, count, free uint8
	pending              [maxPending]Entry
	used                 uint8
}

// take gives a slot to a user if nobody has it.
func (a *made) take(user int, slot uint8) bool {
	if slot == nobody || slot > highestSlot || a.used>>slot&1 == 1 {
		return false
	}
	a.used |= 1 << slot
	a.users[user] = slot
	a.holders++
	return true
}

// keep is keepSlot: it takes a slot that somebody was promised and that is no coupon yet.
func (m *machine) keepSlot(r *Rebuild, a *made, user int, slot uint8) bool {
	return slot <= m.highest(r.Quota, r.Limit) && (a.holders < r.Quota || !m.has(KeepWithinQuota)) && a.take(user, slot)
}

// allot is retryer/holders.go and retryer/allot.go: who holds which slot, by what a rebuild has read. Rows come first, then
// the events that hold a slot, then claims by their epoch; who is left gets the lowest slots, or is owed one.
func (m *machine) allot(r *Rebuild) made {
	var made made
	var kept uint8
	for i, row := range r.Rows {
		switch {
		case row&wasRevoked != 0 && m.has(RevokedMark):
			made.users[i] = revoked
		case row != nobody && row&wasRevoked == 0:
			made.take(i, row)
		}
	}
	for i, slot := range r.Events {
		isOlder := r.Claims[i] != nobody && r.Claims[i] != owed && r.ClaimEpochs[i] > r.EventEpochs[i]
		if r.Rows[i] == nobody && slot != nobody && !isOlder && m.keepSlot(r, &made, i, slot) {
			kept |= 1 << i
		} else if r.Rows[i] == nobody && r.Revoked>>i&1 == 1 {
			made.users[i] = revoked
		}
	}
	for _, group := range []uint8{^(r.Late | r.Later), r.Late, r.Later} {
		left := m.allotClaims(r, &made, group)
		m.allotRest(r, &made, left)
	}
	for slot := uint8(1); slot <= highestSlot; slot++ {
		if made.used>>slot&1 == 1 {
			made.count = slot
		}
	}
	for slot := uint8(1); slot < made.count; slot++ {
		if made.used>>slot&1 == 0 {
			made.free |= 1 << slot
		}
	}
	m.addFreshPending(r, &made, kept)
	return made
}

// allotClaims gives each claim its slot if it is left, and says whose is not.
func (m *machine) allotClaims(r *Rebuild, made *made, group uint8) []int {
	var claimers, left []int
	for i := range r.Claims {
		isClaim := r.Claims[i] != nobody || r.Events[i] != nobody
		if made.users[i] == nobody && isClaim && r.Rows[i] == nobody && group>>i&1 == 1 {
			claimers = append(claimers, i)
		}
	}
	if m.has(ClaimsByEpoch) {
		slices.SortStableFunc(claimers, func(a, b int) int {
			later := 0
			if m.has(LaterKeepsSlot) {
				later = cmp.Compare(b, a) // A later user has the higher number.
			}
			return cmp.Or(cmp.Compare(r.ClaimEpochs[b], r.ClaimEpochs[a]), cmp.Compare(r.Claims[a], r.Claims[b]), later)
		})
	}
	for _, i := range claimers {
		slot := r.Claims[i]
		if r.Events[i] != nobody && !m.has(EventKeepsClaim) {
			made.users[i] = owed
			continue
		}
		if !m.keepSlot(r, made, i, slot) {
			left = append(left, i)
		}
	}
	slices.Sort(left)
	return left
}

func (m *machine) allotRest(r *Rebuild, made *made, left []int) {
	quota := r.effectiveQuota()
	for _, i := range left {
		slot := uint8(1)
		for made.holders < quota && slot <= quota && !made.take(i, slot) {
			slot++
		}
		if made.users[i] == nobody && m.has(OwedIsNoted) {
			made.users[i] = owed
		}
	}
}

// addFreshPending notes anybody who has a slot that the ledger does not know of: the record is sent again.
func (m *machine) addFreshPending(r *Rebuild, made *made, kept uint8) {
	durable, next := kept, 0
	if !m.has(WaitingIsPending) {
		durable |= r.Waiting
	}
	for i, held := range made.users {
		hasNone := held == nobody || held == owed || held == revoked
		if hasNone || r.Rows[i] != nobody || durable>>i&1 == 1 || !m.has(FreshPending) {
			continue
		}
		made.pending[next] = Entry{Record: Record{uint8(i + 1), held, r.Epoch}}
		next++
	}
}
