package retryer

import "context"

const (
	purgeBatch     = 1000
	maxPurgeRounds = 100
)

// purgeOnce deletes the attempts of events that were resolved long ago, in small bites, and says how many.
func (r *Retryer) purgeOnce(ctx context.Context) (int, error) {
	total := 0
	for range maxPurgeRounds {
		purged, err := r.ports.Claimer.PurgeAttempts(ctx, r.cfg.KeepAttempts, purgeBatch)
		if err != nil {
			return total, err
		}
		total += purged
		if purged < purgeBatch {
			break
		}
	}
	if total > 0 {
		r.logger.Info("attempts of resolved fail events purged", "attempts", total, "resolved_longer_ago_than", r.cfg.KeepAttempts)
	}
	return total, nil
}
