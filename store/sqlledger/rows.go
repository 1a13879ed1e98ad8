package sqlledger

import (
	"database/sql"
	"strings"
	"time"
	"unicode/utf8"

	"firstcome/domain"
)

type campaignRow struct {
	ID                   int64
	Code, Name           string
	Quota, WantedQuota   int64
	StartsAt, EndsAt     time.Time
	State                string
	Epoch, Fencing       int64
	SlotLimit            int64
	SettingsVersion      int64
	CreatedAt, UpdatedAt time.Time `gorm:"autoCreateTime:false;autoUpdateTime:false"`
}

// TableName tells gorm the table.
func (campaignRow) TableName() string { return "campaign" }

func (r campaignRow) campaign() domain.Campaign {
	return domain.Campaign{
		ID: r.ID, Code: r.Code, Name: r.Name, Quota: r.Quota, WantedQuota: r.WantedQuota,
		StartsAt: r.StartsAt.UTC(), EndsAt: r.EndsAt.UTC(), State: domain.CampaignState(r.State),
		Epoch: r.Epoch, Fencing: r.Fencing, SlotLimit: r.SlotLimit, SettingsVersion: r.SettingsVersion,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func campaignRowOf(c domain.Campaign) campaignRow {
	return campaignRow{
		ID: c.ID, Code: c.Code, Name: c.Name, Quota: c.Quota, WantedQuota: c.WantedQuota,
		StartsAt: storedTime(c.StartsAt), EndsAt: storedTime(c.EndsAt), State: string(c.State),
		Epoch: c.Epoch, Fencing: c.Fencing, SlotLimit: c.SlotLimit, SettingsVersion: c.SettingsVersion,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}

// couponRow's ID is not to be read after an insert: gorm fills in wrong ones where a conflict passed a row over. The
// same goes for failEventRow.
type couponRow struct {
	ID          int64
	CampaignID  int64
	UserID      int64
	Slot        sql.NullInt64
	AdmittedAt  time.Time
	IssuedAt    sql.NullTime
	RevokedAt   sql.NullTime
	RevokedSlot sql.NullInt64
	ReleasedAt  sql.NullTime
}

// TableName tells gorm the table.
func (couponRow) TableName() string { return "coupon" }

func (r couponRow) coupon(campaign string) domain.Coupon {
	return domain.Coupon{
		Campaign: campaign, UserID: domain.UserID(r.UserID), Slot: domain.Slot(r.Slot.Int64),
		AdmittedAt: r.AdmittedAt.UTC(), IssuedAt: timeOf(r.IssuedAt), RevokedAt: timeOf(r.RevokedAt),
		RevokedSlot: domain.Slot(r.RevokedSlot.Int64), ReleasedAt: timeOf(r.ReleasedAt),
	}
}

type failEventRow struct {
	ID                   int64
	CampaignCode         string
	UserID, Slot         int64
	AdmittedAt           sql.NullTime
	Epoch                int64
	Status, Reason       string
	ErrorMessage         string
	RawRecord            []byte
	KafkaTopic           string
	KafkaPartition       int32
	KafkaOffset          int64
	ContentKey           string
	Attempts             int
	NextAttemptAt        time.Time
	LeaseToken           string
	LeaseUntil           sql.NullTime
	DiscardedAt          sql.NullTime
	ResolvedAt           sql.NullTime
	CreatedAt, UpdatedAt time.Time `gorm:"autoCreateTime:false;autoUpdateTime:false"`
}

// TableName tells gorm the table.
func (failEventRow) TableName() string { return "fail_event" }

func (r failEventRow) failEvent() domain.FailEvent {
	return domain.FailEvent{
		ID: r.ID,
		Winner: domain.Winner{
			Campaign: r.CampaignCode, UserID: domain.UserID(r.UserID), Slot: domain.Slot(r.Slot),
			AdmittedAt: timeOf(r.AdmittedAt), Epoch: r.Epoch,
		},
		Status: domain.FailStatus(r.Status), Reason: domain.FailReason(r.Reason), ErrorMessage: r.ErrorMessage,
		Raw:      r.RawRecord,
		Position: domain.RecordPosition{Topic: r.KafkaTopic, Partition: r.KafkaPartition, Offset: r.KafkaOffset},
		Attempts: r.Attempts, NextAttemptAt: r.NextAttemptAt.UTC(),
		LeaseToken: r.LeaseToken, LeaseUntil: timeOf(r.LeaseUntil), DiscardedAt: timeOf(r.DiscardedAt),
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// failEventRowOf bounds and mends everything in the event that came from outside: a fail event is the last resort of
// a record, so it must not be refused in its turn.
func failEventRowOf(event domain.FailEvent, now time.Time) failEventRow {
	row := failEventRow{
		CampaignCode: cutText(event.Campaign, maxCampaignCodeBytes), UserID: int64(event.UserID),
		Slot: max(int64(event.Slot), int64(domain.NoSlot)), AdmittedAt: optionalTime(event.AdmittedAt), Epoch: event.Epoch,
		Status: string(domain.FailStatusFail), Reason: cutText(string(event.Reason), maxReasonBytes),
		ErrorMessage: cutText(event.ErrorMessage, domain.MaxErrorMessageBytes),
		RawRecord:    append([]byte{}, event.Raw[:min(len(event.Raw), domain.MaxRawBytes)]...),
		KafkaTopic:   event.Position.Topic, KafkaPartition: event.Position.Partition, KafkaOffset: event.Position.Offset,
		ContentKey: contentKey(event),
		Attempts:   event.Attempts, NextAttemptAt: now, CreatedAt: now, UpdatedAt: now,
	}
	if event.Status == domain.FailStatusDead {
		row.Status = string(domain.FailStatusDead)
	}
	if !event.NextAttemptAt.IsZero() {
		row.NextAttemptAt = storedTime(event.NextAttemptAt)
	}
	return row
}

type attemptRow struct {
	ID                    int64
	FailEventID           int64
	Number                int
	StartedAt, FinishedAt time.Time
	Outcome               string
	ErrorMessage          string
	Actor                 string
	ResolvedAt            sql.NullTime
}

// TableName tells gorm the table.
func (attemptRow) TableName() string { return "fail_event_attempt" }

func (r attemptRow) attempt() domain.FailEventAttempt {
	return domain.FailEventAttempt{
		Number: r.Number, StartedAt: r.StartedAt.UTC(), FinishedAt: r.FinishedAt.UTC(),
		Outcome: r.Outcome, ErrorMessage: r.ErrorMessage, Actor: r.Actor,
	}
}

type settingRow struct {
	Name      string `gorm:"primaryKey"`
	Value     string
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

// TableName tells gorm the table.
func (settingRow) TableName() string { return "setting" }

type actionRow struct {
	ID                      int64
	Actor, Action, Target   string
	BeforeValue, AfterValue sql.NullString
	ActedAt                 time.Time
}

// TableName tells gorm the table.
func (actionRow) TableName() string { return "operator_action" }

// Limits of text columns, in bytes, so that they hold on every database.
const (
	maxCampaignCodeBytes = 63
	maxReasonBytes       = 32
	maxActorBytes        = 200
	maxActionBytes       = 32
	maxTargetBytes       = 128
)

// cutText makes a text valid UTF-8 without NUL, and cuts it to at most limit bytes without splitting a character.
func cutText(text string, limit int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "�"), "�")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// optionalTime is NULL for no time, and for one that the databases can't hold.
func optionalTime(t time.Time) sql.NullTime {
	return sql.NullTime{Time: storedTime(t), Valid: holdsTime(t)}
}

// holdsTime says whether a moment fits a DATETIME: the years 1000 to 9999.
func holdsTime(t time.Time) bool { return t.UTC().Year() >= 1000 && t.UTC().Year() <= 9999 }

// timeOf is the zero time for NULL.
func timeOf(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// optionalSlot is NULL for a slot below 1.
func optionalSlot(slot domain.Slot) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(slot), Valid: slot > domain.NoSlot}
}
