package kafkaqueue

import (
	"context"
	"errors"
	"log/slog"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// Tail implements domain.TailReader. It may be used by any number of goroutines.
type Tail struct {
	cfg     Config
	logger  *slog.Logger
	offsets *offsets
	seen    sightings
}

// OpenTail makes a reader of what the group has not committed. It dials nothing until it is used. The error is of the
// configuration only.
func OpenTail(cfg Config, logger *slog.Logger) (*Tail, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	offsets, err := openOffsets(cfg)
	if err != nil {
		return nil, err
	}
	return &Tail{cfg: cfg, logger: logger, offsets: offsets}, nil
}

// Close ends the connections. CodeUnavailable: not within 5 s; they end with their own timeouts then.
func (t *Tail) Close() error {
	if !finishes(t.cfg.closeTimeout, t.offsets.close) {
		return domain.Errorf(domain.CodeUnavailable, "the connections to Kafka could not be ended in time")
	}
	return nil
}

// PartitionPosition is where the consumer group stands on one partition.
type PartitionPosition struct {
	Partition int32
	// Topic names the topic for as long as it lives; empty where the brokers don't tell.
	Topic string
	// Oldest is the first record's offset, End the one after the last record's. Between Stable and End lie records behind
	// a transaction that is not decided yet.
	Oldest, Stable, End int64
	// Committed is the offset from which the group goes on: Oldest if nothing is committed, or if what was committed
	// does not fit the log.
	Committed int64
	// Expired counts the uncommitted records that retention deleted; -1 when the log is another one than that of which
	// the offset was committed, so that nobody knows how many.
	Expired int64
	// Broken says why the committed offset does not fit; empty when it does.
	Broken string
	// Restarts counts how often the group began the partition anew, the time that Broken speaks of included.
	Restarts int64
}

// goOn says where a reading begins that goes on where an earlier one ended.
func (p PartitionPosition) goOn(from domain.TailEnds) int64 {
	end, known := from[p.Partition]
	switch {
	case !known:
		return p.Committed
	case end.Log != p.Topic || end.Offset > p.End:
		return p.Oldest
	}
	return max(end.Offset, p.Oldest)
}

// Lag is how many offsets the group has not committed; a few may hold no record.
func (p PartitionPosition) Lag() int64 { return p.End - p.Committed }

// Positions tells where the group stands on every partition, in their order. CodeUnavailable.
func (t *Tail) Positions(ctx context.Context) ([]PartitionPosition, error) {
	partitions, err := t.offsets.partitions(ctx)
	if err != nil {
		return nil, unavailable(err, "find the topic "+t.cfg.Topic)
	}
	positions, err := readPositions(ctx, t.offsets, partitions)
	if err != nil {
		return nil, unavailable(err, "read the group's offsets")
	}
	return positions, nil
}

// readPositions asks for the committed offsets first, for the ends last: what is written or committed meanwhile then
// makes a tail longer, never shorter. All who need to know where the group stands ask here: the consumer when it is
// given partitions, and the readers of the tail.
func readPositions(ctx context.Context, offsets *offsets, partitions []int32) ([]PartitionPosition, error) {
	committed, err := offsets.committed(ctx, partitions)
	if err != nil {
		return nil, err
	}
	logs, err := offsets.logs(ctx, partitions, committed)
	if err != nil {
		return nil, err
	}
	positions := make([]PartitionPosition, 0, len(partitions))
	for _, partition := range partitions {
		positions = append(positions, positionOf(partition, committed[partition], logs[partition]))
	}
	return positions, nil
}

// logs says what the partitions' logs are now.
func (o *offsets) logs(ctx context.Context, partitions []int32, committed map[int32]commitPoint) (map[int32]logState, error) {
	topic, err := o.topic(ctx)
	if err != nil {
		return nil, err
	}
	oldest, err := o.at(ctx, partitions, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	stable, err := o.at(ctx, partitions, offsetStable)
	if err != nil {
		return nil, err
	}
	ends, err := o.at(ctx, partitions, sarama.OffsetNewest)
	if err != nil {
		return nil, err
	}
	logs := make(map[int32]logState, len(partitions))
	for _, partition := range partitions {
		log := logState{topic: topic, oldest: oldest[partition], stable: stable[partition], end: ends[partition]}
		point := committed[partition]
		if point.mark.last != "" && point.offset > log.oldest && point.offset <= log.end {
			if log.last, log.known, err = o.fingerprintAt(ctx, partition, point.offset-1); err != nil {
				return nil, err
			}
		}
		logs[partition] = log
	}
	return logs, nil
}

// ReadTail implements domain.TailReader. It gives up on a partition whose records don't come for 10 s.
func (t *Tail) ReadTail(
	ctx context.Context, from domain.TailEnds, visit func(domain.Delivery) error,
) (domain.TailEnds, error) {
	positions, err := t.Positions(ctx)
	if err != nil {
		return nil, err
	}
	ends := domain.TailEnds{}
	for _, position := range positions {
		ends[position.Partition] = domain.TailEnd{Offset: position.End, Log: position.Topic}
		reader := &rangeReader{
			tail: t, partition: position.Partition, next: position.goOn(from), stable: position.Stable, end: position.End,
		}
		if err := reader.read(ctx, visit); err != nil {
			var visited *visitError
			if errors.As(err, &visited) {
				return nil, visited.cause
			}
			return nil, unavailable(err, "read the records that are not committed")
		}
	}
	return ends, nil
}
