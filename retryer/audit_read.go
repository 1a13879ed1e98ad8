package retryer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"firstcome/domain"
)

const (
	// auditLooks is how often an audit looks again at what seemed wrong; only what is wrong each time is reported.
	auditLooks = 3
	// auditStarts is how often it begins anew because the gate was rebuilt, closed or opened meanwhile.
	auditStarts = 3
	// openWaits is how many times AuditWait it waits for a gate that is closed or being brought in line.
	openWaits = 5
	// stuckLeases is after how many leases without a rescue a fail event is stuck.
	stuckLeases = 2
	// unreleasedAfter is how long after a revocation the gate must have been told.
	unreleasedAfter = time.Minute
)

// errGateMoved says that what was read is of two states of the gate.
var errGateMoved = errors.New("the gate was rebuilt, closed or opened during each reading; audit again")

// audit is one reading of one campaign.
type audit struct {
	*Retryer
	campaign domain.Campaign
	report   domain.GateReport
	seen     *comparison
	// unreleased are the users of whose revocation the gate was not told yet; manyUnreleased says that
	// there are more than were read.
	unreleased     map[domain.UserID]bool
	manyUnreleased bool
}

// suspects are what has to be looked at again, and what the last look found wrong with them.
type suspects struct {
	users []domain.UserID
	slots map[domain.Slot]bool
	gate  []domain.AuditDifference
	found []domain.AuditDifference
}

func (s suspects) none() bool { return len(s.users) == 0 && len(s.slots) == 0 && len(s.gate) == 0 }

// auditOnce reads everything once, and looks again at what seems wrong, so that a sale, a retry, a revocation or a
// change of the quota that is under way is not taken for a loss. errGateMoved: begin anew.
func (r *Retryer) auditOnce(ctx context.Context, code string) (auditOutcome, error) {
	a := &audit{Retryer: r}
	if err := a.begin(ctx, code); err != nil {
		return auditOutcome{}, err
	}
	if err := a.readAll(ctx); err != nil {
		return auditOutcome{}, err
	}
	doubtful := suspects{
		users: a.seen.suspectUsers(), slots: a.seen.suspectSlots, gate: judgeGate(a.campaign, a.report),
	}
	for range auditLooks {
		if doubtful.none() {
			break
		}
		if err := wait(ctx, a.cfg.AuditWait); err != nil {
			return auditOutcome{}, err
		}
		var err error
		if doubtful, err = a.lookAgain(ctx, doubtful); err != nil {
			return auditOutcome{}, err
		}
	}
	return a.conclude(ctx, doubtful)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin waits a little for the gate to be open and in line with its row: most often another retryer is at it.
func (a *audit) begin(ctx context.Context, code string) error {
	for tried := 0; ; tried++ {
		var err error
		if a.campaign, a.report, err = a.readHeads(ctx, code); err != nil {
			return err
		}
		if tried == openWaits || len(judgeGate(a.campaign, a.report)) == 0 {
			break
		}
		if err := wait(ctx, a.cfg.AuditWait); err != nil {
			return err
		}
	}
	a.seen = newComparison(a.campaign, a.report)
	return nil
}

func (a *audit) readHeads(ctx context.Context, code string) (domain.Campaign, domain.GateReport, error) {
	campaign, err := a.ports.Campaigns.Campaign(ctx, code)
	if err != nil {
		return campaign, domain.GateReport{}, err
	}
	report, err := a.ports.GateReader.Inspect(ctx, code)
	return campaign, report, err
}

// readAll reads the places in the order of an application's way, the ledger last.
func (a *audit) readAll(ctx context.Context) error {
	code, lister := a.campaign.Code, a.ports.Audit.Gate
	if isComparable(a.report) {
		err := lister.VisitFree(ctx, code, func(slot domain.Slot) error { a.seen.addFree(slot); return nil })
		if err != nil {
			return err
		}
		err = lister.VisitWinners(ctx, code, func(winner domain.GateWinner) error { a.seen.addWinner(winner); return nil })
		if err != nil {
			return err
		}
		a.seen.sortWinners()
	}
	if err := visitPending(ctx, a.ports.Pending, code, a.seen.addPending); err != nil {
		return err
	}
	if _, err := visitTail(ctx, a.ports.Tail, tailPart{campaign: code}, a.seen.addRecord); err != nil {
		return err
	}
	err := a.ports.LedgerRebuild.VisitHolders(ctx, a.campaign, func(holder domain.Holder) error { a.seen.addHolder(holder); return nil })
	if domain.CodeOf(err) == domain.CodeOvertaken {
		return errGateMoved
	}
	if err != nil {
		return err
	}
	a.seen.noteDuplicates()
	if !isComparable(a.report) {
		a.seen.forgetUsers()
	}
	_, err = a.unmoved(ctx)
	return err
}

// unmoved gives the campaign as it is now. errGateMoved: the gate is not the one that was read at the beginning.
func (a *audit) unmoved(ctx context.Context) (domain.GateReport, error) {
	campaign, report, err := a.readHeads(ctx, a.campaign.Code)
	if err != nil {
		return report, err
	}
	if campaign.Epoch != a.campaign.Epoch || report.Epoch != a.report.Epoch || report.Closed != a.report.Closed {
		return report, errGateMoved
	}
	a.campaign = campaign
	return report, nil
}

// lookAgain looks at the suspects only, in the same order, and gives those that still seem wrong.
func (a *audit) lookAgain(ctx context.Context, before suspects) (suspects, error) {
	after := suspects{slots: map[domain.Slot]bool{}}
	users, err := a.lookAtUsers(ctx, before.users)
	if err != nil {
		return after, err
	}
	for _, user := range before.users {
		if difference, wrong := a.seen.judge(users[user]); wrong && !a.beingRevoked(users[user]) {
			after.users = append(after.users, user)
			after.found = append(after.found, difference)
		}
	}
	slots, err := a.lookAtSlots(ctx, before.slots)
	if err != nil {
		return after, err
	}
	for _, difference := range slots {
		after.slots[difference.Slot] = true
		after.found = append(after.found, difference)
	}
	report, err := a.unmoved(ctx)
	for _, difference := range judgeGate(a.campaign, report) {
		if hasKind(before.gate, difference.Kind) {
			after.gate = append(after.gate, difference)
		}
	}
	return after, err
}

func hasKind(differences []domain.AuditDifference, kind domain.AuditKind) bool {
	return slices.ContainsFunc(differences, func(d domain.AuditDifference) bool { return d.Kind == kind })
}

func (a *audit) lookAtUsers(ctx context.Context, users []domain.UserID) (map[domain.UserID]*seen, error) {
	places := make(map[domain.UserID]*seen, len(users))
	if len(users) == 0 {
		return places, nil
	}
	for _, user := range users {
		places[user] = &seen{user: user}
	}
	code := a.campaign.Code
	winners, err := a.ports.Audit.Gate.FindWinners(ctx, code, users)
	if err != nil {
		return nil, err
	}
	for _, winner := range winners {
		places[winner.UserID].addWinner(winner)
	}
	err = visitPending(ctx, a.ports.Pending, code, func(winner domain.Winner) {
		if s := places[winner.UserID]; s != nil {
			s.addPending(winner)
		}
	})
	if err != nil {
		return nil, err
	}
	_, err = visitTail(ctx, a.ports.Tail, tailPart{campaign: code}, func(winner domain.Winner) {
		if s := places[winner.UserID]; s != nil {
			s.addRecord(winner, a.campaign.Epoch)
		}
	})
	if err != nil {
		return nil, err
	}
	holders, err := a.ports.Audit.Ledger.FindHolders(ctx, code, users)
	if err != nil {
		return nil, err
	}
	for _, holder := range holders {
		places[holder.UserID].addHolder(holder)
	}
	return places, a.readUnreleased(ctx)
}

func (a *audit) readUnreleased(ctx context.Context) error {
	coupons, err := a.ports.Revocations.UnreleasedCoupons(ctx, domain.MaxPage)
	a.unreleased, a.manyUnreleased = map[domain.UserID]bool{}, len(coupons) == domain.MaxPage
	for _, coupon := range coupons {
		if coupon.Campaign == a.campaign.Code {
			a.unreleased[coupon.UserID] = true
		}
	}
	return err
}

// beingRevoked says that the gate need not know of the user's revocation yet. One that takes too long is a difference
// of its own.
func (a *audit) beingRevoked(s *seen) bool {
	return s.is(hasRevoked) && (a.unreleased[s.user] || a.manyUnreleased)
}

// lookAtSlots first finds the holders and then asks whether the slot is free: a slot that changes hands meanwhile seems
// wrong only if it does so during each look.
func (a *audit) lookAtSlots(ctx context.Context, slots map[domain.Slot]bool) ([]domain.AuditDifference, error) {
	if len(slots) == 0 {
		return nil, nil
	}
	holders, free := map[domain.Slot][]domain.UserID{}, map[domain.Slot]bool{}
	err := a.ports.Audit.Gate.VisitWinners(ctx, a.campaign.Code, func(winner domain.GateWinner) error {
		if known := holders[winner.Slot]; slots[winner.Slot] && len(known) < 2 && !slices.Contains(known, winner.UserID) {
			holders[winner.Slot] = append(known, winner.UserID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = a.ports.Audit.Gate.VisitFree(ctx, a.campaign.Code, func(slot domain.Slot) error {
		free[slot] = slots[slot]
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []domain.AuditDifference
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		if difference, wrong := judgeSlot(slot, holders[slot], free[slot]); wrong {
			found = append(found, difference)
		}
	}
	return found, nil
}

// conclude adds what needs no second look, and counts.
func (a *audit) conclude(ctx context.Context, left suspects) (auditOutcome, error) {
	events, err := a.ports.Audit.Ledger.CountUnresolved(ctx, a.campaign.Code)
	if err != nil {
		return auditOutcome{}, err
	}
	found := slices.Concat(left.gate, a.rowsOverQuota(), a.seen.certain, left.found)
	others, err := a.overdue(ctx)
	if err != nil {
		return auditOutcome{}, err
	}
	keys, err := a.missingKeys(ctx)
	if err != nil {
		return auditOutcome{}, err
	}
	found = slices.Concat(keys, found, others)
	counts := a.seen.counts
	counts.Fail, counts.Processing = events[domain.FailStatusFail], events[domain.FailStatusProcessing]
	counts.Dead = events[domain.FailStatusDead]
	counts.WithoutSlot = domain.GateReport{
		Quota: a.campaign.EffectiveQuota(), Count: counts.Admitted - counts.Owed, Owed: counts.Owed,
	}.WithoutSlot()
	return auditOutcome{
		differences: found,
		result: domain.AuditResult{
			Campaign: a.campaign.Code, Epoch: a.campaign.Epoch, Quota: a.campaign.Quota, Counts: counts,
			Settled: counts.Pending == 0 && counts.InTopic == 0 && counts.Fail == 0 && counts.Processing == 0 &&
				!hasKind(found, domain.AuditWinnerLost),
			Differences: append([]domain.AuditDifference{}, found[:min(len(found), domain.MaxAuditDifferences)]...),
			Unchecked:   a.seen.dropped, DifferencesTotal: int64(len(found)) + a.seen.dropped,
		},
	}, nil
}

// rowsOverQuota compares with the quota as it is now: it may have been raised since the reading began.
func (a *audit) rowsOverQuota() []domain.AuditDifference {
	var found []domain.AuditDifference
	if a.seen.counts.Issued > a.campaign.Quota {
		found = append(found, domain.AuditDifference{
			Kind:   domain.AuditRowsOverQuota,
			Detail: fmt.Sprintf("there are %d coupons, and the quota is %d", a.seen.counts.Issued, a.campaign.Quota),
		})
	}
	for _, row := range a.seen.overQuota {
		if int64(row.Slot) > a.campaign.HighestSlot() || row.Slot < 1 {
			found = append(found, row)
		}
	}
	return found
}

// missingKeys gives what lets the ledger hold what it must not: first, since all else may follow from it.
func (a *audit) missingKeys(ctx context.Context) ([]domain.AuditDifference, error) {
	missing, err := a.ports.Audit.Ledger.MissingKeys(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]domain.AuditDifference, len(missing))
	for i, detail := range missing {
		found[i] = domain.AuditDifference{Kind: domain.AuditKeyMissing, Detail: detail}
	}
	return found, nil
}

// overdue gives what should have moved on long ago.
func (a *audit) overdue(ctx context.Context) ([]domain.AuditDifference, error) {
	var found []domain.AuditDifference
	stuck, err := a.ports.Audit.Ledger.StuckFailEvents(ctx, a.campaign.Code, stuckLeases*a.cfg.Lease, domain.MaxPage)
	if err != nil {
		return nil, err
	}
	for _, event := range stuck {
		found = append(found, domain.AuditDifference{
			Kind: domain.AuditStuckProcessing, UserID: event.UserID, Slot: event.Slot, Found: []string{domain.PlaceEvent},
			Detail: fmt.Sprintf("fail event %d is PROCESSING, and nobody has its lease any more", event.ID),
		})
	}
	untold, err := a.ports.Audit.Ledger.UntoldRevocations(ctx, a.campaign.Code, unreleasedAfter, domain.MaxPage)
	if err != nil {
		return nil, err
	}
	for _, coupon := range untold {
		found = append(found, domain.AuditDifference{
			Kind: domain.AuditRevocationUnreleased, UserID: coupon.UserID, Found: []string{domain.PlaceRevoked},
			Missing: []string{domain.PlaceGate},
			Detail:  "the coupon was revoked at " + coupon.RevokedAt.Format(time.RFC3339) + ", and the gate was not told yet",
		})
	}
	return found, nil
}
