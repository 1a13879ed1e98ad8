package retryer

import (
	"fmt"

	"firstcome/domain"
)

// place says where a user was seen.
type place uint8

const (
	inGate place = 1 << iota
	inPending
	inTopic
	// inTopicNow is a record of the current epoch, which is believed without asking the gate.
	inTopicNow
	hasCoupon
	hasRevoked
	hasEvent
)

// seen is one user as the places showed them, read in the order of an application's way: the gate first, the
// ledger last. Anybody who moves on meanwhile is then seen at least once.
type seen struct {
	user                              domain.UserID
	gateSlot, pendingSlot, ledgerSlot int32
	at                                place
}

func (s *seen) is(at place) bool { return s.at&at != 0 }

func (s *seen) addWinner(winner domain.GateWinner) {
	s.at |= inGate
	s.gateSlot = slot32(winner.Slot)
}

func (s *seen) addPending(winner domain.Winner) {
	s.at |= inPending
	s.pendingSlot = slot32(winner.Slot)
}

func (s *seen) addRecord(winner domain.Winner, epoch int64) {
	s.at |= inTopic
	if winner.Epoch == epoch {
		s.at |= inTopicNow
	}
}

// addHolder says whether the user has a coupon already. Of several fail events of one user, one with a slot counts.
func (s *seen) addHolder(holder domain.Holder) (twice bool) {
	switch {
	case holder.ByFailEvent:
		if s.is(hasEvent) && s.ledgerSlot >= 1 {
			return false
		}
		s.at |= hasEvent
	case holder.Slot == domain.NoSlot:
		s.at |= hasRevoked
	default:
		twice = s.is(hasCoupon)
		s.at |= hasCoupon
	}
	s.ledgerSlot = slot32(holder.Slot)
	return twice
}

// slot32 keeps what can be a slot; what lies beyond stays recognisable as too high.
func slot32(slot domain.Slot) int32 {
	return int32(min(max(slot, domain.SlotOwed), domain.MaxQuota+1)) //nolint:gosec // bounded just here
}

// judge says what is wrong with a user; an empty kind when an application's way, a revocation, a retry or a rebuild
// explains what was seen. The slot is the one that it concerns.
func (s *seen) judge() (kind domain.AuditKind, slot int32, detail string) {
	switch {
	case !s.is(inGate):
		return s.judgeUnknown()
	case domain.Slot(s.gateSlot) == domain.NoSlot:
		return s.judgeRevoked()
	case s.is(hasRevoked):
		return domain.AuditSlotMismatch, s.gateSlot, "the coupon is revoked, and the gate still says that the user won"
	case s.is(hasCoupon) && s.ledgerSlot != s.gateSlot:
		return domain.AuditSlotMismatch, s.ledgerSlot,
			fmt.Sprintf("the coupon has slot %d, the gate says %s", s.ledgerSlot, slotText(s.gateSlot))
	case s.is(inPending) && s.gateSlot >= 1 && s.pendingSlot != s.gateSlot:
		return domain.AuditSlotMismatch, s.gateSlot,
			fmt.Sprintf("the pending entry names slot %d, the gate says %s", s.pendingSlot, slotText(s.gateSlot))
	case !s.is(inPending | inTopic | hasCoupon | hasEvent):
		return domain.AuditWinnerLost, max(s.gateSlot, 0), "the gate says that the user won, and nothing else knows of it"
	}
	return "", 0, ""
}

func (s *seen) judgeRevoked() (kind domain.AuditKind, slot int32, detail string) {
	switch {
	case s.is(hasCoupon):
		return domain.AuditSlotMismatch, s.ledgerSlot,
			fmt.Sprintf("the gate says that the user was revoked, the coupon with slot %d is good", s.ledgerSlot)
	case s.at == inGate:
		return domain.AuditRevocationLost, 0,
			"the gate says that the user was revoked, and the ledger has no row of it: the gate alone knows"
	}
	return "", 0, ""
}

func (s *seen) judgeUnknown() (kind domain.AuditKind, slot int32, detail string) {
	switch {
	case s.is(hasCoupon):
		return domain.AuditUnknownToGate, s.ledgerSlot, "the gate does not know the user of this coupon"
	case s.is(hasRevoked):
		return domain.AuditUnknownToGate, 0, "the gate does not know the user of this revoked coupon"
	case s.is(hasEvent) && s.ledgerSlot >= 1:
		return domain.AuditUnknownToGate, s.ledgerSlot, "the gate does not know the user of this fail event"
	case s.is(inPending):
		return domain.AuditPendingWithoutWinner, s.pendingSlot, "the gate does not know the user of this pending entry"
	case s.is(inTopicNow):
		return domain.AuditRecordWithoutWinner, 0, "the gate does not know the user of this record"
	}
	return "", 0, ""
}

func slotText(slot int32) string {
	switch domain.Slot(slot) {
	case domain.NoSlot:
		return "revoked"
	case domain.SlotOwed:
		return "that a slot is owed"
	}
	return fmt.Sprintf("slot %d", slot)
}

// difference makes of a judgement what is reported.
func (s *seen) difference(kind domain.AuditKind, slot int32, detail string) domain.AuditDifference {
	difference := domain.AuditDifference{Kind: kind, UserID: s.user, Slot: domain.Slot(max(slot, 0)), Detail: detail}
	for _, p := range []struct {
		at   place
		name string
	}{
		{inGate, domain.PlaceGate}, {inPending, domain.PlacePending}, {inTopic, domain.PlaceTopic},
		{hasCoupon, domain.PlaceCoupon}, {hasRevoked, domain.PlaceRevoked}, {hasEvent, domain.PlaceEvent},
	} {
		if s.is(p.at) {
			difference.Found = append(difference.Found, p.name)
		}
	}
	switch {
	case kind == domain.AuditWinnerLost:
		difference.Missing = []string{domain.PlacePending, domain.PlaceTopic, domain.PlaceCoupon, domain.PlaceEvent}
	case kind == domain.AuditRevocationLost:
		difference.Missing = []string{domain.PlaceRevoked}
	case !s.is(inGate):
		difference.Missing = []string{domain.PlaceGate}
	}
	return difference
}

// judgeSlot says what is wrong with a slot that was handed out once.
func judgeSlot(slot domain.Slot, holders []domain.UserID, free bool) (domain.AuditDifference, bool) {
	difference := domain.AuditDifference{Slot: slot}
	switch {
	case len(holders) > 1:
		difference.Kind, difference.Found = domain.AuditSlotHeldTwice, []string{domain.PlaceGate}
		difference.UserID = holders[1]
		difference.Detail = fmt.Sprintf("in the gate users %s and %s hold this slot", holders[0], holders[1])
	case len(holders) == 1 && free:
		difference.Kind, difference.UserID = domain.AuditSlotFreeAndHeld, holders[0]
		difference.Found = []string{domain.PlaceGate, domain.PlaceFree}
		difference.Detail = "the slot is free, and a user holds it"
	case len(holders) == 0 && !free:
		difference.Kind, difference.Missing = domain.AuditSlotOrphan, []string{domain.PlaceGate, domain.PlaceFree}
		difference.Detail = "the slot was handed out; nobody holds it, and it is not free"
	default:
		return difference, false
	}
	return difference, true
}

// judgeGate compares a gate as a whole with its campaign row.
func judgeGate(campaign domain.Campaign, report domain.GateReport) []domain.AuditDifference {
	var found []domain.AuditDifference
	if report.Closed != "" {
		found = append(found, domain.AuditDifference{
			Kind: domain.AuditGateClosed, Detail: "nobody is admitted: " + report.Closed,
		})
	}
	if report.Epoch != campaign.Epoch {
		found = append(found, domain.AuditDifference{
			Kind:   domain.AuditEpochMismatch,
			Detail: fmt.Sprintf("the gate is at epoch %d, the ledger at %d", report.Epoch, campaign.Epoch),
		})
	}
	if report.Closed == "" && report.Quota != campaign.EffectiveQuota() {
		found = append(found, domain.AuditDifference{
			Kind:   domain.AuditQuotaMismatch,
			Detail: fmt.Sprintf("the gate's quota is %d, the ledger's %d", report.Quota, campaign.EffectiveQuota()),
		})
	}
	return found
}

// isComparable says whether what a gate holds can be compared with the ledger although it is closed. While its keys are
// missing or being written anew there is nothing to learn from them.
func isComparable(report domain.GateReport) bool {
	switch report.Closed {
	case "", domain.ClosedSum, domain.ClosedRunID, domain.ClosedPending:
		return true
	}
	return false
}
