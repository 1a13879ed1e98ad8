package api

import (
	"context"
	"sync"
	"time"
)

const (
	// lagInterval is how often the lag is read, lagPoints how many readings are kept: an hour of them.
	lagInterval = 2 * time.Second
	lagPoints   = 1800
)

// lagReading is how far the consumers were behind at a moment; Error says why that is not known.
type lagReading struct {
	At    time.Time
	Total int64
	PipelineView
	Error string
}

// lagHistory keeps the lag of the last hour in memory. It is read from Kafka alone, so the curve goes on while the
// database is away, which is when it is looked at.
type lagHistory struct {
	read func(ctx context.Context) (PipelineView, error)

	mu       sync.Mutex
	readings []lagReading // oldest first, at most lagPoints
}

func newLagHistory(read func(ctx context.Context) (PipelineView, error)) *lagHistory {
	return &lagHistory{read: read}
}

// run reads until the context ends.
func (h *lagHistory) run(ctx context.Context) {
	if h.read == nil {
		return
	}
	ticker := time.NewTicker(lagInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		h.runOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (h *lagHistory) runOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	reading := lagReading{At: now()}
	view, err := h.read(ctx)
	if err != nil {
		reading.Error = harmless(err)
	} else {
		reading.PipelineView = view
	}
	for _, partition := range view.Partitions {
		reading.Total += partition.Lag
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readings = append(h.readings, reading)
	if surplus := len(h.readings) - lagPoints; surplus > 0 {
		h.readings = append(h.readings[:0], h.readings[surplus:]...)
	}
}

// newest gives the last reading; false before there is one.
func (h *lagHistory) newest() (lagReading, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readings) == 0 {
		return lagReading{}, false
	}
	return h.readings[len(h.readings)-1], true
}

// since gives the readings from a moment on.
func (h *lagHistory) since(moment time.Time) []lagReading {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := len(h.readings)
	for first > 0 && !h.readings[first-1].At.Before(moment) {
		first--
	}
	return append([]lagReading(nil), h.readings[first:]...)
}
