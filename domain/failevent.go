package domain

import "time"

// FailStatus is where a fail event stands: FAIL → PROCESSING → SUCCESS, or back to FAIL, or DEAD after the last attempt.
type FailStatus string

// The states of a fail event.
const (
	FailStatusFail       FailStatus = "FAIL"
	FailStatusProcessing FailStatus = "PROCESSING"
	FailStatusSuccess    FailStatus = "SUCCESS"
	FailStatusDead       FailStatus = "DEAD"
)

// FailReason says why a record could not be stored. Reasons are stable: operators filter by them.
type FailReason string

// The reasons.
const (
	// ReasonUnparsable: the record holds no user ID that we could read; it has no campaign, user or slot.
	ReasonUnparsable FailReason = "UNPARSABLE"
	// ReasonUnknownCampaign: the record names a campaign that does not exist.
	ReasonUnknownCampaign FailReason = "UNKNOWN_CAMPAIGN"
	// ReasonRowRefused: the database refused the row.
	ReasonRowRefused FailReason = "ROW_REFUSED"
	// ReasonSlotTaken: another user's coupon has the slot.
	ReasonSlotTaken FailReason = "SLOT_TAKEN"
	// ReasonOverQuota: the slot is above the campaign's quota.
	ReasonOverQuota FailReason = "OVER_QUOTA"
	// ReasonNoSlotLeft: the record is of an earlier epoch, and no slot is left for it.
	ReasonNoSlotLeft FailReason = "NO_SLOT_LEFT"
)

// Limits of what a fail event keeps of a record.
const (
	// MaxRawBytes is how much of a record's value is kept.
	MaxRawBytes = 4096
	// MaxErrorMessageBytes is how much of an error text is kept.
	MaxErrorMessageBytes = 1024
)

// RecordPosition names a Kafka record.
type RecordPosition struct {
	Topic     string
	Partition int32
	Offset    int64
}

// FailEvent is a record that could not be stored. It is unresolved while its status is not SUCCESS and it was not
// discarded; an unresolved one with a slot keeps that slot for its user.
type FailEvent struct {
	ID int64
	// Winner's Campaign is empty and its UserID 0 when the record told neither; its Slot is NoSlot when the event holds none.
	Winner
	Status       FailStatus
	Reason       FailReason
	ErrorMessage string
	// Raw is the record's value, at most MaxRawBytes of it.
	Raw      []byte
	Position RecordPosition
	Attempts int
	// NextAttemptAt is when a FAIL event is due.
	NextAttemptAt time.Time
	// LeaseToken and LeaseUntil say who works on a PROCESSING event, and until when nobody else may.
	LeaseToken string
	LeaseUntil time.Time
	// DiscardedAt is zero unless an operator gave the event up.
	DiscardedAt          time.Time
	CreatedAt, UpdatedAt time.Time
}

// FailEventAttempt is one try at storing a fail event, kept as history.
type FailEventAttempt struct {
	Number                int
	StartedAt, FinishedAt time.Time
	// Outcome is SUCCESS, FAIL or DEAD, or EXPIRED for a lease that ran out, or RETRY or DISCARD for an operator's step.
	Outcome      string
	ErrorMessage string
	// Actor is "retryer" or the operator's name.
	Actor string
}

// Failure is how one attempt at a fail event ended without success.
type Failure struct {
	Reason  FailReason
	Message string
	// Slot is what the event holds from now on; NoSlot when the slot turned out to be somebody else's.
	Slot Slot
	// Epoch is the epoch under which Slot holds.
	Epoch int64
	// Dead ends the retries; else NextAttemptAt says when the next is due.
	Dead          bool
	NextAttemptAt time.Time
	// Uncounted leaves Attempts as it is, and keeps no attempt: a store was away, which says nothing about the event.
	Uncounted bool
}

// FailEventFilter selects fail events for a list, newest first.
type FailEventFilter struct {
	// Status, Campaign and UserID select when they are not empty.
	Status   FailStatus
	Reason   FailReason
	Campaign string
	UserID   UserID
	// BeforeID continues a list: only events with a smaller ID; 0 starts at the newest.
	BeforeID int64
	// Limit is how many at most, 1..MaxPage.
	Limit int
}

// MaxPage bounds every list.
const MaxPage = 1000
