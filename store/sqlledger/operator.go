package sqlledger

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/crashpoint"
	"firstcome/domain"
)

var lockingForUpdate = clause.Locking{Strength: lockExclusive}

// eventState is what an operator's action keeps of a fail event before and after.
type eventState struct {
	Status        string     `json:"status"`
	Attempts      int        `json:"attempts"`
	Slot          int64      `json:"slot"`
	NextAttemptAt time.Time  `json:"next_attempt_at"`
	DiscardedAt   *time.Time `json:"discarded_at,omitempty"`
	Reason        string     `json:"discard_reason,omitempty"`
}

func stateOf(row failEventRow) eventState {
	state := eventState{
		Status: row.Status, Attempts: row.Attempts, Slot: row.Slot, NextAttemptAt: row.NextAttemptAt.UTC(),
	}
	if row.DiscardedAt.Valid {
		discarded := row.DiscardedAt.Time.UTC()
		state.DiscardedAt = &discarded
	}
	return state
}

// RetryFailEvent makes a FAIL or DEAD event due now. CodeNotFound. CodeConflict: it is being processed, or resolved.
func (l *Ledger) RetryFailEvent(ctx context.Context, id int64, actor string) (domain.FailEvent, error) {
	step := operatorStep{id: id, actor: actor, name: "retry", outcome: outcomeRetry}
	return l.operate(ctx, step, func(_ *gorm.DB, _ failEventRow, now time.Time) (map[string]any, error) {
		return map[string]any{"status": domain.FailStatusFail, "next_attempt_at": now, "updated_at": now}, nil
	})
}

// DiscardFailEvent gives an event up: DEAD and discarded. If it names a campaign and a user without a row, a revoked
// row is stored in the same transaction, so that a late duplicate can't bring the user back; the sweep then has the
// gate free the event's slot. CodeNotFound. CodeConflict: it is being processed, or resolved, or the database refuses the
// revoked row. CodeInvalidRequest: the reason is empty or too long.
func (l *Ledger) DiscardFailEvent(ctx context.Context, id int64, reason, actor string) (domain.FailEvent, error) {
	if err := domain.CheckDiscardReason(reason); err != nil {
		return domain.FailEvent{}, err
	}
	step := operatorStep{id: id, actor: actor, name: "discard", outcome: outcomeDiscard, reason: reason}
	return l.operate(ctx, step, func(tx *gorm.DB, row failEventRow, now time.Time) (map[string]any, error) {
		if err := storeRevoked(tx, row, now); err != nil {
			return nil, err
		}
		crashpoint.Reach(crashpoint.LedgerRevoked)
		return map[string]any{
			"status": domain.FailStatusDead, "discarded_at": now, "resolved_at": now, "updated_at": now,
		}, nil
	})
}

// operatorStep is what an operator does to one fail event.
type operatorStep struct {
	id                           int64
	actor, name, outcome, reason string
}

// operate locks an event that is neither being processed nor resolved, makes the changes that decide gives, and keeps
// the step in the event's history and among the operators' actions.
func (l *Ledger) operate(
	ctx context.Context, step operatorStep,
	decide func(tx *gorm.DB, row failEventRow, now time.Time) (map[string]any, error),
) (domain.FailEvent, error) {
	var after failEventRow
	err := l.write(ctx, step.name+"_fail_event", func(tx *gorm.DB) error {
		before, err := lockFailEvent(tx, step.id)
		if err != nil {
			return err
		}
		if err := requireIdle(before); err != nil {
			return err
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		changes, err := decide(tx, before, now)
		if err != nil {
			return err
		}
		if err := updateEvent(tx, step.id, changes); err != nil {
			return err
		}
		if after, err = findFailEvent(tx, step.id); err != nil {
			return err
		}
		return l.recordStep(tx, step, before, after)
	})
	if err != nil {
		return domain.FailEvent{}, err
	}
	return after.failEvent(), nil
}

func requireIdle(row failEventRow) error {
	switch {
	case row.ResolvedAt.Valid:
		return domain.Errorf(domain.CodeConflict, "fail event %d is resolved", row.ID)
	case row.Status == string(domain.FailStatusProcessing):
		return domain.Errorf(domain.CodeConflict, "fail event %d is being processed; try again later", row.ID)
	}
	return nil
}

func (l *Ledger) recordStep(tx *gorm.DB, step operatorStep, before, after failEventRow) error {
	now := after.UpdatedAt
	err := insertAttempt(tx, attemptRow{
		FailEventID: step.id, Number: after.Attempts, StartedAt: now, FinishedAt: now,
		Outcome: step.outcome, ErrorMessage: step.reason, Actor: step.actor,
	})
	if err != nil {
		return err
	}
	if after.ResolvedAt.Valid {
		if err := resolveAttempts(tx, step.id, now); err != nil {
			return err
		}
	}
	result := stateOf(after)
	result.Reason = step.reason
	return l.recordAction(tx, action{
		step.actor, step.name, "fail event " + strconv.FormatInt(step.id, 10), stateOf(before), result,
	})
}

// storeRevoked stores a revoked row for the event's user, unless the user has a row. It is due to be released, with
// the slot that the event held. CodeConflict: the database refuses the row; the transaction may go on without it.
func storeRevoked(tx *gorm.DB, event failEventRow, now time.Time) error {
	if event.UserID < 1 {
		return nil
	}
	campaign, err := findCampaign(tx, event.CampaignCode)
	if domain.CodeOf(err) == domain.CodeUnknownCampaign {
		return nil
	}
	if err != nil {
		return err
	}
	admittedAt := event.AdmittedAt.Time
	if !event.AdmittedAt.Valid {
		admittedAt = event.CreatedAt
	}
	err = tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&couponRow{
		CampaignID: campaign.ID, UserID: event.UserID, AdmittedAt: storedTime(admittedAt),
		RevokedAt: sql.NullTime{Time: now, Valid: true}, RevokedSlot: optionalSlot(domain.Slot(event.Slot)),
	}).Error
	if err == nil || classify(err).Code != domain.CodeRowRefused {
		return err
	}
	return domain.Wrap(domain.CodeConflict, err, fmt.Sprintf("fail event %d can't be given up, because the database refuses "+
		"the row that keeps user %d revoked; mend what it refuses, then discard the event again", event.ID, event.UserID))
}
