package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"firstcome/domain"
)

// settlePatience is, while nothing moves, above the longest wait that is by design: a fail event whose retryer was killed
// keeps its lease for 30 s, and a rebuild that was abandoned is taken over after 15 s or some multiple of it.
var settlePatience = patienceOf{standstill: 150 * time.Second, whole: 10 * time.Minute}

// repairEvery is how long the system has to settle after a repair, before the next one.
const repairEvery = 20 * time.Second

// settle waits until nothing is on its way, while nobody applies, then audits, and writes down that moment. What
// Kafka has lost only `audit --repair` brings back, so that comes first where Kafka has lost something.
func (w *world) settle(ctx context.Context) error {
	w.timeline.add("settle")
	if w.kafkaLost {
		if err := w.settleWithRepair(ctx); err != nil {
			return err
		}
		w.kafkaLost = false
	} else if err := whileItMoves(ctx, settlePatience, "everything has settled", w.atRest); err != nil {
		w.repair(ctx) //nolint:errcheck // it says in the timeline what was wrong
		return err
	}
	if err := w.auditIsClean(ctx); err != nil {
		return err
	}
	w.record.change(func(r *record) { r.settled = append(r.settled, w.timeline.now()) })
	w.timeline.add("settled")
	return w.mark(ctx)
}

// settleWithRepair repairs again and again until nothing is on its way.
func (w *world) settleWithRepair(ctx context.Context) error {
	return whileItMoves(ctx, settlePatience, "everything has settled", func(ctx context.Context) error {
		if err := w.repair(ctx); err != nil {
			w.timeline.add("audit --repair: %v", err)
		}
		return eventually(ctx, repairEvery, "everything has settled", w.atRest)
	})
}

// atRest says what is still on its way.
func (w *world) atRest(ctx context.Context) error {
	for _, p := range w.processes {
		if !p.alive(ctx) {
			return fmt.Errorf("%s does not answer", p.name)
		}
	}
	view, err := w.operator.campaign(ctx)
	if err != nil {
		return err
	}
	if err := view.gateAtRest(); err != nil {
		return err
	}
	if lag, err := w.operator.lag(ctx); err != nil || lag != 0 {
		return errors.Join(err, fmt.Errorf("%d records are not consumed", lag))
	}
	waiting, err := w.nothingFails(ctx, view)
	if err != nil {
		return err
	}
	if !view.Settled && waiting == 0 {
		return errors.New("the campaign is not settled")
	}
	return nil
}

// gateAtRest says what keeps the gate from being at rest: open, as the campaign says, and with nothing pending.
func (v campaignView) gateAtRest() error {
	if err := v.gateFollows(); err != nil || v.Gate.PendingEntries == 0 {
		return err
	}
	return fmt.Errorf("%d entries are pending", v.Gate.PendingEntries)
}

// gateFollows says why the gate is not open, or not as the campaign says.
func (v campaignView) gateFollows() error {
	switch {
	case v.Gate == nil || v.Gate.Closed != "":
		return errors.New("the gate is closed")
	case v.Gate.Quota != cmp.Or(v.WantedQuota, v.Quota) || v.Gate.State != v.State || v.wishFits():
		return fmt.Errorf("the gate does not follow the campaign yet: %+v", v)
	}
	return nil
}

// wishFits says whether a lower quota is about to be granted.
func (v campaignView) wishFits() bool {
	return v.WantedQuota != 0 && v.Gate.Count-v.Gate.Free <= v.WantedQuota
}

// mayWait says why users may not wait for a slot any more. While none is left they do, and as long as it takes: what
// settles that is an operator who raises the quota or revokes a coupon.
func (v campaignView) mayWait(users int64) error {
	if users == 0 {
		return nil
	}
	if left := v.Gate.Quota - (v.Gate.Count - v.Gate.Free); left > 0 {
		return fmt.Errorf("%d users wait for a slot, and %d are left", users, left)
	}
	if users > v.Gate.Owed {
		return fmt.Errorf("%d users wait for a slot, and the gate knows of %d", users, v.Gate.Owed)
	}
	return nil
}

// nothingFails asks the database for fail events that are being worked on, and revocations that Redis was not told of. It
// gives how many users wait for a slot, as they may.
func (w *world) nothingFails(ctx context.Context, view campaignView) (waiting int64, err error) {
	const waits = "status = 'FAIL' AND reason = 'NO_SLOT_LEFT'"
	for what, text := range map[string]string{
		"fail events are neither resolved nor dead": "SELECT COUNT(*) FROM fail_event WHERE status IN ('FAIL', 'PROCESSING') AND NOT (" + waits + ")",
		"revocations are not released":              "SELECT COUNT(*) FROM coupon WHERE revoked_at IS NOT NULL AND released_at IS NULL",
	} {
		count, err := w.count(ctx, text)
		if err == nil && count > 0 {
			err = fmt.Errorf("%d %s", count, what)
		}
		if err != nil {
			return 0, err
		}
	}
	waiting, err = w.count(ctx, "SELECT COUNT(DISTINCT user_id) FROM fail_event WHERE "+waits)
	return waiting, errors.Join(err, view.mayWait(waiting))
}

func (w *world) count(ctx context.Context, text string) (count int64, err error) {
	err = w.database.QueryRowContext(ctx, text).Scan(&count)
	return count, err
}

// audit runs `firstcome audit`, which says the same by its exit code as in its answer.
func (w *world) audit(ctx context.Context, arguments ...string) (domain.AuditResult, error) {
	output, failed := w.firstcome(ctx, slices.Concat([]string{"audit", "--json"}, arguments, []string{campaignCode})...)
	var results []domain.AuditResult
	if err := json.Unmarshal(output, &results); err != nil || len(results) != 1 {
		return domain.AuditResult{}, fmt.Errorf("audit: %w: %s", errors.Join(failed, err), output)
	}
	result := results[0]
	if clean := result.Clean(); clean != (failed == nil) {
		return result, fmt.Errorf("audit: clean is %v, and the exit code says: %v", clean, failed) //nolint:errorlint // told, not wrapped: it may be nil
	}
	if result.Error != "" {
		return result, errors.New("audit: " + result.Error)
	}
	return result, nil
}

func (w *world) auditIsClean(ctx context.Context) error {
	result, err := w.audit(ctx)
	if err != nil {
		return err
	}
	if !result.Clean() {
		return fmt.Errorf("the audit finds %d differences: %+v", result.DifferencesTotal, result.Differences[:min(len(result.Differences), 5)])
	}
	return nil
}

// mendable are the differences that a system which is just recovering may show, and that Kafka's loss makes: only they
// may be repaired. Everything else is a promise that was broken, even if it can be mended.
var mendable = []domain.AuditKind{
	domain.AuditWinnerLost, domain.AuditGateClosed, domain.AuditEpochMismatch, domain.AuditQuotaMismatch,
	domain.AuditRevocationUnreleased, domain.AuditStuckProcessing,
}

// repair counts what it repaired.
func (w *world) repair(ctx context.Context) error {
	result, err := w.audit(ctx, "--repair")
	kinds := map[string]int{}
	for _, repair := range result.Repairs {
		kinds[fmt.Sprintf("%s done=%v", repair.Kind, repair.Done)]++
		if repair.Done {
			w.repairs[string(repair.Kind)]++
		}
		if !slices.Contains(mendable, repair.Kind) {
			w.problem("the audit repaired what nothing should have broken: %+v", repair)
		}
	}
	w.timeline.add("audit --repair: %d differences are left; repairs: %v", result.DifferencesTotal, kinds)
	return err
}
