package retryer

import (
	"context"
	"sync"

	"firstcome/domain"
)

// together lets all who want the same thing at the same time have it by one run. Each takes part in the next run to begin,
// never in one that is under way, so that what was there when they asked is seen. One run is under way at a time. M is what
// each of them brings to the run, T what it gives to all.
type together[M, T any] struct {
	// what is done, for errors: "read the topic's tail".
	what string
	// running is held by the one who runs.
	running chan struct{}

	mu   sync.Mutex
	next *sharedRun[M, T]
}

// sharedRun is one run and what those bring who take part; its result is there once done is closed.
type sharedRun[M, T any] struct {
	members []M
	done    chan struct{}
	result  T
	err     error
}

func newTogether[M, T any](what string) *together[M, T] {
	return &together[M, T]{what: what, running: make(chan struct{}, 1)}
}

// do gives what the next run gives. The first to ask runs for all: if that context ends, the others are refused with
// CodeUnavailable, and ask again.
func (t *together[M, T]) do(ctx context.Context, member M, run func(context.Context, []M) (T, error)) (T, error) {
	shared, first := t.join(member)
	if first {
		t.lead(ctx, shared, run)
	}
	select {
	case <-shared.done:
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
	if shared.err != nil && !first {
		return *new(T), domain.Wrap(domain.CodeUnavailable, shared.err, t.what+" together with others")
	}
	return shared.result, shared.err
}

func (t *together[M, T]) join(member M) (shared *sharedRun[M, T], first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next, first = &sharedRun[M, T]{done: make(chan struct{})}, true
	}
	t.next.members = append(t.next.members, member)
	return t.next, first
}

// lead waits for the run before, closes this one to newcomers, and runs.
func (t *together[M, T]) lead(ctx context.Context, shared *sharedRun[M, T], run func(context.Context, []M) (T, error)) {
	defer close(shared.done)
	shared.err = domain.Errorf(domain.CodeInternal, "%s: it panicked", t.what)
	select {
	case t.running <- struct{}{}:
		defer func() { <-t.running }()
		t.closeToNewcomers()
		shared.result, shared.err = run(ctx, shared.members)
	case <-ctx.Done():
		t.closeToNewcomers()
		shared.err = ctx.Err()
	}
}

func (t *together[M, T]) closeToNewcomers() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = nil
}
