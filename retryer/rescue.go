package retryer

import (
	"context"

	"firstcome/crashpoint"
)

const (
	rescueBatch     = 500
	maxRescueRounds = 20
)

// rescueOnce gives back the events whose retryer died or was cut off, and says how many. It counts an attempt for each,
// so this process gives back its own first, for which none counts.
func (r *Retryer) rescueOnce(ctx context.Context) (int, error) {
	if err := r.giveBackUnsettled(ctx); err != nil {
		return 0, err
	}
	total := 0
	for range maxRescueRounds {
		rescued, err := r.ports.Claimer.RescueFailEvents(ctx, rescueBatch, r.policy.rescueLimit(), r.cfg.Lease)
		if err != nil {
			return total, err
		}
		if rescued > 0 {
			crashpoint.Reach(crashpoint.Rescued)
		}
		total += rescued
		r.metrics.rescued.Add(float64(rescued))
		if rescued < rescueBatch {
			break
		}
	}
	if total > 0 {
		r.logger.Warn("leases of fail events had run out; the events are due again", "events", total)
	}
	return total, nil
}
