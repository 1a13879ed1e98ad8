package sqlledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"unicode/utf8"

	"gorm.io/gorm"

	"firstcome/domain"
)

// action is what an operator did. before and after are kept as JSON; nil is NULL.
type action struct {
	actor, name, target string
	before, after       any
}

// recordAction keeps an operator's step in the transaction that carries it out.
func (l *Ledger) recordAction(tx *gorm.DB, done action) error {
	before, err := jsonText(done.before)
	if err != nil {
		return err
	}
	after, err := jsonText(done.after)
	if err != nil {
		return err
	}
	return tx.Create(&actionRow{
		Actor: cutText(done.actor, maxActorBytes), Action: done.name, Target: done.target,
		BeforeValue: before, AfterValue: after, ActedAt: l.now(),
	}).Error
}

func jsonText(value any) (sql.NullString, error) {
	if value == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(value)
	return sql.NullString{String: string(text), Valid: true}, err
}

// RecordAction keeps what changed nothing in the ledger itself.
func (l *Ledger) RecordAction(ctx context.Context, done domain.OperatorAction) error {
	return l.write(ctx, "record_action", func(tx *gorm.DB) error {
		return tx.Create(&actionRow{
			Actor: cutText(done.Actor, maxActorBytes), Action: cutText(done.Action, maxActionBytes),
			Target:      cutText(done.Target, maxTargetBytes),
			BeforeValue: optionalText(done.Before), AfterValue: optionalText(done.After), ActedAt: l.now(),
		}).Error
	})
}

// OperatorActions lists actions, newest first. CodeInvalidRequest: the limit, the cursor, or a text of more than
// maxActorBytes.
func (l *Ledger) OperatorActions(ctx context.Context, filter domain.ActionFilter) ([]domain.OperatorAction, error) {
	if err := checkPage(filter.Limit, filter.BeforeID); err != nil {
		return nil, err
	}
	var rows []actionRow
	err := l.read(ctx, "operator_actions", func(db *gorm.DB) error {
		query, err := actionsOf(db, filter)
		if err != nil {
			return err
		}
		return query.Order("id DESC").Limit(filter.Limit).Find(&rows).Error
	})
	actions := make([]domain.OperatorAction, len(rows))
	for i, row := range rows {
		actions[i] = domain.OperatorAction{
			ID: row.ID, Actor: row.Actor, Action: row.Action, Target: row.Target,
			Before: row.BeforeValue.String, After: row.AfterValue.String, At: row.ActedAt.UTC(),
		}
	}
	return actions, err
}

func actionsOf(db *gorm.DB, filter domain.ActionFilter) (*gorm.DB, error) {
	wanted := map[string]any{}
	for column, value := range map[string]string{"actor": filter.Actor, "action": filter.Action, "target": filter.Target} {
		if len(value) > maxActorBytes || !utf8.ValidString(value) {
			return nil, domain.Invalid(column, "%s must be at most %d bytes of UTF-8", column, maxActorBytes)
		}
		if value != "" {
			wanted[column] = value
		}
	}
	query := db.Where(wanted)
	if filter.BeforeID > 0 {
		query = query.Where("id < ?", filter.BeforeID)
	}
	if holdsTime(filter.From) {
		query = query.Where("acted_at >= ?", storedTime(filter.From))
	}
	if holdsTime(filter.Until) {
		query = query.Where("acted_at < ?", storedTime(filter.Until))
	}
	return query, nil
}

func optionalText(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }
