package main

import (
	"fmt"
	"slices"
	"time"

	"firstcome/domain"
)

// row is a coupon as the database holds it; slot is 0 for a revoked one, and revokedSlot then says which it was.
type row struct {
	user              domain.UserID
	slot, revokedSlot domain.Slot
	revoked           bool
	// admitted is the moment of the run at which Redis admitted the user, by Redis's clock.
	admitted time.Duration
}

// event is a fail event that names a user.
type event struct {
	id       int64
	user     domain.UserID
	slot     domain.Slot
	status   domain.FailStatus
	resolved bool
}

// facts are what the stores hold once everything is at rest.
type facts struct {
	// quota is how many coupons there may be, highestSlot the highest slot that one may have: more where the quota was lowered.
	quota, highestSlot int64
	rows               []row
	events             []event
	// count is the highest slot that Redis handed out, free are those given back, holders the slots by Redis's users.
	count   int64
	free    []domain.Slot
	holders map[domain.UserID]domain.Slot
	// soldOut is true when new users were applying until nothing was left.
	soldOut bool
}

// verdict is every promise that was not kept, and of how many slots the order could be compared.
type verdict struct {
	differences []string
	ordered     int
}

// judge compares what applicants were told with what there is.
func judge(r *record, f facts) verdict {
	j := &judgement{
		record: r, facts: f, rows: map[domain.UserID]row{}, open: map[domain.UserID]event{}, slots: map[domain.Slot]domain.UserID{},
		asked: map[domain.UserID]time.Duration{},
	}
	j.indexApplications()
	j.indexRows()
	j.indexEvents()
	j.checkAllSold()
	j.checkSlots()
	j.checkAnswers()
	j.checkStrangers()
	j.checkOrder()
	return j.verdict
}

type judgement struct {
	verdict
	record *record
	facts  facts
	rows   map[domain.UserID]row
	open   map[domain.UserID]event
	slots  map[domain.Slot]domain.UserID
	asked  map[domain.UserID]time.Duration
}

func (j *judgement) report(format string, args ...any) {
	j.differences = append(j.differences, fmt.Sprintf(format, args...))
}

// indexApplications notes when each user asked first.
func (j *judgement) indexApplications() {
	for _, a := range j.record.answers {
		if first, known := j.asked[a.user]; !known || a.sent < first {
			j.asked[a.user] = a.sent
		}
	}
}

// indexRows: no user twice, no slot twice, none outside the quota, no more than the quota.
func (j *judgement) indexRows() {
	good := int64(0)
	for _, row := range j.facts.rows {
		if _, twice := j.rows[row.user]; twice {
			j.report("user %d has two rows", row.user)
		}
		j.rows[row.user] = row
		if row.revoked {
			continue
		}
		good++
		j.hold(row.slot, row.user)
	}
	if good > j.facts.quota {
		j.report("%d coupons, and the quota is %d", good, j.facts.quota)
	}
}

// checkAllSold: when nothing is left for new users, everything is a coupon or held by a fail event.
func (j *judgement) checkAllSold() {
	if used := int64(len(j.slots)); j.facts.soldOut && used != j.facts.quota {
		j.report("sold out with %d slots in use, and the quota is %d", used, j.facts.quota)
	}
}

func (j *judgement) hold(slot domain.Slot, user domain.UserID) {
	if slot < 1 || int64(slot) > max(j.facts.quota, j.facts.highestSlot) {
		j.report("user %d holds slot %d, and the quota is %d, the highest slot %d", user, slot, j.facts.quota, j.facts.highestSlot)
	}
	if other, taken := j.slots[slot]; taken && other != user {
		j.report("slot %d is held by user %d and by user %d", slot, other, user)
	}
	j.slots[slot] = user
}

func (j *judgement) indexEvents() {
	for _, event := range j.facts.events {
		if event.resolved {
			continue
		}
		j.open[event.user] = event
		if _, stored := j.rows[event.user]; !stored && event.slot >= 1 {
			j.hold(event.slot, event.user)
		}
	}
}

// checkSlots: each slot that was handed out is a coupon, held by an unresolved fail event, or free; and Redis says of
// each holder the same as the database.
func (j *judgement) checkSlots() {
	for slot := domain.Slot(1); int64(slot) <= j.facts.count; slot++ {
		user, held := j.slots[slot]
		free := slices.Contains(j.facts.free, slot)
		if held == free {
			j.report("slot %d of %d handed out: held %v (user %d), free %v", slot, j.facts.count, held, user, free)
		}
	}
	for slot, user := range j.slots {
		if int64(slot) > j.facts.count {
			j.report("user %d holds slot %d, and Redis has handed out only %d", user, slot, j.facts.count)
		}
		if in := j.facts.holders[user]; in != slot {
			j.report("user %d holds slot %d, and by Redis slot %d", user, slot, in)
		}
	}
}

func (j *judgement) checkAnswers() {
	promised := map[domain.UserID]answer{}
	for _, a := range slices.SortedFunc(slices.Values(j.record.answers), func(a, b answer) int { return int(a.answered - b.answered) }) {
		switch a.outcome {
		case accepted, reserved:
			j.checkPromise(a)
			if earlier, known := promised[a.user]; !known || earlier.outcome == reserved {
				promised[a.user] = a
			}
		case soldOut:
			j.checkSoldOut(a, promised)
		case revoked:
			if !j.record.givenUp[a.user] {
				j.report("%s, and no operator took anything away", tell(a))
			}
		case refused, unknown:
		}
	}
}

// checkPromise: a winner has a row with the slot that was named, or an unresolved fail event.
func (j *judgement) checkPromise(a answer) {
	row, stored := j.rows[a.user]
	if !stored {
		if _, waits := j.open[a.user]; waits || (a.outcome == reserved && j.record.excuses(j.asked[a.user], a.answered)) {
			return
		}
		j.report("%s, and there is neither a coupon nor an unresolved fail event", tell(a))
		return
	}
	if slot := max(row.slot, row.revokedSlot); a.slot != domain.NoSlot && slot != domain.NoSlot && slot != a.slot {
		j.report("%s, and the coupon has slot %d", tell(a), slot)
	}
}

// clockSlack is by how much the applicants' and Redis's clocks may be apart, and a fault's moment from when it is noted.
const clockSlack = 3 * time.Second

// checkSoldOut: nobody is told sold out who was promised something before, or who had been admitted when they asked.
func (j *judgement) checkSoldOut(a answer, promised map[domain.UserID]answer) {
	earlier, known := promised[a.user]
	if known && earlier.answered < a.sent {
		if earlier.outcome == accepted || !j.record.excuses(j.asked[a.user], earlier.answered) {
			j.report("%s, and before %s", tell(a), tell(earlier))
		}
		return
	}
	row, stored := j.rows[a.user]
	if !stored || row.revoked || row.admitted+clockSlack >= a.sent || j.clockWasShifted(a.answered) {
		return
	}
	lost := func(lost time.Duration) bool { return lost+clockSlack >= row.admitted && lost <= a.answered }
	if !slices.ContainsFunc(j.record.lost, lost) {
		j.report("%s, and had been admitted to slot %d at %.3f s", tell(a), row.slot, row.admitted.Seconds())
	}
}

// clockWasShifted says whether Redis's clock was wrong at any time until then. An
// admission of a shifted clock can seem to be at any time, so a shift at any time of the run counts.
func (j *judgement) clockWasShifted(until time.Duration) bool {
	return slices.ContainsFunc(j.record.clockShifted, func(s span) bool { return s.from <= until })
}

// checkStrangers: anybody who has a coupon has applied.
func (j *judgement) checkStrangers() {
	for user := range j.rows {
		if _, asked := j.asked[user]; !asked && !j.record.strangers[user] {
			j.report("user %d has a coupon and never applied", user)
		}
	}
}

func tell(a answer) string {
	text := fmt.Sprintf("user %d was told %q at %.3f s (asked %s at %.3f s)", a.user, a.text, a.answered.Seconds(), a.via, a.sent.Seconds())
	if a.slot != domain.NoSlot {
		text += fmt.Sprintf(" with slot %d", a.slot)
	}
	return text
}
