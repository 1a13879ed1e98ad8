package sqlledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"firstcome/domain"
)

// action is what an operator did. before and after are kept as JSON; nil is NULL.
type action struct {
	actor, name, target string
	before, after       any
}

// campaignState is what is kept of a campaign, under the names of the API.
type campaignState struct {
	Code        string               `json:"code"`
	Name        string               `json:"name"`
	Quota       int64                `json:"quota"`
	WantedQuota int64                `json:"wanted_quota,omitempty"`
	StartsAt    time.Time            `json:"starts_at"`
	EndsAt      time.Time            `json:"ends_at"`
	State       domain.CampaignState `json:"state"`
	Epoch       int64                `json:"epoch"`
	// SettingsVersion tells which of two states of the history is the newer one.
	SettingsVersion int64     `json:"settings_version"`
	UpdatedAt       time.Time `json:"updated_at"`
}

func campaignStateOf(c domain.Campaign) campaignState {
	return campaignState{
		Code: c.Code, Name: c.Name, Quota: c.Quota, WantedQuota: c.WantedQuota, StartsAt: c.StartsAt, EndsAt: c.EndsAt,
		State: c.State, Epoch: c.Epoch, SettingsVersion: c.SettingsVersion, UpdatedAt: c.UpdatedAt,
	}
}

// filterState is what is kept of a filter of fail events, under the names of the API.
type filterState struct {
	Status   domain.FailStatus `json:"status,omitempty"`
	Reason   domain.FailReason `json:"reason,omitempty"`
	Campaign string            `json:"campaign,omitempty"`
	UserID   keptUserID        `json:"user_id,omitzero"`
	From     time.Time         `json:"from,omitzero"`
	Until    time.Time         `json:"until,omitzero"`
	Text     string            `json:"text,omitempty"`
}

func filterStateOf(f domain.FailEventFilter) filterState {
	return filterState{
		Status: f.Status, Reason: f.Reason, Campaign: f.Campaign, UserID: keptUserID(f.UserID), From: f.From, Until: f.Until, Text: f.Text,
	}
}

func (f filterState) filter() domain.FailEventFilter {
	return domain.FailEventFilter{
		Status: f.Status, Reason: f.Reason, Campaign: f.Campaign, UserID: domain.UserID(f.UserID), From: f.From, Until: f.Until, Text: f.Text,
	}
}

// keptUserID is kept as text; older versions kept a number.
type keptUserID domain.UserID

// MarshalText gives the digits.
func (u keptUserID) MarshalText() ([]byte, error) { return []byte(domain.UserID(u).String()), nil }

// UnmarshalJSON takes digits with or without quotes.
func (u *keptUserID) UnmarshalJSON(raw []byte) error {
	value, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	*u = keptUserID(value)
	return err
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
	now, err := l.now(tx)
	if err != nil {
		return err
	}
	return tx.Create(&actionRow{
		Actor: cutText(done.actor, maxActorBytes), Action: done.name, Target: done.target,
		BeforeValue: before, AfterValue: after, ActedAt: now,
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
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		return tx.Create(&actionRow{
			Actor: cutText(done.Actor, maxActorBytes), Action: cutText(done.Action, maxActionBytes),
			Target:      cutText(done.Target, maxTargetBytes),
			BeforeValue: optionalText(done.Before), AfterValue: optionalText(done.After), ActedAt: now,
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
	query := db
	for _, one := range []struct{ column, value string }{
		{"actor", filter.Actor}, {"action", filter.Action}, {"target", filter.Target},
	} {
		if len(one.value) > maxActorBytes || !utf8.ValidString(one.value) {
			return nil, domain.Invalid(one.column, "%s must be at most %d bytes of UTF-8", one.column, maxActorBytes)
		}
		if one.value != "" {
			query = query.Where(map[string]any{one.column: one.value})
		}
	}
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
