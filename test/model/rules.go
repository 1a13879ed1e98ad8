package model

// Rule is a guard of the protocol. All hold unless a case takes some out.
type Rule uint64

// The rules, in the order of an application's way.
const (
	// KnownBeforeStock answers a known winner before it looks at the stock.
	KnownBeforeStock Rule = 1 << iota
	// ReservedWhilePending says "reserved" to a known winner whose record is perhaps not in Kafka.
	ReservedWhilePending
	// ReservedWhilePutBack does so for a winner that the audit put back.
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
	// RebuiltToldLater tells those that a rebuild makes known at that time, too.
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
	// EventByContent knows a record by what it is, in addition to its offset.
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
	// ReleasedOfEpoch notes a revocation as told only if the gate has the ledger's epoch.
	ReleasedOfEpoch
	// SweepSettings brings settings to the gate until they are there.
	SweepSettings
	// SettingsVersion refuses settings older than the gate's.
	SettingsVersion
	// LowerIsAWish lowers a quota in the ledger only when the gate gives slots by the lower one already.
	LowerIsAWish
	// HoldersFit grants the wish only once there are no more holders than that.
	HoldersFit
	// LowerIfUnchanged grants it only if neither epoch nor settings were changed since the holders were counted.
	LowerIfUnchanged
	// SlotLimit lets anybody who holds a slot above a lowered quota keep it.
	SlotLimit
	// RoomByHolders gives no slot while there are as many holders as the quota, whatever the numbers of their slots.
	RoomByHolders
	// KeepWithinQuota keeps a promised slot in a rebuild only while the quota has room.
	KeepWithinQuota
	// PutBack makes a winner pending again that nothing but the gate knows.
	PutBack
	// OwedSentAgain sends the record of such a winner again who is owed a slot while none is left.
	OwedSentAgain
	// UpstreamFirst reads pending entries before the topic, and the topic before the ledger.
	UpstreamFirst
	// SnapshotEpoch refuses a snapshot that is not of the rebuild's epoch.
	SnapshotEpoch
	// RecallForgotten takes in those that only the old gate knows.
	RecallForgotten
	// RecallUnstored takes in the users of committed records that the ledger has lost.
	RecallUnstored
	// KeepRevoked keeps those revoked that only the old gate calls so.
	KeepRevoked
	// HolderBeatsStored keeps the slot of a holder of the old gate from the user of an older committed record.
	HolderBeatsStored
	// LaterKeepsSlot lets the later of two claims of one epoch keep a slot.
	LaterKeepsSlot
	// TailAgain reads the topic once more, right before the gate opens.
	TailAgain
	// ClaimsByEpoch lets the claim of the higher epoch keep a slot.
	ClaimsByEpoch
	// EventKeepsClaim lets an event without a slot leave a claim alone.
	EventKeepsClaim
	// OwedIsNoted writes those that no slot is left for as owed, and sends their records on.
	OwedIsNoted
	// OwedSentAsClaimed sends their records on under the epoch of the claim.
	OwedSentAsClaimed
	// FreshPending makes a pending entry of each winner who has no row.
	FreshPending
	// WaitingIsPending does so for those known only by a fail event without a slot.
	WaitingIsPending
	// OpenIfMine opens only a gate that is closed, for this epoch, on this server.
	OpenIfMine
	// FinishIfNewest settles the quota only for the newest rebuild.
	FinishIfNewest
	// EntryUntilNoted keeps the entry of a slot that the retryer was given until the ledger has noted the slot.
	EntryUntilNoted
	// GateNotOlder believes no gate that is older than the ledger.
	GateNotOlder
	// LeaseOfEpoch ends a lease when the ledger shows a newer epoch.
	LeaseOfEpoch
	// UnsureIfOlder counts a gate among those that is not at the ledger's epoch: another one may be in use.
	UnsureIfOlder
	// AllotWhenKnown gives slots, where another gate may be in use, only when every process knows of the new epoch.
	AllotWhenKnown
	// ReadBeforeAllot reads the topic on before that.
	ReadBeforeAllot
	// LateBeatsEvent lets a record that is found then stand against a fail event without a slot.
	LateBeatsEvent
)
