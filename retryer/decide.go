package retryer

import (
	"strings"
	"time"

	"firstcome/domain"
)

// policy decides what follows a failed attempt. It knows no clock, and chance is given to it.
type policy struct {
	maxAttempts            int
	backoffMin, backoffMax time.Duration
}

// giveBackAfter is when an event is due again whose attempt failed because a store was away.
const giveBackAfter = 2 * time.Second

// hopeless says why an event can never be stored, or "".
func hopeless(event domain.FailEvent) string {
	switch {
	case event.Reason == domain.ReasonUnparsable:
		return "the record can't be read; look at it and discard it: " + event.ErrorMessage
	case event.UserID < 1:
		return "the record names no user; look at it and discard it: " + event.ErrorMessage
	case event.Campaign == "":
		return "the record names no campaign that exists; look at it and discard it: " + event.ErrorMessage
	}
	return ""
}

// failed ends an attempt that failed for a reason of the event's own: it counts, and the last one is the end.
// random is from 0 up to 1.
func (p policy) failed(attemptsBefore int, why domain.Failure, random float64) domain.Failure {
	why.Message = bounded(why.Message)
	why.Dead = attemptsBefore+1 >= p.maxAttempts
	why.NextAttemptIn = p.backoff(attemptsBefore+1, random)
	return why
}

// hopelessFailure ends the attempts of an event that can never be stored.
func (p policy) hopelessFailure(event domain.FailEvent, message string) domain.Failure {
	return domain.Failure{
		Reason: event.Reason, Message: bounded(message), Slot: event.Slot, Epoch: event.Epoch, Dead: true,
	}
}

// waiting ends an attempt that failed because a store was away. That is not the event's fault: it is not counted,
// however often it happens, so an outage of any length never drives an event to DEAD. The event keeps the slot and
// the epoch it had.
func (p policy) waiting(event domain.FailEvent, cause error, random float64) domain.Failure {
	return domain.Failure{
		Reason: event.Reason, Message: bounded(cause.Error()), Slot: event.Slot, Epoch: event.Epoch,
		NextAttemptIn: spread(giveBackAfter, random), Uncounted: true,
	}
}

// lookAgainAfter is when an event that waits for a slot asks the gate by itself. The sweep makes it due as soon as there is
// one; this is for what the sweep can't see.
const lookAgainAfter = 5 * time.Minute

// waitingForSlot ends an attempt for which the gate had no slot left. Waiting is no failure of the event's: it is not
// counted, so a promise never ends DEAD for want of a slot.
func (p policy) waitingForSlot(why domain.Failure, random float64) domain.Failure {
	why.Message = bounded(why.Message)
	why.NextAttemptIn, why.Uncounted = spread(lookAgainAfter, random), true
	return why
}

// longestWait is the longest that any end of an attempt plans.
func (p policy) longestWait() time.Duration { return max(p.backoffMax, lookAgainAfter, giveBackAfter) }

// backoff doubles with each failed attempt up to the longest, spread over its upper half.
func (p policy) backoff(failures int, random float64) time.Duration {
	wait := p.backoffMax
	if doublings := failures - 1; doublings < 40 && p.backoffMin < p.backoffMax>>doublings {
		wait = p.backoffMin << doublings
	}
	return spread(wait, random)
}

// spread gives a wait between half of the longest and all of it, so that what failed together is not due together.
func spread(longest time.Duration, random float64) time.Duration {
	return longest/2 + time.Duration(random*float64(longest/2))
}

// rescueLimit is after how many attempts an event becomes DEAD whose lease ran out. A lease that ran out is more
// often a stopped process's or an outage's fault than the event's, so it takes many; but an event which kills
// every process that touches it must end some day.
func (p policy) rescueLimit() int { return 10 * p.maxAttempts }

// bounded cuts an error text to what is kept of it, as valid UTF-8.
func bounded(message string) string {
	message = message[:min(len(message), domain.MaxErrorMessageBytes)]
	return strings.ToValidUTF8(message, "")
}
