package domain

import (
	"context"
	"time"
)

// Every refusal is an *Error; the comments name its code. Each call may also answer CodeOutcomeUnknown (the
// store did not answer in time: the effect may or may not have happened) or CodeUnavailable (it is away: no effect).
// CodeGateClosed means that the gate's state is missing or not the one that was verified, until it is rebuilt.

// Admitter decides who is within the quota. Package store/redisgate implements it.
type Admitter interface {
	// AdmitAll decides for up to MaxBatch users of one campaign, in their order and in one step, atomically with all
	// others, and sets one decision for each. A known winner gets the same slot again, whatever the campaign's state. The
	// new winners among them share one pending entry and one epoch. Refusals of a user: CodeSoldOut (also while all that
	// is left is owed to others), CodeNotStarted, CodePaused, CodeEnded, CodeRevoked, CodeGateClosed (it was rebuilt after
	// a loss, and admits nobody new for a moment: another process may still refuse users from memory). An error is
	// everybody's: CodeGateClosed. When the context has ended before the gate was asked, nobody is admitted, and the
	// context's error is returned.
	AdmitAll(ctx context.Context, campaign string, users []UserID, decisions []Decision) error
	// HonourAll is AdmitAll for users that a promise was already made to: it ignores the window and the state, and gives
	// a user who is owed a slot the next free one. When none is left, but for those of others who are owed one, the user
	// is owed one from then on, and so is never told "sold out" by AdmitAll. Refusals of a user: CodeSoldOut, CodeRevoked.
	// Anybody who asks must wait for TellIn before anything that follows can be seen; the function HonourAll does.
	HonourAll(ctx context.Context, campaign string, users []UserID, decisions []Decision) error
	// Acknowledge is PendingReader's, for entries whose winners are all in Kafka or stored; without entries it only
	// compares the epoch. CodeEpochChanged: the gate was rebuilt since the admission; ask it again. CodeGateClosed.
	Acknowledge(ctx context.Context, campaign string, epoch int64, entryIDs []string) error
}

// Admit asks the gate to admit one user. The error is the refusal, or the gate's.
func Admit(ctx context.Context, gate Admitter, campaign string, user UserID) (Admission, error) {
	return askForOne(ctx, gate.AdmitAll, campaign, user)
}

// HonourAll has the gate honour users, and waits until no process may refuse them from memory any more: whatever follows
// of its answers, an answer to the user, a row or a fail event, then contradicts nobody. That takes about a second when
// the gate refuses everybody else and did not know one of them, and else no time. CodeOutcomeUnknown: the context ended
// before; anybody who asks next waits for what is left.
func HonourAll(ctx context.Context, gate Admitter, campaign string, users []UserID, decisions []Decision) error {
	if err := gate.HonourAll(ctx, campaign, users, decisions); err != nil || len(decisions) == 0 {
		return err
	}
	return WaitUntilTold(ctx, decisions[0].TellIn)
}

// WaitUntilTold waits for a TellIn. CodeOutcomeUnknown: the context ended before.
func WaitUntilTold(ctx context.Context, tellIn time.Duration) error {
	if tellIn <= 0 {
		return nil
	}
	timer := time.NewTimer(tellIn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return Wrap(CodeOutcomeUnknown, ctx.Err(), "there was no time to wait until the answer may be told; ask again")
	}
}

// Honour is HonourAll for one user.
func Honour(ctx context.Context, gate Admitter, campaign string, user UserID) (Admission, error) {
	ask := func(ctx context.Context, campaign string, users []UserID, decisions []Decision) error {
		return HonourAll(ctx, gate, campaign, users, decisions)
	}
	return askForOne(ctx, ask, campaign, user)
}

func askForOne(
	ctx context.Context, ask func(context.Context, string, []UserID, []Decision) error, campaign string, user UserID,
) (Admission, error) {
	decisions := make([]Decision, 1)
	if err := ask(ctx, campaign, []UserID{user}, decisions); err != nil {
		return Admission{}, err
	}
	return decisions[0].Admission, decisions[0].Err
}

// GateReader tells what the gate holds, changing nothing.
type GateReader interface {
	// Lookup gives a known user's admission, with slot NoSlot for a revoked one. CodeNotFound: the user is not
	// known; the admission then has nothing but the gate's epoch. CodeGateClosed.
	Lookup(ctx context.Context, campaign string, user UserID) (Admission, error)
	// Inspect reports on a campaign's gate, a closed one too (its numbers are then what was found, or 0). CodeUnavailable
	// also when it is closed on a server that may have been replaced: nobody may rebuild it there.
	Inspect(ctx context.Context, campaign string) (GateReport, error)
}

// EpochWitness is told what epoch the ledger shows.
type EpochWitness interface {
	// SawEpoch notes it: from then on a gate of this campaign that is at an older epoch is taken for closed. It may be that of
	// a server which was replaced, and still answers on connections that are open. So is one that is more than MaxEpochLead
	// ahead: somebody has edited it.
	SawEpoch(campaign string, epoch int64)
}

// GateNews tells that gates may need a rebuild now, sooner than somebody who looks at times would see it.
type GateNews interface {
	// News holds a value when a call has met a gate that was closed, or the gates are on another server than before. What
	// happens before somebody takes it is one piece of news.
	News() <-chan struct{}
}

// GateMender is told of contradictions and of what operators changed.
type GateMender interface {
	// Dispute closes the gate when it says, under this epoch or an older one, that the winner holds the winner's slot:
	// the ledger knows better. It does nothing when the gate says otherwise.
	Dispute(ctx context.Context, winner Winner) error
	// ApplySettings brings quota (Campaign.EffectiveQuota), window and state in line with the campaign row, under the same
	// epoch. Who is let in by them and was refused before is let in two seconds later: other processes may refuse from
	// memory. CodeEpochChanged: the gate is at another epoch. CodeOvertaken: the gate has settings of a newer version;
	// nothing is changed.
	ApplySettings(ctx context.Context, campaign Campaign) error
	// Release marks a user revoked and frees the slot, if the gate still says that the user holds it; else it only
	// marks the user. Doing it twice is harmless. It gives the epoch of the gate that was told. CodeGateClosed.
	Release(ctx context.Context, campaign string, user UserID, slot Slot) (epoch int64, err error)
}

// PendingReader gives the relay what was admitted but is not yet known to be in Kafka.
type PendingReader interface {
	// Pending gives up to limit entries, oldest first, that come after the entry ID (“” starts at the oldest).
	// It works on a closed gate too; a missing stream is an empty one.
	Pending(ctx context.Context, campaign, after string, limit int) ([]PendingEntry, error)
	// Acknowledge removes entries whose winners are all in Kafka, if the gate is at this epoch. CodeEpochChanged,
	// CodeGateClosed: nothing is removed, and a rebuild reads the entries.
	Acknowledge(ctx context.Context, campaign string, epoch int64, entryIDs []string) error
}

// RebuildTarget is one rebuild's place in Redis: the keys it writes are its own until OpenRebuilt swaps them in.
type RebuildTarget struct {
	Campaign string
	Epoch    int64
	// RunID is of the Redis server under which the rebuild began; on another one it can't be finished.
	RunID string
	// ClosedAt is when the gate was closed, by Redis's clock: that it has admitted, it has admitted before.
	ClosedAt time.Time
	// Unsure is true when nobody knows what the gate said last: it was closed already, or is on another server than before.
	// The one before may still answer somewhere.
	Unsure bool
}

// GateWinner is one user as the rebuild writes it.
type GateWinner struct {
	UserID UserID
	// Slot is NoSlot for a revoked user, SlotOwed for one who is owed a slot.
	Slot       Slot
	AdmittedAt time.Time
	// Pending is true when the winner's record must be sent again under the new epoch.
	Pending bool
}

// GateRebuilder makes the gate's keys anew. Frozen and overtaken rebuilders may call it at any time: they change nothing.
type GateRebuilder interface {
	// BeginRebuild closes the gate if it is at an older epoch, or at none, and empties the rebuild's own keys.
	// CodeOvertaken: the gate is at this epoch or a newer one already. One that is more than MaxEpochLead ahead is no
	// epoch, and overtakes nothing.
	BeginRebuild(ctx context.Context, campaign string, epoch int64) (RebuildTarget, error)
	// WriteWinners adds users to the rebuild's own keys. Those Pending should come in the order of AdmittedAt: should
	// they not, some others hear for longer that their records are not in Kafka.
	WriteWinners(ctx context.Context, target RebuildTarget, winners []GateWinner) error
	// VisitWinners is GateLister's: until OpenRebuilt swaps the new keys in, it gives the users that the closed gate
	// held. A missing or unreadable key is no user.
	VisitWinners(ctx context.Context, campaign string, visit func(GateWinner) error) error
	// OpenRebuilt completes the rebuild's keys (slots in 1..highest that nobody holds become free), swaps them in and
	// opens the gate in one step, if it is closed, at the target's epoch and on the target's server. CodeOvertaken.
	OpenRebuilt(ctx context.Context, target RebuildTarget, campaign Campaign) error
}

// GateLister reads what a gate holds of all of its users, a closed gate too, changing nothing. What is read page by
// page is of no one moment: the caller compares Inspect before and after.
type GateLister interface {
	// VisitWinners calls visit for every user who was there during all of the visit, and perhaps for others; a user may
	// come more than once. Pending is never set. An error of visit ends it and is returned.
	VisitWinners(ctx context.Context, campaign string, visit func(GateWinner) error) error
	// VisitFree calls visit for every free slot, in their order.
	VisitFree(ctx context.Context, campaign string, visit func(Slot) error) error
	// FindWinners gives those of the users that the gate knows.
	FindWinners(ctx context.Context, campaign string, users []UserID) ([]GateWinner, error)
}

// PendingRestorer puts back what an audit found lost.
type PendingRestorer interface {
	// PutBack makes a pending entry for the winner, so that the record is sent again, if the gate is at the winner's
	// epoch and says that the user holds that slot. It says whether it did. It works on a closed gate too: the rebuild
	// then finds the entry.
	PutBack(ctx context.Context, winner Winner) (bool, error)
}
