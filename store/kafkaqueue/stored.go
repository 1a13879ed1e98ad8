package kafkaqueue

import (
	"context"
	"errors"

	"firstcome/domain"
)

// ReadStored implements domain.StoredReader. It gives up on a partition whose records don't come for 10 s.
func (t *Tail) ReadStored(
	ctx context.Context, part domain.StoredPart, visit func(domain.Delivery) error,
) (domain.StoredRead, error) {
	positions, err := t.Positions(ctx)
	if err != nil {
		return domain.StoredRead{}, err
	}
	read := domain.StoredRead{Ends: domain.TailEnds{}, Whole: true}
	for _, position := range positions {
		from, whole := position.storedFrom(part)
		read.Whole = read.Whole && whole
		read.Ends[position.Partition] = domain.TailEnd{Offset: position.Committed, Log: position.Topic}
		reader := &rangeReader{
			tail: t, partition: position.Partition, next: from, stable: position.Stable, end: position.Committed,
		}
		if err := reader.read(ctx, visit); err != nil {
			var visited *visitError
			if errors.As(err, &visited) {
				return domain.StoredRead{}, visited.cause
			}
			return domain.StoredRead{}, unavailable(err, "read the records that are committed")
		}
	}
	return read, nil
}

// storedFrom says where the wanted part begins, and whether that leaves out nothing that comes after the earlier reading.
func (p PartitionPosition) storedFrom(part domain.StoredPart) (from int64, whole bool) {
	from = p.Oldest
	if end, known := part.After[p.Partition]; known && end.Log == p.Topic {
		from = max(from, end.Offset)
	}
	if p.Committed-from > part.Newest {
		return p.Committed - part.Newest, false
	}
	return from, true
}
