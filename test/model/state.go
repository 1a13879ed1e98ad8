package model

// The bounds of a state. A step that would go beyond one is not taken.
const (
	maxUsers    = 3
	maxPending  = 4
	maxTopic    = 6
	maxFlying   = 3
	maxEvents   = 3
	apis        = 2
	rebuilders  = 2
	maxAttempts = 2
	highestSlot = 6
)

// What a gate or a row holds for a user instead of a slot.
const (
	nobody  = 0
	owed    = 0x0e
	revoked = 0x0f
	// wasRevoked is set in a row beside the slot that it had.
	wasRevoked = 0x80
)

// Record is a winner on the way through the topic. A record from outside has no slot. Users are counted from 1.
type Record struct{ User, Slot, Epoch uint8 }

// Entry is a pending entry of one winner. PutBack says that the audit made it, later than the admission.
type Entry struct {
	Record
	PutBack uint8
}

// Gate states.
const (
	gateMissing = iota
	gateClosed
	gateOpen
)

// Gate is what Redis holds of the campaign.
type Gate struct {
	// State is meta: missing, without a verified run_id, or with one.
	State uint8
	// Run is the server's identity, Verified the one in meta.
	Run, Verified uint8
	Epoch, Quota  uint8
	// Paused and Version are the settings.
	Paused, Version uint8
	Count           uint8
	Free            uint8 // a bit for each slot that was given back
	Users           [maxUsers]uint8
	Pending         [maxPending]Entry
	// Reopening names the processes whose leases must be over before anybody new is admitted; Says is what newcomers hear
	// until then. Told names those whose leases must be over before anybody who is known is told. Unsure and Closing are the
	// two of a rebuild: Unsure is noted only at a gate of which nobody knows what it last said.
	Reopening, Says, Told, Unsure, Closing uint8
}

// What an api process is about to do for its applicant.
const (
	apiIdle = iota
	apiAdmitted
	apiSent
	apiAcked
	apiHonoured
)

// API is one api process with one application under way.
type API struct {
	At                       uint8
	User, Slot, Epoch, Round uint8
	// Awaits are the processes whose leases must be over before the user may hear.
	Awaits uint8
	// Refuses is the refusal that is said from memory, 0 without a lease; Known are those who are asked for at the gate.
	Refuses, Known uint8
	// OldMaster says that the process is still connected to the master of before a failover. Seen is the newest epoch that it
	// has read in the ledger, LeaseOf the epoch of its lease; both are kept only in cases with two masters.
	OldMaster, Seen, LeaseOf uint8
}

// What a consumer is about to do with the first record that is not committed.
const (
	consumerIdle = iota
	consumerStores
	consumerAsks
	consumerKeeps
	consumerDisputes
	consumerCommits
)

// Consumer has one record in hand. Reason is why it is kept as a fail event, Awaits the leases that must be over first.
type Consumer struct{ At, User, Slot, Epoch, External, Reason, Awaits uint8 }

// What the retryer is about to do with the event that it claimed.
const (
	retryIdle = iota
	retryTries
	retryAsks
	retryEnds
	retryDisputes
	retryTells
)

// Retry is one attempt at one fail event; what it tells the gate at last is about the user in Event. New says that the gate
// gave the slot in this attempt, with a pending entry.
type Retry struct{ At, Event, Slot, Epoch, Reason, Awaits, New uint8 }

// What the relay is about to do.
const (
	relayIdle = iota
	relaySends
	relayAcknowledges
)

// Relay has one pending entry in hand.
type Relay struct {
	At uint8
	Entry
}

// What a sweep is about to do.
const (
	sweepIdle = iota
	sweepBrings
	sweepLowers
)

// Sweeper has read the campaign's row, and is about to bring its settings to the gate, or to lower the quota for these
// holders.
type Sweeper struct{ At, Quota, Paused, Version, Epoch, Holders, Count uint8 }

// Statuses and reasons of fail events.
const (
	statusFail       = 1
	statusProcessing = 2
	statusDead       = 3

	reasonRefused = 1
	reasonTaken   = 2
	reasonNoSlot  = 3
)

// Event is a fail event that is not resolved. AtHead says that its record is at the offset which is read next.
type Event struct{ User, Slot, Epoch, Status, Reason, Attempts, AtHead uint8 }

// Rebuild is what one rebuilder has read. Rows, Events, Claims and Stored name a slot for each user.
type Rebuild struct {
	At, Epoch, Run uint8
	// OldMaster says that the rebuilder is connected to the master of before a failover. Unsure says that another gate than
	// the one that it closed may be in use, or that nobody knows what that one said last. GateEpoch is that gate's epoch.
	OldMaster, Unsure, GateEpoch uint8
	// The campaign's row.
	Quota, Wanted, Limit, Paused, Version uint8
	Rows                                  [maxUsers]uint8
	Events, EventEpochs                   [maxUsers]uint8
	Claims, ClaimEpochs                   [maxUsers]uint8
	// Stored are the records that the consumers have committed; Recalled those whose users the ledger has lost. Revoked are
	// the users that the closed gate calls revoked.
	Stored, StoredEpochs [maxUsers]uint8
	Recalled, Revoked    uint8
	// Waiting are the users known only by a fail event; Late those who came to the topic after the first reading, and
	// Later those who came after the quota was settled.
	Waiting, Late, Later uint8
	// Due are the users whose records were on the topic before it was read for the last time.
	Due uint8
}

// Ledger is what the database holds of the campaign. Wanted is a lower quota that waits for the holders to fit; Limit the
// highest slot that somebody may hold above the quota.
type Ledger struct {
	Epoch, Quota, Wanted uint8
	Limit                uint8
	Paused, Version      uint8
	Rows                 [maxUsers]uint8
	Unreleased           uint8 // a bit for each user whose revocation the gate was not told of
	Refuses              uint8 // a bit for each user whose row is refused
}

// Replica is a copy of the ledger that may be behind.
type Replica struct {
	Epoch uint8
	Rows  [maxUsers]uint8
}

// Ghost is what no store holds: what applicants were told, and what happened.
type Ghost struct {
	Applied  uint8           // who has asked
	Accepted [maxUsers]uint8 // the slot that was told, or slotUntold
	Passed   uint8           // who was owed a slot when somebody new got one
	Revoked  uint8           // those that the gate was told to be revoked, as long as it has not forgotten
	Ended    uint8           // whose revocation the ledger lost: what they were promised is over all the same
	Newest   uint8           // the newest settings that the gate had
	NextRun  uint8
	Broken   Property
}

// slotUntold stands in Accepted when "accepted" was said without a slot.
const slotUntold = 0x0d

// State is everything. It is comparable, and holds no pointer.
type State struct {
	Gate     Gate
	Earlier  [2]Gate // before the last write, and before the one before
	Old      Gate    // the master of before a failover, while somebody is connected to it
	HasOld   uint8
	APIs     [apis]API
	Topic    [maxTopic]Record
	Stored   [maxUsers]Record  // the newest committed record of each user, where the ledger may lose rows
	Flying   [maxFlying]Record // sent, and not stored by Kafka yet
	Consumer Consumer
	Retry    Retry
	Relay    Relay
	Sweeper  Sweeper
	PutBack  Record // the winner that the audit found lost
	Rebuilds [rebuilders]Rebuild
	Events   [maxEvents]Event
	Ledger   Ledger
	Replica  Replica
	Budget   Budget
	Ghost    Ghost
}
