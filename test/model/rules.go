package model

// Rule is a guard of the protocol. All hold unless a case takes some out.
type Rule uint64

// The rules, in the order of an application's way.
const (
	// KnownBeforeStock answers a known winner before it looks at the stock.
	KnownBeforeStock Rule = 1 << iota
	// ReservedWhilePending says "reserved" to a known winner whose record is perhaps not in Kafka.
	ReservedWhilePending
	// ReservedWhilePutBack does so for a winner whom the audit put back.
	ReservedWhilePutBack
	// AcceptedAfterKafka says "accepted" only after Kafka's acknowledgement.
	AcceptedAfterKafka
	// EpochAtAcknowledge asks the gate again when it was rebuilt since the admission.
	EpochAtAcknowledge
	// OpenGateAtAcknowledge promises nothing while the gate is closed after Kafka's acknowledgement.
	OpenGateAtAcknowledge
	// EntryOfThisEpoch removes a pending entry only under the epoch under which it was read.
	EntryOfThisEpoch
	// HonouredToldLater tells a user who was honoured of it when no lease can refuse them any more.
	HonouredToldLater
	// RebuiltToldLater tells those whom a rebuild makes known at that time, too.
	RebuiltToldLater
	// HonourWaits lets consumers and retryers store nothing before.
	HonourWaits
	// CapacityAfterLeases lets new capacity wait for the leases of refusals.
	CapacityAfterLeases
	// UnsureAfterLoss lets a gate that lost its state wait for the leases, too.
	UnsureAfterLoss
	// OwedFirst leaves to newcomers only what nobody is owed.
	OwedFirst
	// HonourMakesPending notes an honoured winner as pending in the same step.
	HonourMakesPending
	// SumOfSlots closes a gate in which holders and free slots are not all that were handed out.
	SumOfSlots
	// RunID closes a gate that is on another server than the one that was verified.
	RunID
	// EpochAtInsert stores rows of the ledger's epoch only.
	EpochAtInsert
	// QuotaAtInsert refuses a slot beyond the quota.
	QuotaAtInsert
	// UniqueSlot refuses a slot that a row holds.
	UniqueSlot
	// UniqueUser refuses a second row of a user.
	UniqueUser
	// EpochOfEvent keeps a slot in a fail event only under the ledger's epoch.
	EpochOfEvent
	// EventByContent knows a record by what it is, besides its offset.
	EventByContent
	// CommitAfterStore commits an offset only after the record is done with.
	CommitAfterStore
	// NoSlotWaits uses up no attempt while no slot is left.
	NoSlotWaits
	// DisputeCloses closes a gate that holds what the ledger denies.
	DisputeCloses
	// RelaySends sends pending entries again.
	RelaySends
	// SweepReleases tells the gate of revocations until it has been told.
	SweepReleases
	// RevokedMark keeps a revoked user in the gate and in the ledger.
	RevokedMark
	// ReleaseIfHeld frees a slot only if the gate says that the user holds it.
	ReleaseIfHeld
	// SweepSettings brings settings to the gate until they are there.
	SweepSettings
	// SettingsVersion refuses settings older than the gate's.
	SettingsVersion
	// LowerByRebuild lowers a quota by a rebuild, not in an open gate.
	LowerByRebuild
	// PutBack makes a winner pending again whom nothing but the gate knows.
	PutBack
	// UpstreamFirst reads pending entries before the topic, and the topic before the ledger.
	UpstreamFirst
	// SnapshotEpoch refuses a snapshot that is not of the rebuild's epoch.
	SnapshotEpoch
	// RecallForgotten takes in whom only the old gate knows.
	RecallForgotten
	// TailAgain reads the topic once more, right before the gate opens.
	TailAgain
	// ClaimsByEpoch lets the claim of the higher epoch keep a slot.
	ClaimsByEpoch
	// EventKeepsClaim lets an event without a slot leave a claim alone.
	EventKeepsClaim
	// OwedIsNoted writes those for whom no slot is left as owed, and sends their records on.
	OwedIsNoted
	// OwedSentAsClaimed sends their records on under the epoch of the claim.
	OwedSentAsClaimed
	// FreshPending makes a pending entry of each winner who has no row.
	FreshPending
	// WaitingIsPending does so for those of whom only a fail event without a slot is known.
	WaitingIsPending
	// OpenIfMine opens only a gate that is closed, for this epoch, on this server.
	OpenIfMine
	// FinishIfNewest settles the quota only for the newest rebuild.
	FinishIfNewest
)
