package consumer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"firstcome/domain"
)

// brake makes the consumer wait between tries while a store is away. A pause lasts from the first failure until
// something succeeds, and is logged and counted once.
type brake struct {
	min, max time.Duration
	metrics  *metrics
	logger   *slog.Logger

	mu    sync.Mutex
	why   string
	since time.Time
	tries int
}

func newBrake(shortest, longest time.Duration, metrics *metrics, logger *slog.Logger) *brake {
	return &brake{min: shortest, max: longest, metrics: metrics, logger: logger}
}

// wait notes why nothing moves and waits until the next try is due or the context ends.
func (b *brake) wait(ctx context.Context, cause error) {
	if ctx.Err() != nil {
		return
	}
	timer := time.NewTimer(b.note(cause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (b *brake) note(cause error) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tries == 0 {
		b.since = time.Now()
		b.metrics.paused.Set(1)
		b.metrics.pauses.WithLabelValues(string(domain.CodeOf(cause))).Inc()
		b.logger.Warn("consumer paused; the batch in hand is kept and tried again", "cause", cause)
	}
	b.why = cause.Error()
	b.tries++
	return backoff(b.min, b.max, b.tries)
}

// release ends a pause, if there is one.
func (b *brake) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tries == 0 {
		return
	}
	b.metrics.paused.Set(0)
	b.logger.Info("consumer resumed", "paused_for", time.Since(b.since), "tries", b.tries)
	b.why, b.since, b.tries = "", time.Time{}, 0
}

func (b *brake) state() (string, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why, b.since
}

// backoff doubles from the shortest to the longest wait, and spreads each over its upper half, so that consumers that
// failed together don't come back together.
func backoff(shortest, longest time.Duration, tries int) time.Duration {
	wait := longest
	if doublings := tries - 1; doublings < 30 && shortest<<doublings < longest {
		wait = shortest << doublings
	}
	return wait/2 + rand.N(wait/2+1)
}
