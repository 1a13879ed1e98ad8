package kafkaqueue

import (
	"context"
	"errors"

	"firstcome/domain"
)

// ReadStored implements domain.StoredReader. It gives up on a partition whose records don't come for 10 s.
func (t *Tail) ReadStored(ctx context.Context, newest int64, visit func(domain.Delivery) error) (whole bool, err error) {
	positions, err := t.Positions(ctx)
	if err != nil {
		return false, err
	}
	whole = true
	for _, position := range positions {
		from := position.Oldest
		if position.Committed-from > newest {
			from, whole = position.Committed-newest, false
		}
		reader := &rangeReader{
			tail: t, partition: position.Partition, next: from, stable: position.Stable, end: position.Committed,
		}
		if err := reader.read(ctx, visit); err != nil {
			var visited *visitError
			if errors.As(err, &visited) {
				return false, visited.cause
			}
			return false, unavailable(err, "read the records that are committed")
		}
	}
	return whole, nil
}
