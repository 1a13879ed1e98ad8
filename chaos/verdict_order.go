package main

import (
	"cmp"
	"slices"
	"time"

	"firstcome/domain"
)

// mark is a moment at which nothing was on its way, and the highest slot that Redis had handed out until then. Every
// higher slot was handed out for the first time after it, until Redis lost data.
type mark struct {
	at    time.Duration
	count int64
}

// checkOrder: slots that were handed out for the first time follow the order of admission. A slot that was free again
// meanwhile goes to a later user rightly, so only those are compared that never were: handed out between a mark and
// Redis's next loss, not revoked or discarded, and never in a fail event. While Redis's clock is wrong, or the stream
// of pending entries still holds on to the wrong time, the moment of admission is no measure.
func (j *judgement) checkOrder() {
	freed := j.freedSlots()
	for i, m := range j.record.marks {
		until := j.endOfOrder(i)
		if j.clockWasWrong(m.at, until) {
			continue
		}
		var fresh []row
		for _, row := range j.rows {
			if int64(row.slot) <= m.count || row.admitted >= until || j.seemsEarlier(row, m.at) {
				continue
			}
			if !freed[row.slot] && !j.isSpecial(row.user) {
				fresh = append(fresh, row)
			}
		}
		j.compareOrder(fresh)
	}
}

// seemsEarlier says that a slot that was handed out after a mark seems to have been handed out before it, because Redis's
// clock was set back at some time of the run, perhaps long after the slots with which it would be compared.
func (j *judgement) seemsEarlier(row row, mark time.Duration) bool {
	return row.admitted < mark && len(j.record.clockShifted) > 0
}

// compareOrder sorts rows by slot, and tells each that was admitted before one with a lower slot.
func (j *judgement) compareOrder(fresh []row) {
	slices.SortFunc(fresh, func(a, b row) int { return cmp.Compare(a.slot, b.slot) })
	for i := 1; i < len(fresh); i++ {
		if before, after := fresh[i-1], fresh[i]; after.admitted < before.admitted {
			j.report("user %d was admitted to slot %d at %.3f s, and user %d to slot %d later, at %.3f s",
				after.user, after.slot, after.admitted.Seconds(), before.user, before.slot, before.admitted.Seconds())
		}
	}
	j.ordered += len(fresh)
}

// endOfOrder is the next mark's moment, or a little before Redis lost data if that came first: the loss is noted
// when it is over.
func (j *judgement) endOfOrder(i int) time.Duration {
	marks := j.record.marks
	until := time.Duration(1<<63 - 1)
	if i+1 < len(marks) {
		until = marks[i+1].at
	}
	for _, lost := range j.record.lost {
		if lost >= marks[i].at {
			until = min(until, lost-clockSlack)
		}
	}
	return until
}

func (j *judgement) clockWasWrong(from, until time.Duration) bool {
	return slices.ContainsFunc(j.record.clockShifted, func(s span) bool { return s.from <= until && from <= s.to })
}

func (j *judgement) freedSlots() map[domain.Slot]bool {
	freed := map[domain.Slot]bool{}
	for _, row := range j.facts.rows {
		freed[row.revokedSlot] = true
	}
	return freed
}

// isSpecial says whether a user may hold a slot by another way than an application that Redis admitted.
func (j *judgement) isSpecial(user domain.UserID) bool {
	return j.record.strangers[user] || slices.ContainsFunc(j.facts.events, func(e event) bool { return e.user == user })
}
