package domain

import "time"

// Winner is a user who was admitted: what a Kafka record says, and what becomes a coupon row.
type Winner struct {
	Campaign   string
	UserID     UserID
	Slot       Slot
	AdmittedAt time.Time
	// Epoch is the gate's at the admission. A record of another epoch is believed only after the gate was asked again.
	Epoch int64
}

// Admission is the gate's answer for a user who has a slot, now or since earlier.
type Admission struct {
	Winner
	// New is true for the one call that admitted the user.
	New bool
	// InQueue is true for a known user whose record is certainly in Kafka already.
	InQueue bool
	// TellIn is for how long nobody must hear of the admission yet, unless it is New by AdmitAll: until then another
	// process may still refuse the user from memory. It is the same for all users of a batch.
	TellIn time.Duration
	// EntryID and EntrySize name the pending entry of a new winner and how many winners share it; empty for a known one.
	EntryID   string
	EntrySize int
}

// Decision is the gate's answer for one user of a batch: the admission, or the refusal, which is of an epoch too.
type Decision struct {
	Admission
	Err error
}

// MaxBatch is how many users the gate decides in one step, during which it serves nobody else: a few milliseconds.
const MaxBatch = 2048

// GateReport is what the gate holds for one campaign, as its own script read it in one step.
type GateReport struct {
	// Closed says why nobody is admitted ("missing", "run-id", "count", ...); empty when the gate is open.
	Closed string
	// Epoch is the gate's; SeenEpoch the highest that this process has seen, of a gate or in the ledger, and is there even
	// when both have lost theirs.
	Epoch, SeenEpoch int64
	Quota            int64
	StartsAt, EndsAt time.Time
	State            CampaignState
	// SettingsVersion is that of the campaign row from which quota, window and state are.
	SettingsVersion int64
	// Count is the highest slot handed out, Free how many of 1..Count were given back.
	Count, Free int64
	// Winners counts the users who hold or are owed a slot, Owed those of them who are owed one; Revoked those who never
	// get one again.
	Winners, Owed, Revoked int64
	// PendingEntries counts the batches whose records are not yet known to be in Kafka.
	PendingEntries int64
	// OldestPendingAge is how long the oldest of them has waited; 0 when there is none, negative when Redis's clock was
	// set back since.
	OldestPendingAge time.Duration
	// ServerTime is Redis's clock, the judge of windows.
	ServerTime time.Time
}

// Holders counts the users who hold a slot.
func (r GateReport) Holders() int64 { return r.Count - r.Free }

// Room is how many slots can still be given to users who were promised one.
func (r GateReport) Room() int64 { return max(r.Quota-r.Holders(), 0) }

// Remaining is how many slots newcomers can still get: those that are left once all who are owed a slot have theirs.
func (r GateReport) Remaining() int64 { return max(r.Room()-r.Owed, 0) }

// WithoutSlot counts the users who were promised a coupon and that no slot is left for.
func (r GateReport) WithoutSlot() int64 { return max(r.Owed-r.Room(), 0) }

// PendingEntry is a batch of winners whose records are not yet known to be in Kafka.
type PendingEntry struct {
	ID string
	// Age is how long it has waited by Redis's clock; negative when that was set back since.
	Age     time.Duration
	Winners []Winner
}
