package domain

import (
	"context"
	"time"
)

// What operators see and do. It is kept in the ledger; what stands at the head of ports_ledger.go holds here as well.
// Each change is recorded with the operator's name in the same transaction.

// FunnelWriter keeps what became of applications.
type FunnelWriter interface {
	// AddFunnel adds the counts to the bucket of the moment and to the totals, in one transaction.
	AddFunnel(ctx context.Context, at time.Time, counts []FunnelCount) error
	// PurgeFunnel deletes up to limit buckets from before the moment, and says how many. The totals stay.
	PurgeFunnel(ctx context.Context, before time.Time, limit int) (int, error)
}

// FunnelReader shows what became of applications, summed over all processes.
type FunnelReader interface {
	// FunnelTotals gives the totals of every campaign.
	FunnelTotals(ctx context.Context) ([]FunnelCount, error)
	// FunnelSeries gives the points of a curve in which something was counted, oldest first. CodeInvalidRequest
	// (FunnelQuery.Check).
	FunnelSeries(ctx context.Context, query FunnelQuery) ([]FunnelPoint, error)
}

// CouponFinder finds coupons otherwise than by campaign and user.
type CouponFinder interface {
	// CouponBySlot gives the coupon that holds a slot. CodeNotFound. CodeUnknownCampaign.
	CouponBySlot(ctx context.Context, campaign string, slot Slot) (Coupon, error)
	// CouponsOfUser gives a user's coupons in all campaigns, at most MaxPage, newest campaign first.
	CouponsOfUser(ctx context.Context, user UserID) ([]Coupon, error)
}

// CouponRevoker takes coupons back.
type CouponRevoker interface {
	// RevokeCoupon moves the coupon's slot to RevokedSlot. From then on the user is refused for good, and the sweep has
	// the gate free the slot. CodeNotFound: there is no coupon. CodeConflict: it is revoked already. CodeInvalidRequest:
	// the reason (CheckDiscardReason). CodeUnknownCampaign.
	RevokeCoupon(ctx context.Context, campaign string, user UserID, reason, actor string) (Coupon, error)
}

// BulkReader shows bulk jobs.
type BulkReader interface {
	// CountBulk says how many events an order selects now; the count stops at limit. CodeInvalidRequest.
	CountBulk(ctx context.Context, order BulkOrder, limit int) (int64, error)
	// BulkJob gives one. CodeNotFound.
	BulkJob(ctx context.Context, id int64) (BulkJob, error)
	// BulkJobs lists jobs, newest first, those with a smaller ID than beforeID unless that is 0. limit is 1..MaxPage.
	BulkJobs(ctx context.Context, beforeID int64, limit int) ([]BulkJob, error)
}

// BulkRunner carries bulk jobs out. Anybody who has a job's lease works on it, step by step.
type BulkRunner interface {
	// StartBulk makes a job for the events that the order selects now, and gives it with a lease. CodeInvalidRequest.
	StartBulk(ctx context.Context, order BulkOrder, actor string) (BulkJob, error)
	// TakeBulk takes an abandoned job up, with a new lease. CodeNotFound. CodeConflict: it is running, or done.
	TakeBulk(ctx context.Context, id int64, actor string) (BulkJob, error)
	// StepBulk handles up to BulkPage events and prolongs the lease, in one short transaction: the events and the
	// progress are changed together, so a job that was cut short goes on where it stopped. An event whose revoked row
	// the database refuses is passed over. CodeLeaseLost: somebody else has taken the job up; nothing is changed.
	StepBulk(ctx context.Context, job BulkJob) (BulkJob, error)
}

// HeartbeatStore keeps what each process last said of itself.
type HeartbeatStore interface {
	// Beat replaces what the process said, and drops processes that were last seen a day ago.
	Beat(ctx context.Context, beat Heartbeat) error
	// Heartbeats gives those of processes seen at or after the moment, in the order of their names, at most MaxPage.
	Heartbeats(ctx context.Context, since time.Time) ([]Heartbeat, error)
}

// ActionLog is the operators' history. Stores record most actions themselves, with the change.
type ActionLog interface {
	// OperatorActions lists actions, newest first. CodeInvalidRequest: the limit, or a text of more than 200 bytes.
	OperatorActions(ctx context.Context, filter ActionFilter) ([]OperatorAction, error)
	// RecordAction keeps what changed nothing in the ledger itself, such as the run of an audit. ID and At are given by
	// the ledger.
	RecordAction(ctx context.Context, action OperatorAction) error
}
