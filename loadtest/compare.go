package loadtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"firstcome/domain"
)

// DifferenceKind names a broken promise.
type DifferenceKind string

// The kinds.
const (
	// LostAccepted: an accepted user has neither a coupon nor an unresolved fail event.
	LostAccepted DifferenceKind = "lost-accepted"
	// LostReserved: the same for a reserved user; only the loss of Redis before Kafka was reached may cause it.
	LostReserved DifferenceKind = "lost-reserved"
	// OtherSlot: the coupon's slot is not the one promised.
	OtherSlot DifferenceKind = "other-slot"
	// IssuedToRefused: a user who was refused has a coupon.
	IssuedToRefused DifferenceKind = "issued-to-refused"
	// IssuedToStranger: a user who did not apply has a coupon of a campaign that is this run's alone.
	IssuedToStranger DifferenceKind = "issued-to-stranger"
	// OverQuota: there are more coupons than the quota.
	OverQuota DifferenceKind = "over-quota"
	// SlotOutOfRange: a coupon's slot is not within 1..quota.
	SlotOutOfRange DifferenceKind = "slot-out-of-range"
	// SlotTwice: two coupons have the same slot.
	SlotTwice DifferenceKind = "slot-twice"
	// UserTwice: one user has two coupons.
	UserTwice DifferenceKind = "user-twice"
	// SlotGap: slots below the highest one are with nobody.
	SlotGap DifferenceKind = "slot-gap"
	// FalseSoldOut: users were told that everything was given away although slots are left.
	FalseSoldOut DifferenceKind = "false-sold-out"
	// OutOfOrder: a user has a lower slot than one who was admitted earlier.
	OutOfOrder DifferenceKind = "out-of-order"
	// WrongUser: a user got the answer of another.
	WrongUser DifferenceKind = "wrong-user"
)

// Difference is one promise that was not kept.
type Difference struct {
	Kind DifferenceKind
	// UserID and Slot say who and what it is about; 0 when it is about nobody or no slot in particular.
	UserID domain.UserID
	Slot   domain.Slot
	// Detail tells a person what was promised and what was found.
	Detail string
}

// String gives the kind and the detail, for one line of a report.
func (d Difference) String() string { return string(d.Kind) + ": " + d.Detail }

// Facts is what was promised and what became of it, once the campaign is settled.
type Facts struct {
	Quota int64
	// HighestSlot is the highest slot that somebody may hold where the quota was lowered below it; else 0.
	HighestSlot int64
	// Exclusive is true when nobody but the users of this run applied, and no operator touched the campaign.
	Exclusive bool
	// Answers has at most one answer for each user.
	Answers []Answer
	// Coupons are all of the campaign's, those of other users and revoked ones too. Of each, only UserID, Slot,
	// RevokedSlot and AdmittedAt count.
	Coupons []domain.Coupon
	// FailEvents are all of the campaign's; resolved ones are passed over.
	FailEvents []domain.FailEvent
}

// Comparison is the result of Compare.
type Comparison struct {
	// Issued and Revoked count the campaign's coupons.
	Issued, Revoked int
	// Delayed counts the users of this run who were promised a coupon that stands in an unresolved fail event.
	Delayed     int
	Differences []Difference
}

// Compare holds every promise against what was issued, user by user and slot by slot. It changes nothing and does
// no input or output. The differences come in the order of the checks, then of the answers or slots.
func Compare(facts Facts) Comparison {
	c := newComparer(facts)
	c.indexCoupons()
	c.indexFailEvents()
	c.checkAnswers()
	c.checkStrangers()
	c.checkQuota()
	c.checkGaps()
	c.checkSoldOut()
	c.checkOrder()
	return c.result
}

// openPromises gives the users who were promised a coupon and have neither it nor an unresolved fail event, in order.
func openPromises(facts Facts) []domain.UserID {
	c := newComparer(facts)
	c.indexCoupons()
	c.indexFailEvents()
	var open []domain.UserID
	for _, answer := range facts.Answers {
		_, issued := c.coupons[answer.UserID]
		_, delayed := c.held[answer.UserID]
		if promised := answer.Outcome == Accepted || answer.Outcome == Reserved; promised && !issued && !delayed {
			open = append(open, answer.UserID)
		}
	}
	slices.Sort(open)
	return open
}

type comparer struct {
	facts Facts
	// coupons and held are what each user has; slots is who has each slot, or had it until it was revoked.
	coupons map[domain.UserID]domain.Coupon
	held    map[domain.UserID]domain.FailEvent
	slots   map[domain.Slot]domain.UserID
	freed   map[domain.Slot]bool
	result  Comparison
}

func newComparer(facts Facts) *comparer {
	return &comparer{
		facts:   facts,
		coupons: make(map[domain.UserID]domain.Coupon, len(facts.Coupons)),
		held:    map[domain.UserID]domain.FailEvent{},
		slots:   make(map[domain.Slot]domain.UserID, len(facts.Coupons)),
		freed:   map[domain.Slot]bool{},
	}
}

func (c *comparer) report(kind DifferenceKind, user domain.UserID, slot domain.Slot, format string, args ...any) {
	difference := Difference{Kind: kind, UserID: user, Slot: slot, Detail: fmt.Sprintf(format, args...)}
	c.result.Differences = append(c.result.Differences, difference)
}

func isRevoked(coupon domain.Coupon) bool { return coupon.Slot == domain.NoSlot }

func (c *comparer) indexCoupons() {
	for _, coupon := range c.facts.Coupons {
		if _, twice := c.coupons[coupon.UserID]; twice {
			c.report(UserTwice, coupon.UserID, coupon.Slot, "user %d has more than one coupon", coupon.UserID)
		}
		c.coupons[coupon.UserID] = coupon
		if isRevoked(coupon) {
			c.result.Revoked++
			c.freed[coupon.RevokedSlot] = true
			continue
		}
		c.result.Issued++
		c.takeSlot(coupon)
	}
}

func (c *comparer) takeSlot(coupon domain.Coupon) {
	if coupon.Slot < 1 || int64(coupon.Slot) > c.highestSlot() {
		c.report(SlotOutOfRange, coupon.UserID, coupon.Slot, "user %d has slot %d, the quota is %d",
			coupon.UserID, coupon.Slot, c.facts.Quota)
	}
	if other, taken := c.slots[coupon.Slot]; taken {
		c.report(SlotTwice, coupon.UserID, coupon.Slot, "slot %d is user %d's and user %d's",
			coupon.Slot, other, coupon.UserID)
	}
	c.slots[coupon.Slot] = coupon.UserID
}

func (c *comparer) indexFailEvents() {
	for _, event := range c.facts.FailEvents {
		resolved := event.Status == domain.FailStatusSuccess || !event.DiscardedAt.IsZero()
		if !resolved && event.UserID != 0 {
			c.held[event.UserID] = event
		}
	}
}

func (c *comparer) checkAnswers() {
	for _, answer := range c.facts.Answers {
		if answer.AnsweredFor != 0 && answer.AnsweredFor != answer.UserID {
			c.report(WrongUser, answer.UserID, answer.Slot, "user %d got the answer of user %d",
				answer.UserID, answer.AnsweredFor)
			continue
		}
		switch answer.Outcome {
		case Accepted:
			c.checkPromise(answer, LostAccepted)
		case Reserved:
			c.checkPromise(answer, LostReserved)
		case Refused:
			c.checkRefusal(answer)
		}
	}
}

// checkPromise lets a revoked coupon stand for a kept promise: the user had it until an operator took it back.
func (c *comparer) checkPromise(answer Answer, lost DifferenceKind) {
	coupon, issued := c.coupons[answer.UserID]
	if !issued {
		if _, delayed := c.held[answer.UserID]; delayed {
			c.result.Delayed++
			return
		}
		c.report(lost, answer.UserID, answer.Slot, "user %d was told %q (slot %d) and has no coupon",
			answer.UserID, answer.label(), answer.Slot)
		return
	}
	slot := coupon.Slot
	if isRevoked(coupon) {
		slot = coupon.RevokedSlot
	}
	if answer.Slot != domain.NoSlot && slot != domain.NoSlot && answer.Slot != slot {
		c.report(OtherSlot, answer.UserID, slot, "user %d was promised slot %d and has slot %d",
			answer.UserID, answer.Slot, slot)
	}
}

func (c *comparer) checkRefusal(answer Answer) {
	coupon, issued := c.coupons[answer.UserID]
	if issued && !isRevoked(coupon) {
		c.report(IssuedToRefused, answer.UserID, coupon.Slot, "user %d was told %q and has slot %d",
			answer.UserID, answer.label(), coupon.Slot)
	}
}

func (c *comparer) checkStrangers() {
	if !c.facts.Exclusive {
		return
	}
	applied := make(map[domain.UserID]bool, len(c.facts.Answers))
	for _, answer := range c.facts.Answers {
		applied[answer.UserID] = answer.Outcome != NotSent
	}
	for _, coupon := range c.facts.Coupons {
		if !applied[coupon.UserID] {
			c.report(IssuedToStranger, coupon.UserID, coupon.Slot, "user %d has slot %d and never applied",
				coupon.UserID, coupon.Slot)
		}
	}
}

func (c *comparer) checkQuota() {
	if int64(c.result.Issued) > c.facts.Quota {
		c.report(OverQuota, 0, 0, "%d coupons were issued, the quota is %d", c.result.Issued, c.facts.Quota)
	}
}

// checkGaps reports each run of slots that is with nobody as one difference. A slot that a fail event holds, or that
// was taken back from its user, is accounted for. It walks the slots that are in use, so it ends soon whatever
// numbers the server invents.
func (c *comparer) checkGaps() {
	used := c.usedSlots()
	previous := domain.Slot(0)
	for _, slot := range used {
		if slot > previous+1 {
			c.report(SlotGap, 0, previous+1, "slots %d to %d are with nobody, although slot %d was handed out",
				previous+1, slot-1, slot)
		}
		previous = slot
	}
}

func (c *comparer) highestSlot() int64 { return max(c.facts.Quota, c.facts.HighestSlot) }

// usedSlots gives every slot within the quota that is accounted for, in order.
func (c *comparer) usedSlots() []domain.Slot {
	var used []domain.Slot
	add := func(slot domain.Slot) {
		if slot >= 1 && int64(slot) <= c.highestSlot() {
			used = append(used, slot)
		}
	}
	for slot := range c.slots {
		add(slot)
	}
	for slot := range c.freed {
		add(slot)
	}
	for _, event := range c.held {
		add(event.Slot)
	}
	slices.SortFunc(used, cmp.Compare[domain.Slot])
	return slices.Compact(used)
}

// checkSoldOut reports a sold-out that nothing explains. Each exception is a way in which a slot may rightly have
// become free after the last refusal: an operator took it back, or Redis was lost together with an admission that
// no certain answer had followed.
func (c *comparer) checkSoldOut() {
	if !c.facts.Exclusive || len(c.freed) > 0 {
		return
	}
	if !c.allCertain() {
		return
	}
	refused := 0
	for _, answer := range c.facts.Answers {
		if answer.Code == domain.CodeSoldOut {
			refused++
		}
	}
	left := c.facts.Quota - int64(c.result.Issued) - int64(len(c.held))
	if refused > 0 && left > 0 {
		c.report(FalseSoldOut, 0, 0, "%d users were told sold-out although %d of %d slots are left",
			refused, left, c.facts.Quota)
	}
}

// allCertain says that each user was answered at once and for good, so that no slot can have been handed out twice.
func (c *comparer) allCertain() bool {
	return !slices.ContainsFunc(c.facts.Answers, func(answer Answer) bool {
		return answer.Outcome == Unknown || answer.Outcome == Reserved || answer.Retries > 0
	})
}

// allNamed says that each winner was told a slot: who was told none was admitted while the gate was being rebuilt.
func (c *comparer) allNamed() bool {
	return !slices.ContainsFunc(c.facts.Answers, func(answer Answer) bool {
		return answer.Outcome == Accepted && answer.Slot == domain.NoSlot
	})
}

// checkOrder reports who got a lower slot than somebody who was admitted earlier. A slot that was free again meanwhile
// goes to a later user rightly: what lets one become free is excepted as for sold-out.
func (c *comparer) checkOrder() {
	if !c.facts.Exclusive || len(c.freed) > 0 || len(c.held) > 0 || !c.allCertain() || !c.allNamed() {
		return
	}
	inOrder := slices.SortedFunc(slices.Values(c.facts.Coupons), func(a, b domain.Coupon) int { return cmp.Compare(a.Slot, b.Slot) })
	for i := 1; i < len(inOrder); i++ {
		if before, after := inOrder[i-1], inOrder[i]; after.AdmittedAt.Before(before.AdmittedAt) {
			c.report(OutOfOrder, after.UserID, after.Slot, "user %d was admitted to slot %d at %s, and user %d to slot %d later, at %s",
				after.UserID, after.Slot, moment(after.AdmittedAt), before.UserID, before.Slot, moment(before.AdmittedAt))
		}
	}
}

func moment(at time.Time) string { return at.UTC().Format("15:04:05.000") }
