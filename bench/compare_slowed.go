package main

import (
	"context"

	limit "golang.org/x/time/rate"

	"firstcome/admission"
	"firstcome/api"
	"firstcome/domain"
)

// The slowed server can't serve more than this, so that the generator, which shares its machine, can send ten times as
// much. Its batches are smaller in proportion: with usual ones, a single batch would keep Kafka busy for a second.
const (
	slowedPerSecond = 200
	slowedBatch     = 32
)

// serveSlowed is firstcome's own server, before a Kafka that takes few records a second.
func serveSlowed(ctx context.Context, o options) error {
	cfg := api.Config{Admission: admission.Config{MaxBatch: slowedBatch, KafkaCrowd: slowedBatch}}
	return serveOurs(ctx, o, cfg, func(publisher domain.Publisher) domain.Publisher {
		return &slowPublisher{publisher, limit.NewLimiter(slowedPerSecond, slowedBatch)}
	})
}

// slowPublisher hands on no more records a second than the limit, in the order they came.
type slowPublisher struct {
	domain.Publisher
	turn *limit.Limiter
}

// PublishEach waits for its turn first. Whose turn does not come in time is handed on late, as slow servers do.
func (p *slowPublisher) PublishEach(ctx context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	if err := p.turn.WaitN(ctx, len(winners)); err != nil {
		<-ctx.Done()
	}
	p.Publisher.PublishEach(ctx, winners, settled)
}
