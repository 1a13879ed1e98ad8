package domain

import (
	"context"
	"time"
)

// The ledger is the database. Each call may answer CodeUnavailable: it is away, read-only, out of connections or
// deadlocked beyond patience; the call had no effect. CodeOutcomeUnknown: the connection broke at the commit.
// What is due and which lease holds is decided by one clock, the ledger's own, so callers say how long, never until when.
// Package store/sqlledger implements it.

// InstallationNamer says which installation a ledger is, so that a store that others use too is not taken for ours.
type InstallationNamer interface {
	// InstallationID gives the ID that the first migration drew, 1..64 bytes of printable ASCII. It never changes.
	// CodeUnavailable also where no migration has come to its end.
	InstallationID(ctx context.Context) (string, error)
}

// CampaignReader reads campaigns.
type CampaignReader interface {
	// Campaigns gives all campaigns, in the order of their IDs.
	Campaigns(ctx context.Context) ([]Campaign, error)
	// Campaign gives one. CodeUnknownCampaign.
	Campaign(ctx context.Context, code string) (Campaign, error)
}

// CampaignWriter changes campaigns; each change is recorded with the operator's name in the same transaction.
type CampaignWriter interface {
	// CreateCampaign stores a campaign with epoch 0: its gate opens with the first rebuild. One whose StartsAt is zero starts
	// now, by the ledger's clock. CodeInvalidRequest (Campaign.Check), CodeConflict: the code is taken.
	CreateCampaign(ctx context.Context, campaign Campaign, actor string) (Campaign, error)
	// ChangeCampaign applies a change as Campaign.Apply does. CodeUnknownCampaign, CodeInvalidRequest, CodeConflict.
	ChangeCampaign(ctx context.Context, code string, change CampaignChange, actor string) (Campaign, error)
}

// CouponStore stores what the consumer brings.
type CouponStore interface {
	// StoreCoupons stores winners of one campaign, at most MaxPage, in one short transaction, which reads the campaign's
	// epoch under a shared lock, and gives one result each, in order. CodeRowRefused: the database refuses at least one
	// of the rows, and none is stored.
	StoreCoupons(ctx context.Context, campaign string, winners []Winner) ([]StoreResult, error)
	// RecordFailEvent keeps a record that could not be stored. The same record twice (position, user,
	// campaign, Raw and Digest) is one event; another record at the same position is another event. An event with a slot
	// is recorded only under its own epoch: CodeEpochChanged otherwise.
	RecordFailEvent(ctx context.Context, event FailEvent) error
}

// FailEventClaimer shares the due fail events out among retryers.
type FailEventClaimer interface {
	// ClaimFailEvents takes up to limit due FAIL events to PROCESSING, with a lease, in one short transaction: of each
	// campaign those that have been due longest, and of these whose users were admitted first. If more than limit are due, the
	// campaigns with FAIL events take turns at half of it, and they come in turns: one campaign's backlog keeps no other's
	// events waiting. Those that wait longer than longestWait from
	// now count as due: the ledger's clock was set back. CodeInvalidRequest: limit is not 1..MaxPage, lease or longestWait
	// does not last.
	ClaimFailEvents(ctx context.Context, limit int, lease, longestWait time.Duration) ([]FailEvent, error)
	// RescueFailEvents takes up to limit PROCESSING events whose lease ran out back to FAIL, counting an attempt, or to
	// DEAD when that was the maxAttempts-th. It says how many. longestLease is the longest that any process claims for: a
	// lease that ends later than twice that from now ran out, since the ledger's clock was set back. CodeInvalidRequest:
	// limit is not 1..MaxPage, longestLease does not last.
	RescueFailEvents(ctx context.Context, limit, maxAttempts int, longestLease time.Duration) (int, error)
	// WakeFailEvents makes up to limit FAIL events of the campaign due now that wait because no slot was left
	// (ReasonNoSlotLeft), those first whose users were admitted first, and says how many. Those that are due stay as they are.
	WakeFailEvents(ctx context.Context, campaign string, limit int) (int, error)
	// PurgeAttempts deletes up to limit attempts of events that were resolved longer ago than that, and says how many.
	PurgeAttempts(ctx context.Context, longerAgo time.Duration, limit int) (int, error)
}

// FailEventSettler ends one attempt at a claimed fail event.
type FailEventSettler interface {
	// StoreClaimed stores the winner's coupon and marks the event SUCCESS in one short transaction, under the same epoch
	// rule as StoreCoupons. When the outcome leaves the user without a row nothing is changed, and the event is still
	// claimed. CodeLeaseLost, CodeRowRefused: as above, nothing is changed.
	StoreClaimed(ctx context.Context, event FailEvent, winner Winner) (StoreResult, error)
	// FailClaimed ends the attempt: back to FAIL, or DEAD. A slot of another epoch than the campaign's is not noted: the
	// event keeps what it holds, which is what the rebuild saw. noted says that the event holds the failure's slot from now
	// on, so that the ledger alone keeps it for the user. CodeLeaseLost: nothing is changed.
	FailClaimed(ctx context.Context, event FailEvent, failure Failure) (noted bool, err error)
}

// FailEventReader shows fail events to operators.
type FailEventReader interface {
	// FailEvents lists events, newest first. CodeInvalidRequest (FailEventFilter.Check).
	FailEvents(ctx context.Context, filter FailEventFilter) ([]FailEvent, error)
	// FailEvent gives one with all of its attempts, oldest first. CodeNotFound.
	FailEvent(ctx context.Context, id int64) (FailEvent, []FailEventAttempt, error)
	// CountFailEvents counts the events of a campaign, or of all when it is empty, by status and reason; each count
	// stops at limit, and what there is none of is left out. Those that an operator gave up are not counted: a number that
	// wants something done must be able to become 0.
	CountFailEvents(ctx context.Context, campaign string, limit int) ([]FailEventCount, error)
}

// FailEventOperator carries out what operators decide about a fail event; each step is recorded with their name.
type FailEventOperator interface {
	// RetryFailEvent makes a FAIL or DEAD event due now. CodeNotFound. CodeConflict: it is being processed, or resolved.
	RetryFailEvent(ctx context.Context, id int64, actor string) (FailEvent, error)
	// DiscardFailEvent gives an event up: DEAD and discarded. If it names a campaign and a user without a row, a
	// revoked row is stored in the same transaction, so that a late duplicate can't bring the user back. CodeNotFound.
	// CodeConflict: it is being processed, or resolved, or the database refuses the revoked row. CodeInvalidRequest: the
	// reason is empty or too long.
	DiscardFailEvent(ctx context.Context, id int64, reason, actor string) (FailEvent, error)
}

// CouponReader reads coupons.
type CouponReader interface {
	// FindCoupon gives a user's coupon, a revoked one too. CodeNotFound.
	FindCoupon(ctx context.Context, campaign string, user UserID) (Coupon, error)
	// HasUnresolvedFailEvent says whether a record of the user waits to be stored.
	HasUnresolvedFailEvent(ctx context.Context, campaign string, user UserID) (bool, error)
	// Coupons lists coupons in the order they were stored, after the cursor (0 starts at the first), and gives the next
	// cursor, 0 when there are no more. limit is 1..MaxPage. CodeUnknownCampaign.
	Coupons(ctx context.Context, campaign string, after int64, limit int) ([]Coupon, int64, error)
}

// LedgerRebuild is the ledger's part in a rebuild of a gate.
type LedgerRebuild interface {
	// BeginRebuild raises the campaign's epoch and fencing number and gives the row as it then is: from here on no row
	// of an older epoch is stored. The epoch is then above gateEpoch too, the gate's own: a ledger that went back may be
	// several behind it. One that is more than MaxEpochLead ahead is left out. CodeUnknownCampaign.
	BeginRebuild(ctx context.Context, code string, gateEpoch int64) (Campaign, error)
	// VisitHolders calls visit for every coupon and every unresolved fail event of the campaign whose user has no coupon,
	// all as of one moment, coupons first. A user may come more than once. An error of visit ends it and is returned.
	// The moment is one at which the campaign had this epoch and fencing number, so what was read decides together with
	// what is written. CodeOvertaken: it has others, as a newer rebuild or a replica that lags behind shows.
	// CodeUnknownCampaign.
	VisitHolders(ctx context.Context, campaign Campaign, visit func(Holder) error) error
	// FinishRebuild grants the wish for a lower quota where the use allows it (Campaign.Lowered), if campaign.Fencing is
	// still the newest and no operator has changed the quota since BeginRebuild. It gives the row as it then is.
	// CodeOvertaken otherwise: rebuild again.
	FinishRebuild(ctx context.Context, campaign Campaign, use SlotUse) (Campaign, error)
	// LowerQuota does the same without a rebuild, while a gate of campaign's epoch and settings version has that use.
	// CodeOvertaken: the epoch or the settings were changed since.
	LowerQuota(ctx context.Context, campaign Campaign, use SlotUse) (Campaign, error)
}

// RevocationLedger lists revocations that the gate was not told of yet.
type RevocationLedger interface {
	// UnreleasedCoupons gives up to limit revoked coupons whose slot was not yet released, those of some campaigns left
	// out.
	UnreleasedCoupons(ctx context.Context, limit int, except ...string) ([]Coupon, error)
	// MarkReleased notes that the gate of this epoch was told. Doing it twice is harmless. CodeOvertaken: the ledger has
	// another epoch, nothing is noted, and the gate is to be told again: it may have been one that was replaced, and
	// anybody who made the new one may have read the coupon before it was revoked.
	MarkReleased(ctx context.Context, campaign string, user UserID, epoch int64) error
}

// LedgerVerifier knows under which run of the database server the ledger was last compared with the topic. A server that
// was restarted, or another one in its place, may lack what was committed last.
type LedgerVerifier interface {
	// UnverifiedRun names the run of the server now, and is "" when the ledger was compared under it.
	UnverifiedRun(ctx context.Context) (string, error)
	// MarkVerified notes that a comparison which began under this run has come to its end. CodeConflict: the server runs
	// under another one by now, and nothing is noted.
	MarkVerified(ctx context.Context, run string) error
}

// LedgerCounter counts for the status of a campaign.
type LedgerCounter interface {
	// Count counts one campaign's rows. CodeUnknownCampaign.
	Count(ctx context.Context, campaign string) (LedgerCounts, error)
}

// AuditLedger is what an audit reads in addition to a rebuild's reading.
type AuditLedger interface {
	// FindHolders is LedgerRebuild.VisitHolders for some users only.
	FindHolders(ctx context.Context, campaign string, users []UserID) ([]Holder, error)
	// CountUnresolved counts a campaign's unresolved fail events by status.
	CountUnresolved(ctx context.Context, campaign string) (map[FailStatus]int64, error)
	// StuckFailEvents gives up to limit of a campaign's PROCESSING events that have no lease, or one that ended at
	// least overdue ago.
	StuckFailEvents(ctx context.Context, campaign string, overdue time.Duration, limit int) ([]FailEvent, error)
	// UntoldRevocations gives up to limit coupons of a campaign that were revoked at least overdue ago and of which the gate
	// was not told, oldest first.
	UntoldRevocations(ctx context.Context, campaign string, overdue time.Duration, limit int) ([]Coupon, error)
	// MissingKeys says, in words for an operator, which of the database's keys are missing on which promises and claims
	// rest. A migration puts them back.
	MissingKeys(ctx context.Context) ([]string, error)
}

// AuditStore keeps the last result for each campaign, so that every process can show it.
type AuditStore interface {
	// SaveAudit replaces the campaign's last result.
	SaveAudit(ctx context.Context, result AuditResult) error
	// LastAudits gives the last result of every campaign that was audited, in the order of their codes, at most
	// MaxPage of them; of one campaign when it is not empty.
	LastAudits(ctx context.Context, campaign string) ([]AuditResult, error)
}

// SettingStore keeps what operators change while running.
type SettingStore interface {
	// Setting gives a setting's value, "" when it was never set.
	Setting(ctx context.Context, name string) (string, error)
	// SetSetting changes it, and records who did.
	SetSetting(ctx context.Context, name, value, actor string) error
}

// Names of the settings.
const (
	// SettingRowsPerSecond is the consumers' throttle: total rows per second over all processes, 0 for no limit, or
	// RowsPerSecondAuto.
	SettingRowsPerSecond = "rows_per_second"
	// SettingConsumers is ConsumersPaused while an operator holds all consumers.
	SettingConsumers = "consumers"
	// SettingRetryerRun changes whenever an operator wants the retryers' jobs to run now; it holds the moment.
	SettingRetryerRun = "retryer_run"
	// SettingTopic is the topic's identity when the last search for lost winners ended; it is nothing that operators set.
	SettingTopic = "topic_identity"
)
