package retryer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"firstcome/domain"
)

// rebuildable are the differences that a rebuild puts right: the ledger wins over the gate, a pending entry or a
// record is kept as the promise that it is, and a slot that nobody holds becomes free.
var rebuildable = []domain.AuditKind{
	domain.AuditGateClosed, domain.AuditEpochMismatch, domain.AuditQuotaMismatch, domain.AuditUnknownToGate,
	domain.AuditSlotMismatch, domain.AuditPendingWithoutWinner, domain.AuditRecordWithoutWinner,
	domain.AuditSlotHeldTwice, domain.AuditSlotOrphan, domain.AuditSlotFreeAndHeld,
}

// neverRepaired are the differences that only a person can decide about, and why.
var neverRepaired = map[domain.AuditKind]string{
	domain.AuditSlotDuplicated: "two people were promised one slot: decide whose coupon is to be revoked",
	domain.AuditUserDuplicated: "the user has two coupons: decide which one is to be revoked",
	domain.AuditSlotOverQuota:  "the coupon was issued: raise the quota, or revoke the coupon",
	domain.AuditRowsOverQuota:  "the coupons were issued: raise the quota, or revoke some of them",
	domain.AuditKeyMissing:     "the tables are changed by `firstcome migrate` only: run it",
	domain.AuditRevocationLost: "whether the user had a coupon, and why it was revoked, is not known any more",
}

// mending is one repair of one campaign.
type mending struct {
	*Retryer
	outcome auditOutcome
	repairs []domain.AuditRepair
	// unlisted counts the steps beyond what is listed.
	unlisted int64
	// unsafe counts what a rebuild would make worse: winners and revocations that only the gate knows of.
	unsafe int64
}

// repair does only what cannot break a promise, in this order:
//
//  1. Give the fail events back whose lease ran out. A crash leaves some of them for the next rescue.
//  2. Put lost winners back into pending, each only if the gate still says the same under the same epoch. It must come
//     before a rebuild, which knows of no winner that only the gate's users name. A crash leaves the rest lost, as found.
//  3. Tell the gate of revocations.
//  4. Rebuild the gate, unless somebody that only the gate knows would be forgotten.
func (r *Retryer) repair(ctx context.Context, outcome auditOutcome) []domain.AuditRepair {
	m := &mending{Retryer: r, outcome: outcome, unsafe: outcome.result.Unchecked}
	m.rescue(ctx)
	for _, difference := range outcome.differences {
		switch {
		case difference.Kind == domain.AuditWinnerLost:
			m.putBack(ctx, difference)
		case neverRepaired[difference.Kind] != "":
			m.note(difference, false, "not repaired: "+neverRepaired[difference.Kind])
		}
		if difference.Kind == domain.AuditRevocationLost {
			m.unsafe++
		}
	}
	m.release(ctx)
	m.rebuild(ctx)
	if m.unlisted > 0 {
		m.repairs = append(m.repairs, domain.AuditRepair{Detail: fmt.Sprintf("and %d more steps", m.unlisted), Done: true})
	}
	return m.repairs
}

// note says what was done. What concerns one user is listed up to the same bound as the differences.
func (m *mending) note(difference domain.AuditDifference, done bool, detail string) {
	if len(m.repairs) >= domain.MaxAuditDifferences {
		m.unlisted++
		return
	}
	m.repairs = append(m.repairs, domain.AuditRepair{
		Kind: difference.Kind, UserID: difference.UserID, Slot: difference.Slot, Done: done, Detail: detail,
	})
}

func (m *mending) noteError(difference domain.AuditDifference, what string, err error) {
	if err != nil {
		m.note(difference, false, what+": "+reasonOf(err))
		return
	}
	m.note(difference, true, what)
}

func (m *mending) rescue(ctx context.Context) {
	if !hasKind(m.outcome.differences, domain.AuditStuckProcessing) {
		return
	}
	rescued, err := m.rescueOnce(ctx)
	m.noteError(domain.AuditDifference{Kind: domain.AuditStuckProcessing},
		fmt.Sprintf("%d fail events without a lease are due again", rescued), err)
}

// putBack makes a lost winner pending again; one who is owed a slot gets the next free one by the gate's own rule.
func (m *mending) putBack(ctx context.Context, lost domain.AuditDifference) {
	campaign := m.outcome.result.Campaign
	if lost.Slot < 1 {
		m.putBackOwed(ctx, lost)
		return
	}
	done, err := m.ports.Audit.Restorer.PutBack(ctx, domain.Winner{
		Campaign: campaign, UserID: lost.UserID, Slot: lost.Slot, Epoch: m.outcome.result.Epoch,
	})
	switch {
	case err != nil || done:
		if err != nil {
			m.unsafe++
		}
		m.noteError(lost, "put back into pending: the record is sent again", err)
	default:
		m.unsafe++
		m.note(lost, false, "not put back: the gate has changed since, or its pending stream is missing")
	}
}

// putBackOwed asks for the slot that a winner is owed. While none is left the winner's record is sent again, as one of an
// epoch that is over: the consumer makes it a fail event, which waits for a slot where an operator sees it. Nothing but the
// gate would know of the promise otherwise.
func (m *mending) putBackOwed(ctx context.Context, lost domain.AuditDifference) {
	campaign := m.outcome.result.Campaign
	what := "given the next slot, as one was owed"
	_, err := domain.Honour(ctx, m.ports.Gate, campaign, lost.UserID)
	if domain.CodeOf(err) == domain.CodeSoldOut {
		what = "no slot is left for the one that is owed: the record is sent again, to wait as a fail event"
		err = m.ports.Publisher.PublishAll(ctx, []domain.Winner{{
			Campaign: campaign, UserID: lost.UserID, Slot: 1, AdmittedAt: m.admittedAt(ctx, lost.UserID), Epoch: m.outcome.result.Epoch - 1,
		}})
	}
	if err != nil {
		m.unsafe++
	}
	m.noteError(lost, what, err)
}

// admittedAt is when the gate admitted the user; a user that it does not know comes last.
func (m *mending) admittedAt(ctx context.Context, user domain.UserID) time.Time {
	known, err := m.ports.Audit.Gate.FindWinners(ctx, m.outcome.result.Campaign, []domain.UserID{user})
	if err != nil || len(known) == 0 {
		return time.Now()
	}
	return known[0].AdmittedAt
}

func (m *mending) release(ctx context.Context) {
	if hasKind(m.outcome.differences, domain.AuditRevocationUnreleased) {
		m.noteError(domain.AuditDifference{Kind: domain.AuditRevocationUnreleased},
			"told the gate of revocations", m.releaseRevoked(ctx, wholeTurn))
	}
}

func (m *mending) rebuild(ctx context.Context) {
	first := slices.IndexFunc(m.outcome.differences, func(d domain.AuditDifference) bool {
		return slices.Contains(rebuildable, d.Kind)
	})
	if first < 0 {
		return
	}
	cause := domain.AuditDifference{Kind: m.outcome.differences[first].Kind}
	if m.impossible() {
		m.note(cause, false, "the gate was not rebuilt: a coupon's slot is beyond what a campaign can have, and the rebuild "+
			"would leave the gate closed; correct that row first")
		return
	}
	if m.unsafe > 0 {
		m.note(cause, false, fmt.Sprintf("the gate was not rebuilt: it would forget %d users that only the gate knows", m.unsafe))
		return
	}
	m.noteError(cause, "rebuilt the gate from the topic and the ledger", m.Rebuild(ctx, m.outcome.result.Campaign))
}

// impossible says that the ledger holds what no rebuild accepts; beginning one would only close the gate.
func (m *mending) impossible() bool {
	return slices.ContainsFunc(m.outcome.differences, func(d domain.AuditDifference) bool {
		return d.Kind == domain.AuditSlotOverQuota && d.Slot > domain.MaxQuota
	})
}
