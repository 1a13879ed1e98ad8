package retryer

import (
	"context"
	"sync"

	"firstcome/domain"
)

// together lets all who want the same thing at the same time have it by one run. Each takes part in the next run
// to begin, never in one that is under way, so that what was there when they asked is seen. One run is under way at a time.
type together[T any] struct {
	// running is held by the one who runs.
	running chan struct{}

	mu   sync.Mutex
	next *sharedRun[T]
}

// sharedRun is one run; its result is there once done is closed.
type sharedRun[T any] struct {
	done   chan struct{}
	result T
	err    error
}

func newTogether[T any]() *together[T] { return &together[T]{running: make(chan struct{}, 1)} }

// do gives what the next run gives. The first to ask runs for all: if that context ends, the others are refused with
// CodeUnavailable, and ask again.
func (t *together[T]) do(ctx context.Context, run func(context.Context) (T, error)) (T, error) {
	shared, first := t.join()
	if first {
		t.lead(ctx, shared, run)
	}
	select {
	case <-shared.done:
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
	if shared.err != nil && !first {
		return *new(T), domain.Wrap(domain.CodeUnavailable, shared.err, "do something together with others")
	}
	return shared.result, shared.err
}

func (t *together[T]) join() (shared *sharedRun[T], first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next, first = &sharedRun[T]{done: make(chan struct{})}, true
	}
	return t.next, first
}

// lead waits for the run before, closes this one to newcomers, and runs.
func (t *together[T]) lead(ctx context.Context, shared *sharedRun[T], run func(context.Context) (T, error)) {
	defer close(shared.done)
	shared.err = domain.Errorf(domain.CodeInternal, "what was run for all panicked")
	select {
	case t.running <- struct{}{}:
		defer func() { <-t.running }()
		t.closeToNewcomers()
		shared.result, shared.err = run(ctx)
	case <-ctx.Done():
		t.closeToNewcomers()
		shared.err = ctx.Err()
	}
}

func (t *together[T]) closeToNewcomers() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = nil
}
