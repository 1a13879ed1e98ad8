package domain

import "time"

// FunnelOutcome is what became of an application, as it is counted: accepted, reserved or known (asked again), the
// Code of a refusal, or issued for a coupon that was stored.
type FunnelOutcome string

// The outcomes that are no refusals.
const (
	// FunnelAccepted: a new winner whose record is in Kafka.
	FunnelAccepted FunnelOutcome = "accepted"
	// FunnelReserved: a new winner whose record is left to the relay.
	FunnelReserved FunnelOutcome = "reserved"
	// FunnelKnown: a winner asked again.
	FunnelKnown FunnelOutcome = "known"
	// FunnelIssued: a coupon row was stored.
	FunnelIssued FunnelOutcome = "issued"
)

// FunnelRefusals are the refusals of an application that are counted, each under its code. Any other failure counts as
// CodeInternal.
var FunnelRefusals = []Code{
	CodeSoldOut, CodeNotStarted, CodePaused, CodeEnded, CodeRevoked,
	CodeGateClosed, CodeOverloaded, CodeOutcomeUnknown, CodeUnavailable, CodeInternal,
}

// FunnelOutcomes are all outcomes that there are.
func FunnelOutcomes() []FunnelOutcome {
	outcomes := []FunnelOutcome{FunnelAccepted, FunnelReserved, FunnelKnown, FunnelIssued}
	for _, code := range FunnelRefusals {
		outcomes = append(outcomes, FunnelOutcome(code))
	}
	return outcomes
}

// IsFunnelRefusal says whether the outcome is a refusal or a failure.
func IsFunnelRefusal(outcome FunnelOutcome) bool {
	switch outcome {
	case FunnelAccepted, FunnelReserved, FunnelKnown, FunnelIssued:
		return false
	}
	return true
}

const (
	// FunnelBucket is how finely counts are kept over time.
	FunnelBucket = 10 * time.Second
	// FunnelRetention is how long they are kept that finely; totals are never deleted.
	FunnelRetention = 7 * 24 * time.Hour
	// MaxFunnelPoints bounds one curve.
	MaxFunnelPoints = 1000
)

// FunnelCount is how often something became of applications for a campaign.
type FunnelCount struct {
	Campaign string
	Outcome  FunnelOutcome
	Count    int64
}

// FunnelQuery asks for a curve: one point each Step from From up to Until. Step is a multiple of FunnelBucket, and
// there are at most MaxFunnelPoints points.
type FunnelQuery struct {
	// Campaign is whose counts are wanted; empty for those of all campaigns together.
	Campaign    string
	From, Until time.Time
	Step        time.Duration
}

// Check refuses a curve that can't be drawn.
func (q FunnelQuery) Check() error {
	if q.Step < FunnelBucket || q.Step%FunnelBucket != 0 {
		return Invalid("step_seconds", "step_seconds must be a multiple of %d", int(FunnelBucket/time.Second))
	}
	if !q.Until.After(q.From) {
		return Invalid("until", "until must be after from")
	}
	if q.Until.Sub(q.From)/q.Step >= MaxFunnelPoints {
		return Invalid("step_seconds", "a curve has at most %d points; choose a larger step_seconds or less time", MaxFunnelPoints)
	}
	return nil
}

// FunnelPoint is what was counted from At until one step later; what was never counted is left out.
type FunnelPoint struct {
	At     time.Time
	Counts map[FunnelOutcome]int64
}
