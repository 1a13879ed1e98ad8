package domain

import "time"

// Coupon is a stored row. Slot is NoSlot once it is revoked; RevokedSlot then says which it was.
type Coupon struct {
	Campaign             string
	UserID               UserID
	Slot                 Slot
	AdmittedAt, IssuedAt time.Time
	// RevokedAt is zero while the coupon is good.
	RevokedAt   time.Time
	RevokedSlot Slot
	// ReleasedAt is zero until the gate was told of the revocation: until then it knows the user as a winner.
	ReleasedAt time.Time
}

// StoreOutcome says what became of a winner that was to be stored.
type StoreOutcome int

// The outcomes. All but the last four mean that the user's record is done with.
const (
	// Stored: the row is new.
	Stored StoreOutcome = iota + 1
	// AlreadyStored: the same user with the same slot, a redelivery.
	AlreadyStored
	// AlreadyRevoked: the user's coupon was revoked; a late duplicate does not bring it back.
	AlreadyRevoked
	// HasOtherSlot: the user has a row with another slot; the row stays.
	HasOtherSlot
	// SlotTaken: another user has a row with this slot.
	SlotTaken
	// OverQuota: the slot is not within 1..Campaign.HighestSlot of the campaign row.
	OverQuota
	// OtherEpoch: the winner is of another epoch than the campaign row and has no row: ask the gate first.
	OtherEpoch
	// UnknownCampaign: there is no such campaign.
	UnknownCampaign
)

// StoreResult is the outcome for one winner; Slot is what the user's row holds (for SlotTaken and the like: NoSlot).
type StoreResult struct {
	Outcome StoreOutcome
	Slot    Slot
}

// Holder is a user that the ledger knows: by a coupon, a revoked coupon or an unresolved fail event.
type Holder struct {
	UserID UserID
	// Slot is NoSlot for a revoked user and SlotOwed for an unresolved fail event without a slot.
	Slot       Slot
	AdmittedAt time.Time
	// ByFailEvent is true when no coupon row stands for the user, only an unresolved fail event.
	ByFailEvent bool
	// Epoch is the epoch of the fail event; 0 for a coupon.
	Epoch int64
}

// LedgerCounts is what the ledger holds for one campaign.
type LedgerCounts struct {
	Issued, Revoked int64
	// Delayed counts the users with an unresolved fail event and no row; Dead those of them whose event is DEAD.
	Delayed, Dead int64
}
