package consumer

import (
	"context"
	"slices"
	"time"

	"firstcome/domain"
)

// Poll gives again what was not committed, and then what is new; when nothing is there, it waits.
func (w *world) Poll(ctx context.Context, limit int, linger time.Duration) ([]domain.Delivery, error) {
	if err := callPlain(w, "poll", func() error { return nil }); err != nil {
		return nil, err
	}
	for lingered := false; ; {
		var batch []domain.Delivery
		w.see(func() { batch = w.give(limit) })
		if len(batch) == limit || len(batch) > 0 && lingered {
			return batch, nil
		}
		lingered = len(batch) > 0
		select {
		case <-time.After(max(linger, time.Millisecond)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *world) give(limit int) []domain.Delivery {
	for p := range w.partitions {
		take := max(0, min(limit-len(w.given), len(w.partitions[p])-w.read[p]))
		w.given = append(w.given, w.partitions[p][w.read[p]:w.read[p]+take]...)
		w.read[p] += take
	}
	return slices.Clone(w.given[:min(limit, len(w.given))])
}

// Commit moves no offset past a record that is given and not committed.
func (w *world) Commit(_ context.Context, deliveries []domain.Delivery) error {
	return callPlain(w, "commit", func() error {
		done := map[domain.RecordPosition]bool{}
		for _, delivery := range deliveries {
			done[delivery.Position] = true
		}
		w.given = slices.DeleteFunc(w.given, func(d domain.Delivery) bool { return done[d.Position] })
		copy(w.committed, w.read)
		for _, delivery := range append(slices.Clone(w.given), w.putBack...) {
			p := delivery.Position.Partition
			w.committed[p] = min(w.committed[p], int(delivery.Position.Offset))
		}
		return nil
	})
}

// rejoin is what a new owner of the partitions sees.
func (w *world) rejoin() {
	copy(w.read, w.committed)
	w.given, w.putBack = nil, nil
}

// PutBack has room for all.
func (w *world) PutBack(deliveries []domain.Delivery) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls["put back"]++
	gone := map[domain.RecordPosition]bool{}
	for _, delivery := range deliveries {
		gone[delivery.Position] = true
	}
	w.given = slices.DeleteFunc(w.given, func(d domain.Delivery) bool { return gone[d.Position] })
	w.putBack = append(w.putBack, deliveries...)
	return len(deliveries)
}

func (w *world) GiveAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls["give again"]++
	w.given, w.putBack = append(w.given, w.putBack...), nil
}
