package consumer

import (
	"context"
	"sync"
	"time"
)

// heldByOperator is what State.Paused says while an operator holds the consumers.
const heldByOperator = "an operator has paused the consumers"

// hold keeps the next batch from being stored while an operator has paused the consumers. The batch in hand stays in
// hand, uncommitted, as while a store is away.
type hold struct {
	mu       sync.Mutex
	since    time.Time     // zero while nothing is held
	released chan struct{} // closed when the hold ends; nil while nothing is held
}

// set begins or ends the hold, and says whether that changed anything.
func (h *hold) set(held bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if held == (h.released != nil) {
		return false
	}
	if held {
		h.since, h.released = time.Now(), make(chan struct{})
		return true
	}
	close(h.released)
	h.since, h.released = time.Time{}, nil
	return true
}

// wait returns once nothing is held, or with the context's error.
func (h *hold) wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		released := h.released
		h.mu.Unlock()
		if released == nil {
			return ctx.Err()
		}
		select {
		case <-released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// state says why nothing is stored, and since when; empty while nothing is held.
func (h *hold) state() (string, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released == nil {
		return "", time.Time{}
	}
	return heldByOperator, h.since
}
