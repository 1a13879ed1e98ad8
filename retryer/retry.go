package retryer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

const (
	// maxClaims bounds how many batches one run of the job claims.
	maxClaims = 10
	// maxRounds bounds how often one attempt asks the gate because it was rebuilt meanwhile.
	maxRounds = 3
	// maxUnsent bounds the disputes that wait for the gate.
	maxUnsent = 1000
)

// retryCount says how the attempts of one run ended.
type retryCount map[string]int

// The ends of an attempt, as the metric names them.
const (
	endStored  = "stored"
	endFailed  = "failed"
	endDead    = "dead"
	endWaiting = "waiting"
	endLost    = "lease_lost"
)

// retryOnce claims due fail events and makes one attempt at each, every one in transactions of its own:
//
//  1. Claim a batch. A crash leaves leases that run out; the rescue gives the events back.
//  2. Ask the gate for a slot where the event has none, or one of another epoch. A crash leaves a winner who is
//     pending in the gate: the relay sends the record, which meets the event's row or makes it.
//  3. Store the coupon and mark the event SUCCESS in one transaction. A crash leaves both or neither.
//  4. Otherwise end the attempt: FAIL or DEAD. For want of a slot it is FAIL and is not counted: the sweep makes the event
//     due when there is one (waiting.go).
//  5. Tell the gate: of a contradiction, or that a new winner is durable. A crash before it leaves a contradiction
//     that the next attempt meets again, or a pending entry for the relay.
func (r *Retryer) retryOnce(ctx context.Context) (retryCount, error) {
	count := retryCount{}
	r.sendDisputes(ctx)
	if err := r.giveBackUnsettled(ctx); err != nil {
		return count, err
	}
	var failures []error
	slow := map[string]bool{}
	for range maxClaims {
		events, err := r.ports.Claimer.ClaimFailEvents(ctx, r.cfg.ClaimLimit, r.cfg.Lease, r.policy.longestWait())
		if err != nil {
			return count, errors.Join(append(failures, err)...)
		}
		if len(events) > 0 {
			crashpoint.Reach(crashpoint.RetryClaimed)
		}
		failures = append(failures, r.attemptAll(ctx, events, runNotes{count, slow})...)
		if len(events) < r.cfg.ClaimLimit || len(failures) > 0 || ctx.Err() != nil {
			break
		}
	}
	return count, errors.Join(failures...)
}

// runNotes is what one run of the job has seen so far.
type runNotes struct {
	count retryCount
	// slow are the campaigns at which an attempt was slow: their events take no more of this run's time from the others.
	slow map[string]bool
}

// slowAttempt is what an attempt may take; somebody who holds a lock of the campaign makes it take longer.
const slowAttempt = time.Second

// yields says whether the first event waits because its campaign is slow and one of another campaign waits behind it.
func (n runNotes) yields(events []domain.FailEvent) bool {
	return n.slow[events[0].Campaign] &&
		slices.ContainsFunc(events, func(e domain.FailEvent) bool { return !n.slow[e.Campaign] })
}

// attemptAll works within the lease even while the process stops: what it has no time for, it gives back. When the
// ledger goes away it keeps the rest in mind, to give it back as soon as the ledger is there.
func (r *Retryer) attemptAll(ctx context.Context, events []domain.FailEvent, notes runNotes) []error {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Lease)
	defer cancel()
	halftime := time.Now().Add(r.cfg.Lease / 2)
	var failures []error
	for i, event := range events {
		var end string
		var err error
		if ctx.Err() != nil || time.Now().After(halftime) || notes.yields(events[i:]) {
			end, err = r.giveBack(work, event, errNoTime)
		} else {
			began := time.Now()
			end, err = r.attempt(work, event)
			notes.slow[event.Campaign] = time.Since(began) > slowAttempt
		}
		notes.count[end]++
		r.metrics.attempts.WithLabelValues(end).Inc()
		if err != nil {
			failures = append(failures, fmt.Errorf("fail event %d: %w", event.ID, err))
		}
		if isAway(err) {
			r.keepUnsettled(events[i:])
			break
		}
	}
	return failures
}

// keepUnsettled is called for at most one batch at a time: none is claimed before the last one was given back.
func (r *Retryer) keepUnsettled(events []domain.FailEvent) {
	r.unsettledMu.Lock()
	defer r.unsettledMu.Unlock()
	r.unsettled = append(r.unsettled, events...)
}

// giveBackUnsettled ends the attempts that an outage of the ledger left open. Somebody else's rescue may have come
// first; then there is nothing to do.
func (r *Retryer) giveBackUnsettled(ctx context.Context) error {
	r.unsettledMu.Lock()
	defer r.unsettledMu.Unlock()
	for len(r.unsettled) > 0 {
		if _, err := r.giveBack(ctx, r.unsettled[0], errNoTime); err != nil && isAway(err) {
			return err
		}
		r.unsettled = r.unsettled[1:]
	}
	return nil
}

var errNoTime = domain.Errorf(domain.CodeOverloaded, "there was no time for this attempt; it comes next")

// attempt makes one attempt and says how it ended. An error means that the ledger could not be told of the end.
func (r *Retryer) attempt(ctx context.Context, event domain.FailEvent) (string, error) {
	if message := hopeless(event); message != "" {
		return r.settle(ctx, event, r.policy.hopelessFailure(event, message))
	}
	t := &try{Retryer: r, event: event, winner: event.Winner}
	err := t.store(ctx)
	switch {
	case err == nil:
		crashpoint.Reach(crashpoint.RetryStored)
		t.tellGate(ctx, true)
		return endStored, nil
	case domain.CodeOf(err) == domain.CodeLeaseLost:
		return endLost, nil
	case t.failure == nil && (isAway(err) || t.unexplained):
		return r.giveBack(ctx, event, err)
	case t.waits:
		return r.settle(ctx, event, r.policy.waitingForSlot(*t.failure, rand.Float64()))
	}
	failure := r.policy.failed(event.Attempts, t.whatFailed(err), rand.Float64())
	failure.Dead = failure.Dead && !t.another
	noted, err := r.ports.Settler.FailClaimed(ctx, event, failure)
	if err == nil {
		crashpoint.Reach(crashpoint.RetryFailed)
		t.tellGate(ctx, noted)
	}
	return r.settled(event, failure, err)
}

// isAway says whether an attempt failed because a store could not be used, or not in time.
func isAway(err error) bool {
	return domain.IsTransient(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (r *Retryer) giveBack(ctx context.Context, event domain.FailEvent, cause error) (string, error) {
	return r.settle(ctx, event, r.policy.waiting(event, cause, rand.Float64()))
}

// settle ends an attempt without success.
func (r *Retryer) settle(ctx context.Context, event domain.FailEvent, failure domain.Failure) (string, error) {
	_, err := r.ports.Settler.FailClaimed(ctx, event, failure)
	return r.settled(event, failure, err)
}

// settled says how an attempt ended of which the ledger was told, or could not be told.
func (r *Retryer) settled(event domain.FailEvent, failure domain.Failure, err error) (string, error) {
	switch {
	case domain.CodeOf(err) == domain.CodeLeaseLost:
		return endLost, nil
	case failure.Dead && err == nil:
		r.logger.Error("fail event is dead; an operator has to look at it", "fail_event", event.ID,
			"campaign", event.Campaign, "user_id", event.UserID, "reason", failure.Reason, "error", failure.Message)
		return endDead, nil
	case failure.Uncounted:
		return endWaiting, err
	}
	return endFailed, err
}

// sendDisputes tells the gate what it could not be told when the event was resolved.
func (r *Retryer) sendDisputes(ctx context.Context) {
	for len(r.unsent) > 0 {
		if err := r.ports.Mender.Dispute(ctx, r.unsent[0]); err != nil {
			return
		}
		r.unsent = r.unsent[1:]
	}
}
