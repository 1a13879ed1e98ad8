package domain

import "time"

// AuditKind names a difference between the gate, the pending entries, the topic and the ledger. Kinds are stable:
// alerts refer to them.
type AuditKind string

// Differences that concern one user.
const (
	// AuditWinnerLost: the gate says that the user won, but no pending entry, no record that is still to be consumed,
	// no coupon and no fail event stands for that.
	AuditWinnerLost AuditKind = "winner-lost"
	// AuditUnknownToGate: the user has a coupon or a fail event with a slot, and the gate does not know the user.
	AuditUnknownToGate AuditKind = "unknown-to-gate"
	// AuditSlotMismatch: two places name different slots for the user, or one says revoked and the other does not.
	AuditSlotMismatch AuditKind = "slot-mismatch"
	// AuditPendingWithoutWinner: a pending entry names a user that the gate does not know.
	AuditPendingWithoutWinner AuditKind = "pending-without-winner"
	// AuditRecordWithoutWinner: a record of the current epoch names a user that the gate does not know.
	AuditRecordWithoutWinner AuditKind = "record-without-winner"
	// AuditRevocationLost: the gate says that the user was revoked, and the ledger has no row that says so.
	AuditRevocationLost AuditKind = "revocation-lost"
	// AuditRevocationUnreleased: a coupon was revoked a while ago, and the gate has not been told.
	AuditRevocationUnreleased AuditKind = "revocation-unreleased"
	// AuditUserDuplicated: the user has two coupons.
	AuditUserDuplicated AuditKind = "user-duplicated"
	// AuditStuckProcessing: a fail event is PROCESSING, and its lease ended long ago.
	AuditStuckProcessing AuditKind = "stuck-processing"
)

// Differences that concern a slot.
const (
	// AuditSlotDuplicated: two coupons have the slot.
	AuditSlotDuplicated AuditKind = "slot-duplicated"
	// AuditSlotOverQuota: a coupon's slot is above Campaign.HighestSlot: the quota, or what it was when it was lowered.
	AuditSlotOverQuota AuditKind = "slot-over-quota"
	// AuditSlotHeldTwice: the gate says of two users that they hold the slot.
	AuditSlotHeldTwice AuditKind = "slot-held-twice"
	// AuditSlotOrphan: the slot was handed out once; nobody holds it and it is not free.
	AuditSlotOrphan AuditKind = "slot-orphan"
	// AuditSlotFreeAndHeld: the slot is free, and the gate says of a user that they hold it.
	AuditSlotFreeAndHeld AuditKind = "slot-free-and-held"
)

// Differences that concern the campaign as a whole.
const (
	// AuditGateClosed: the gate admits nobody; the detail says why.
	AuditGateClosed AuditKind = "gate-closed"
	// AuditEpochMismatch: the gate is at another epoch than the ledger.
	AuditEpochMismatch AuditKind = "epoch-mismatch"
	// AuditQuotaMismatch: the gate has another quota than the ledger.
	AuditQuotaMismatch AuditKind = "quota-mismatch"
	// AuditRowsOverQuota: there are more coupons than the quota.
	AuditRowsOverQuota AuditKind = "rows-over-quota"
	// AuditKeyMissing: the database lacks a key on which promises or claims rest; it concerns all campaigns.
	AuditKeyMissing AuditKind = "key-missing"
)

// MaxAuditDifferences bounds the differences that one result lists; DifferencesTotal counts all of them.
const MaxAuditDifferences = 1000

// Places in which an audit finds a user or a slot, or misses them.
const (
	PlaceGate    = "gate"
	PlacePending = "pending"
	PlaceTopic   = "topic"
	PlaceCoupon  = "coupon"
	PlaceRevoked = "revoked coupon"
	PlaceEvent   = "fail event"
	PlaceFree    = "free slots"
)

// AuditCounts is what the places held. During a sale they are of slightly different moments.
type AuditCounts struct {
	// Admitted counts the users who hold a slot in the gate or are owed one, Revoked those who never get one again, and
	// Owed those among Admitted who are owed one.
	Admitted int64 `json:"admitted"`
	Revoked  int64 `json:"revoked"`
	Owed     int64 `json:"owed"`
	// WithoutSlot counts those of them that no slot is left for: the quota has to be raised by so many.
	WithoutSlot int64 `json:"without_slot"`
	// Free counts the slots that were given back.
	Free int64 `json:"free"`
	// Pending counts the winners whose records are not yet known to be in Kafka, InTopic the records that are there and
	// not yet committed.
	Pending int64 `json:"pending"`
	InTopic int64 `json:"in_topic"`
	// Fail, Processing and Dead count the unresolved fail events.
	Fail       int64 `json:"fail"`
	Processing int64 `json:"processing"`
	Dead       int64 `json:"dead"`
	// Issued counts the coupons that were not revoked.
	Issued int64 `json:"issued"`
}

// AuditDifference is something that no way of an application explains: it was seen each time the audit looked.
type AuditDifference struct {
	Kind AuditKind `json:"kind"`
	// UserID and Slot say who and what it concerns; 0 when it concerns nobody and nothing in particular.
	UserID UserID `json:"user_id,string,omitempty"`
	Slot   Slot   `json:"slot,omitempty"`
	// Found says where it is, Missing where it is not.
	Found   []string `json:"found,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Detail  string   `json:"detail"`
}

// AuditRepair is a step that a repair took, or refused to take.
type AuditRepair struct {
	Kind   AuditKind `json:"kind"`
	UserID UserID    `json:"user_id,string,omitempty"`
	Slot   Slot      `json:"slot,omitempty"`
	// Done is false when the step was not taken, or failed; Detail says what was done, or why nothing was.
	Done   bool   `json:"done"`
	Detail string `json:"detail"`
}

// AuditResult is the outcome of the audit of one campaign.
type AuditResult struct {
	Campaign string      `json:"campaign"`
	Epoch    int64       `json:"epoch"`
	Quota    int64       `json:"quota"`
	Counts   AuditCounts `json:"counts"`
	// Settled says that nothing was on its way: no pending entry, no uncommitted record, no fail event to be tried again.
	Settled bool `json:"settled"`
	// Differences lists the first MaxAuditDifferences of DifferencesTotal. Unchecked of them were seen only once,
	// because there were too many to look at each again.
	Differences      []AuditDifference `json:"differences"`
	DifferencesTotal int64             `json:"differences_total"`
	Unchecked        int64             `json:"unchecked,omitempty"`
	// Repairs says what a repair did; the differences are then those that are left.
	Repairs    []AuditRepair `json:"repairs,omitempty"`
	StartedAt  time.Time     `json:"started_at"`
	FinishedAt time.Time     `json:"finished_at"`
	// Error says why the campaign could not be audited; empty when it was.
	Error string `json:"error,omitempty"`
}

// Clean says that the audit was made and found nothing.
func (r AuditResult) Clean() bool { return r.Error == "" && r.DifferencesTotal == 0 }
