package domain

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

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
	// ReasonRecordRefused: Kafka refused the record of a winner for good; the coupon is stored from the event.
	ReasonRecordRefused FailReason = "RECORD_REFUSED"
	// ReasonSlotTaken: another user's coupon has the slot.
	ReasonSlotTaken FailReason = "SLOT_TAKEN"
	// ReasonOverQuota: the slot is above the campaign's quota.
	ReasonOverQuota FailReason = "OVER_QUOTA"
	// ReasonNoSlotLeft: no slot is left for the user. The event waits for one, which uses up no attempts.
	ReasonNoSlotLeft FailReason = "NO_SLOT_LEFT"
)

// FailStatuses are all states that there are.
var FailStatuses = []FailStatus{FailStatusFail, FailStatusProcessing, FailStatusSuccess, FailStatusDead}

// FailReasons are all reasons that there are; an event with another one is found by no filter.
var FailReasons = []FailReason{
	ReasonUnparsable, ReasonUnknownCampaign, ReasonRowRefused, ReasonRecordRefused, ReasonSlotTaken, ReasonOverQuota, ReasonNoSlotLeft,
}

// Limits of what a fail event keeps of a record.
const (
	// MaxRawBytes is how much of a record's value is kept.
	MaxRawBytes = 4096
	// MaxErrorMessageBytes is how much of an error text is kept.
	MaxErrorMessageBytes = 1024
)

// RecordPosition says where a Kafka record stood. When a topic is made anew, or its log loses its end, the same position
// comes again with another record: what is remembered of a record is known by its digest as well.
type RecordPosition struct {
	Topic     string
	Partition int32
	Offset    int64
}

// RecordDigest is a SHA-256 of what a record says: key, value and headers.
type RecordDigest [32]byte

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
	// Digest says what the record was, whose position may be another record's after the topic was made anew. It is part
	// of what makes an event one event, and is not read back.
	Digest   RecordDigest
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

// Unresolved says that the event's record still waits to be stored, or for an operator.
func (e FailEvent) Unresolved() bool { return e.Status != FailStatusSuccess && e.DiscardedAt.IsZero() }

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
	// Dead ends the retries; else the next is due after NextAttemptIn, by the ledger's clock.
	Dead          bool
	NextAttemptIn time.Duration
	// Uncounted leaves Attempts as it is, and keeps no attempt: a store was away, or no slot
	// was left, which says nothing about the event.
	Uncounted bool
}

// FailEventFilter selects fail events for a list, newest first.
type FailEventFilter struct {
	// Status, Reason, Campaign and UserID select when they are not empty.
	Status   FailStatus
	Reason   FailReason
	Campaign string
	UserID   UserID
	// From is the first moment of an event's creation, Until the first that is too late; a zero time is no limit.
	From, Until time.Time
	// Text selects the events whose error message (in any case) or raw record (byte by byte) contains it, among the
	// newest MaxTextSearch of those that the rest of the filter selects.
	Text string
	// BeforeID continues a list: only events with a smaller ID; 0 starts at the newest.
	BeforeID int64
	// Limit is how many at most, 1..MaxPage.
	Limit int
}

// Check refuses a filter that selects nothing by mistake. CodeInvalidRequest, naming the field.
func (f FailEventFilter) Check() error {
	if f.Status != "" && !slices.Contains(FailStatuses, f.Status) {
		return Invalid("status", "status must be FAIL, PROCESSING, SUCCESS or DEAD")
	}
	if f.Reason != "" && !slices.Contains(FailReasons, f.Reason) {
		return Invalid("reason", "there is no such reason")
	}
	if f.UserID < 0 {
		return Invalid("user_id", "user_id must be positive")
	}
	if !f.From.IsZero() && !f.Until.IsZero() && !f.Until.After(f.From) {
		return Invalid("until", "until must be after from")
	}
	if len(f.Text) > MaxTextBytes || !utf8.ValidString(f.Text) {
		return Invalid("text", "text must be at most %d bytes of UTF-8", MaxTextBytes)
	}
	return nil
}

// FailEventCount counts the events of one status and reason.
type FailEventCount struct {
	Status FailStatus
	Reason FailReason
	Count  int64
}

// CheckDiscardReason refuses a reason that says nothing, or too much.
func CheckDiscardReason(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > MaxErrorMessageBytes || !utf8.ValidString(reason) {
		return Invalid("reason", "reason must be 1 to %d bytes of UTF-8, and say why", MaxErrorMessageBytes)
	}
	return nil
}

// Limits of a search by text.
const (
	// MaxTextSearch is among how many events a text is searched.
	MaxTextSearch = 10_000
	// MaxTextBytes bounds the text.
	MaxTextBytes = 200
)

// MaxPage bounds every list.
const MaxPage = 1000
