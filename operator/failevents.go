package operator

import (
	"context"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// FailEventStore carries out what operators decide about a fail event, and records it; domain.FailEventOperator.
type FailEventStore interface {
	RetryFailEvent(ctx context.Context, id int64, actor string) (domain.FailEvent, error)
	DiscardFailEvent(ctx context.Context, id int64, reason, actor string) (domain.FailEvent, error)
}

// FailEvents are what operators do about single fail events.
type FailEvents struct{ store FailEventStore }

// NewFailEvents makes them.
func NewFailEvents(store FailEventStore) *FailEvents { return &FailEvents{store: store} }

// Retry makes a FAIL or DEAD event due now. CodeNotFound. CodeConflict: it is being processed, or resolved.
func (f *FailEvents) Retry(ctx context.Context, id int64, actor string) (domain.FailEvent, error) {
	return f.store.RetryFailEvent(ctx, id, actor)
}

// Discard gives an event up for good: its user gets no coupon, and no later one either. CodeNotFound. CodeConflict: it is
// being processed, or resolved, or the database refuses the row that keeps the user out. CodeInvalidRequest: the reason is
// empty or too long.
func (f *FailEvents) Discard(ctx context.Context, id int64, reason, actor string) (domain.FailEvent, error) {
	if err := domain.CheckDiscardReason(reason); err != nil {
		return domain.FailEvent{}, err
	}
	event, err := f.store.DiscardFailEvent(ctx, id, reason, actor)
	if err == nil {
		crashpoint.Reach(crashpoint.APIDiscarded)
	}
	return event, err
}
