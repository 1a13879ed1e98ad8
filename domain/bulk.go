package domain

import "time"

// BulkAction is what is done to many fail events.
type BulkAction string

// The actions.
const (
	BulkRetry   BulkAction = "retry"
	BulkDiscard BulkAction = "discard"
)

const (
	// MaxBulkEvents bounds one bulk job; what matches beyond it is left for another one.
	MaxBulkEvents = 100_000
	// BulkPage is how many events one step of a job handles, in one short transaction.
	BulkPage = 200
	// BulkLease is how long a job is nobody else's after a step; then it is taken for abandoned, and may be taken up.
	BulkLease = 15 * time.Second
)

// BulkOrder says what to do to which fail events. Only events that are FAIL or DEAD and not resolved are ever
// selected; BeforeID and Limit of the filter mean nothing here.
type BulkOrder struct {
	Action BulkAction
	// Reason is why the events are discarded; empty for a retry.
	Reason string
	Filter FailEventFilter
}

// Check refuses an order that can't be carried out.
func (o BulkOrder) Check() error {
	switch {
	case o.Action != BulkRetry && o.Action != BulkDiscard:
		return Invalid("action", "action must be retry or discard")
	case o.Action == BulkRetry && o.Reason != "":
		return Invalid("reason", "a retry needs no reason")
	case o.Action == BulkDiscard:
		return CheckDiscardReason(o.Reason)
	}
	return nil
}

// BulkStatus is where a job stands.
type BulkStatus string

// The states. A job is BulkRunning while its lease lasts, and BulkAbandoned from then on, until it is taken up again.
const (
	BulkRunning   BulkStatus = "running"
	BulkAbandoned BulkStatus = "abandoned"
	BulkDone      BulkStatus = "done"
)

// BulkJob is a bulk order under way.
type BulkJob struct {
	ID int64
	BulkOrder
	Actor  string
	Status BulkStatus
	// Matched is how many events the order selected at its start, at most MaxBulkEvents.
	Matched int64
	// Done counts the events that were changed. Events that a retryer or an operator came to first are passed over.
	Done                  int64
	CreatedAt, FinishedAt time.Time
	UpdatedAt             time.Time
	// LeaseToken belongs to the one who works on the job.
	LeaseToken string
}
