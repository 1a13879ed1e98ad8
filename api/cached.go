package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"firstcome/domain"
)

// cacheAge is how old a shared answer may be.
const cacheAge = 500 * time.Millisecond

// cached shares one answer of the stores among all who ask within cacheAge, and one call among all who wait, so that
// polling costs the stores the same however many poll. An answer that says "the store is away" is shared as well.
type cached[T any] struct {
	base   context.Context // ends with the server; a caller who leaves does not end the call for the others
	load   func(ctx context.Context) T
	flight singleflight.Group

	mu       sync.Mutex
	value    T
	loadedAt time.Time
}

func newCached[T any](base context.Context, load func(ctx context.Context) T) *cached[T] {
	return &cached[T]{base: base, load: load}
}

// get gives the answer and when it was asked for. The error is that the caller's context ended while waiting.
func (c *cached[T]) get(ctx context.Context) (T, time.Time, error) {
	if value, at, ok := c.fresh(); ok {
		return value, at, nil
	}
	loaded := c.flight.DoChan("", func() (any, error) {
		c.renew()
		return nil, nil
	})
	select {
	case <-loaded:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.value, c.loadedAt, nil
	case <-ctx.Done():
		var none T
		return none, time.Time{}, domain.Wrap(domain.CodeUnavailable, ctx.Err(), "the stores did not answer in time")
	}
}

func (c *cached[T]) fresh() (T, time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.loadedAt, !c.loadedAt.IsZero() && time.Since(c.loadedAt) < cacheAge
}

func (c *cached[T]) renew() {
	if _, _, ok := c.fresh(); ok {
		return
	}
	ctx, cancel := context.WithTimeout(c.base, storeTimeout)
	defer cancel()
	at := time.Now()
	value := c.load(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.loadedAt = value, at
}
