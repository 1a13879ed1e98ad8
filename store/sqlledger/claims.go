package sqlledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// Outcomes of an attempt that are not a status of the event.
const (
	outcomeExpired = "EXPIRED"
	outcomeRetry   = "RETRY"
	outcomeDiscard = "DISCARD"
)

// actorRetryer stands for the program in the history of an event.
const actorRetryer = "retryer"

// ClaimFailEvents takes up to limit due FAIL events to PROCESSING, in one short transaction:
//
//  1. Read the IDs of due events, without a lock: in turns by campaign if more are due than limit (turns.go).
//  2. Take those that are still due by a conditional update, which writes this call's own token into them.
//  3. Read back what carries the token: that, and nothing else, is this caller's. Events that were made due at once
//     because slots are there again come in the order of their users' admission, those of several campaigns in turns.
//
// The token is from a cryptographic source, so it is never that of another claim.
//
// An event that is due later than longestWait from now counts as due: no attempt plans that far ahead, so the clock was set
// back since.
func (l *Ledger) ClaimFailEvents(
	ctx context.Context, limit int, lease, longestWait time.Duration,
) ([]domain.FailEvent, error) {
	if err := checkPage(limit, 0); err != nil {
		return nil, err
	}
	if lease <= 0 || longestWait <= 0 {
		return nil, domain.Invalid("lease", "a lease and a wait must last")
	}
	var rows []failEventRow
	err := l.write(ctx, "claim_fail_events", func(tx *gorm.DB) error {
		rows = nil
		token := rand.Text()
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		at := moment{now, longestWait}
		ids, err := l.dueIDs(tx, at, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		err = at.due(tx.Model(&failEventRow{})).Where("id IN ?", ids).Updates(map[string]any{
			"status": domain.FailStatusProcessing, "lease_token": token, "lease_until": now.Add(lease), "updated_at": now,
		}).Error
		if err != nil {
			return err
		}
		return tx.Where("id IN ? AND lease_token = ?", ids, token).Order("next_attempt_at, admitted_at, id").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	return failEventsOf(inTurns(rows)), nil
}

// RescueFailEvents takes up to limit PROCESSING events whose lease ran out back to FAIL, or to DEAD when that was the
// maxAttempts-th attempt, and keeps the attempt as expired. It says how many. An event without a lease, which no claim
// leaves behind, is taken for one whose lease ran out: else nobody would ever touch it again. So is one whose lease ends
// more than leaseFactor times longestLease from now: the clock was set back since.
func (l *Ledger) RescueFailEvents(
	ctx context.Context, limit, maxAttempts int, longestLease time.Duration,
) (int, error) {
	if err := checkPage(limit, 0); err != nil {
		return 0, err
	}
	if longestLease <= 0 {
		return 0, domain.Invalid("lease", "a lease must last")
	}
	rescued := 0
	err := l.write(ctx, "rescue_fail_events", func(tx *gorm.DB) error {
		rescued = 0
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		var rows []failEventRow
		err = tx.Where("status = ? AND (lease_until IS NULL OR lease_until < ? OR lease_until > ?)",
			domain.FailStatusProcessing, now, now.Add(leaseFactor*longestLease)).
			Order("lease_until, id").Limit(limit).Find(&rows).Error
		if err != nil {
			return err
		}
		for _, row := range rows {
			taken, err := rescueOne(tx, row, maxAttempts, now)
			if err != nil {
				return err
			}
			rescued += taken
		}
		return nil
	})
	return rescued, err
}

// rescueOne gives 0 when the event was ended or taken over since it was read. The update always changes the status, so
// the number of changed rows tells that on every database.
func rescueOne(tx *gorm.DB, row failEventRow, maxAttempts int, now time.Time) (int, error) {
	status := domain.FailStatusFail
	if row.Attempts+1 >= maxAttempts {
		status = domain.FailStatusDead
	}
	updated := tx.Model(&failEventRow{}).
		Where("id = ? AND status = ? AND lease_token = ?", row.ID, domain.FailStatusProcessing, row.LeaseToken).
		Updates(map[string]any{
			"status": status, "attempts": row.Attempts + 1, "next_attempt_at": now,
			"lease_token": "", "lease_until": nil, "updated_at": now,
		})
	if updated.Error != nil || updated.RowsAffected == 0 {
		return 0, updated.Error
	}
	return 1, insertAttempt(tx, attemptRow{
		FailEventID: row.ID, Number: row.Attempts + 1, StartedAt: row.UpdatedAt, FinishedAt: now,
		Outcome: outcomeExpired, ErrorMessage: "the lease ran out before the attempt ended", Actor: actorRetryer,
	})
}

// PurgeAttempts deletes up to limit attempts of events that were resolved longer ago than that, and says how many. The
// events stay.
func (l *Ledger) PurgeAttempts(ctx context.Context, longerAgo time.Duration, limit int) (int, error) {
	if err := checkPage(limit, 0); err != nil {
		return 0, err
	}
	purged := 0
	err := l.write(ctx, "purge_attempts", func(tx *gorm.DB) error {
		purged = 0
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		var ids []int64
		err = tx.Model(&attemptRow{}).Where("resolved_at < ?", now.Add(-longerAgo)).
			Order("resolved_at, id").Limit(limit).Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		deleted := tx.Where("id IN ?", ids).Delete(&attemptRow{})
		purged = int(deleted.RowsAffected)
		return deleted.Error
	})
	return purged, err
}

// StoreClaimed stores the winner's coupon and marks the event SUCCESS in one short transaction, under the same epoch
// rule as StoreCoupons. When the outcome leaves the user without a row nothing is changed, and the event is still
// claimed. CodeLeaseLost, CodeRowRefused: nothing is changed.
func (l *Ledger) StoreClaimed(
	ctx context.Context, event domain.FailEvent, winner domain.Winner,
) (domain.StoreResult, error) {
	var result domain.StoreResult
	care := caution(0)
	err := l.write(ctx, "store_claimed", func(tx *gorm.DB) error {
		result = domain.StoreResult{Outcome: domain.UnknownCampaign}
		campaign, exists, err := holdCampaign(tx, winner.Campaign, care.lock())
		if err != nil {
			return err
		}
		row, err := lockClaimed(tx, event)
		if err != nil || !exists {
			return err
		}
		results, err := l.storeRows(tx, campaign, []domain.Winner{winner}, care)
		care++
		if err != nil {
			return err
		}
		if result = results[0]; !leavesRow(result.Outcome) {
			return nil
		}
		crashpoint.Reach(crashpoint.LedgerClaimedInserted)
		return l.succeed(tx, row)
	})
	if err != nil {
		return domain.StoreResult{}, l.whoseFault(ctx, err)
	}
	return result, nil
}

// succeed ends a claimed event: SUCCESS, and its attempts may be purged from now on.
func (l *Ledger) succeed(tx *gorm.DB, row failEventRow) error {
	now, err := l.now(tx)
	if err != nil {
		return err
	}
	err = updateEvent(tx, row.ID, map[string]any{
		"status": domain.FailStatusSuccess, "attempts": row.Attempts + 1,
		"lease_token": "", "lease_until": nil, "resolved_at": now, "updated_at": now,
	})
	if err != nil {
		return err
	}
	err = insertAttempt(tx, attemptRow{
		FailEventID: row.ID, Number: row.Attempts + 1, StartedAt: row.UpdatedAt, FinishedAt: now,
		Outcome: string(domain.FailStatusSuccess), Actor: actorRetryer,
	})
	if err != nil {
		return err
	}
	return resolveAttempts(tx, row.ID, now)
}

// FailClaimed ends the attempt: back to FAIL, or DEAD. A new slot is noted only under its own epoch, read under a
// shared lock; when the gate was rebuilt meanwhile, the event keeps what it holds, because that is what the rebuild
// saw, and noted is false. CodeLeaseLost: nothing is changed.
func (l *Ledger) FailClaimed(ctx context.Context, event domain.FailEvent, failure domain.Failure) (noted bool, err error) {
	err = l.write(ctx, "fail_claimed", func(tx *gorm.DB) error {
		changes, err := heldAfter(tx, event.Campaign, failure)
		if err != nil {
			return err
		}
		row, err := lockClaimed(tx, event)
		if err != nil {
			return err
		}
		noted = failure.Slot >= 1 && len(changes) > 0
		return l.fail(tx, row, failure, changes)
	})
	return noted && err == nil, err
}

// heldAfter says which slot the event holds from now on, as columns to change; none when it keeps what it holds.
func heldAfter(tx *gorm.DB, campaign string, failure domain.Failure) (map[string]any, error) {
	slot := max(int64(failure.Slot), int64(domain.NoSlot))
	if slot > 0 {
		err := requireEpoch(tx, campaign, failure.Epoch)
		if domain.CodeOf(err) == domain.CodeEpochChanged {
			return map[string]any{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"slot": slot, "epoch": failure.Epoch}, nil
}

func (l *Ledger) fail(tx *gorm.DB, row failEventRow, failure domain.Failure, changes map[string]any) error {
	now, err := l.now(tx)
	if err != nil {
		return err
	}
	status := domain.FailStatusFail
	if failure.Dead {
		status = domain.FailStatusDead
	}
	changes["status"], changes["updated_at"] = status, now
	changes["lease_token"], changes["lease_until"] = "", nil
	if failure.Reason != "" {
		changes["reason"] = cutText(string(failure.Reason), maxReasonBytes)
	}
	changes["error_message"] = cutText(failure.Message, domain.MaxErrorMessageBytes)
	changes["next_attempt_at"] = now.Add(failure.NextAttemptIn.Truncate(time.Microsecond))
	if failure.Uncounted {
		return updateEvent(tx, row.ID, changes)
	}
	changes["attempts"] = row.Attempts + 1
	if err := updateEvent(tx, row.ID, changes); err != nil {
		return err
	}
	return insertAttempt(tx, attemptRow{
		FailEventID: row.ID, Number: row.Attempts + 1, StartedAt: row.UpdatedAt, FinishedAt: now,
		Outcome: string(status), ErrorMessage: failure.Message, Actor: actorRetryer,
	})
}

// lockClaimed locks a fail event that must still carry the caller's lease. CodeLeaseLost. A lease that ran out but was
// not rescued yet still stands: nobody else works on the event.
func lockClaimed(tx *gorm.DB, event domain.FailEvent) (failEventRow, error) {
	row, err := lockFailEvent(tx, event.ID)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return row, domain.Wrap(domain.CodeLeaseLost, err, "the fail event is gone")
	}
	if err != nil {
		return row, err
	}
	if row.Status != string(domain.FailStatusProcessing) || row.LeaseToken != event.LeaseToken || event.LeaseToken == "" {
		return row, domain.Errorf(domain.CodeLeaseLost, "the lease of fail event %d is no longer this one's", event.ID)
	}
	return row, nil
}

func lockFailEvent(tx *gorm.DB, id int64) (failEventRow, error) {
	return findFailEvent(tx.Clauses(lockingForUpdate), id)
}

func updateEvent(tx *gorm.DB, id int64, changes map[string]any) error {
	return tx.Model(&failEventRow{}).Where("id = ?", id).Updates(changes).Error
}

func insertAttempt(tx *gorm.DB, attempt attemptRow) error {
	attempt.ErrorMessage = cutText(attempt.ErrorMessage, domain.MaxErrorMessageBytes)
	attempt.Actor = cutText(attempt.Actor, maxActorBytes)
	return tx.Create(&attempt).Error
}

// resolveAttempts lets the attempts of an event be purged once the moment is long enough ago.
func resolveAttempts(tx *gorm.DB, eventID int64, now time.Time) error {
	return tx.Model(&attemptRow{}).Where("fail_event_id = ?", eventID).
		Update("resolved_at", sql.NullTime{Time: now, Valid: true}).Error
}
