package sqlledger

import (
	"database/sql"
	"encoding/json"

	"gorm.io/gorm"
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
