package kafkaqueue

import (
	"context"
	"errors"
	"slices"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// shelf remembers which records were put back, by their place alone. It is not safe for concurrent use.
type shelf struct {
	spans map[int32][]span
	count int
}

// span is a range of offsets, each of which is a record's that was put back.
type span struct{ from, to int64 }

// maxSpans bounds what one process remembers, to 16 MiB. Records that follow each other are one span.
const maxSpans = 1 << 20

// add puts a record back. It is false when there is no room.
func (s *shelf) add(partition int32, offset int64) bool {
	spans := s.spans[partition]
	place, there := find(spans, offset)
	switch {
	case there:
		return true
	case place > 0 && spans[place-1].to == offset:
		spans[place-1].to++
		return true
	case s.count == maxSpans:
		return false
	}
	if s.spans == nil {
		s.spans = map[int32][]span{}
	}
	s.spans[partition] = slices.Insert(spans, place, span{offset, offset + 1})
	s.count++
	return true
}

// remove says whether the record was there.
func (s *shelf) remove(partition int32, offset int64) bool {
	spans := s.spans[partition]
	place, there := find(spans, offset)
	if !there {
		return false
	}
	var left []span
	if one := spans[place]; one.from < offset {
		left = append(left, span{one.from, offset})
	}
	if one := spans[place]; offset+1 < one.to {
		left = append(left, span{offset + 1, one.to})
	}
	s.count += len(left) - 1
	s.spans[partition] = slices.Replace(spans, place, place+1, left...)
	return true
}

// removeBefore forgets what is left of a partition before an offset, and says how many records that were.
func (s *shelf) removeBefore(partition int32, end int64) (gone int64) {
	spans := s.spans[partition]
	whole := 0
	for whole < len(spans) && spans[whole].to <= end {
		gone += spans[whole].to - spans[whole].from
		whole++
	}
	if whole < len(spans) && spans[whole].from < end {
		gone += end - spans[whole].from
		spans[whole].from = end
	}
	if whole > 0 {
		s.count -= whole
		s.spans[partition] = slices.Delete(spans, 0, whole)
	}
	return gone
}

func (s *shelf) has(partition int32, offset int64) bool {
	_, there := find(s.spans[partition], offset)
	return there
}

// find gives the span that holds the offset, or else the place where one would be.
func find(spans []span, offset int64) (place int, there bool) {
	return slices.BinarySearchFunc(spans, offset, func(one span, offset int64) int {
		switch {
		case one.to <= offset:
			return -1
		case one.from > offset:
			return 1
		}
		return 0
	})
}

// oldest lowers each partition's offset to that of the oldest record that was put back.
func (s *shelf) oldest(offsets map[int32]int64) {
	for partition, spans := range s.spans {
		if len(spans) > 0 {
			lower(offsets, partition, spans[0].from)
		}
	}
}

// ranges gives the range of each partition that holds what was put back.
func (s *shelf) ranges() map[int32]span {
	ranges := map[int32]span{}
	for partition, spans := range s.spans {
		if len(spans) > 0 {
			ranges[partition] = span{spans[0].from, spans[len(spans)-1].to}
		}
	}
	return ranges
}

// PutBack implements domain.Source. A partition that goes to another owner takes what was put back with it.
func (s *Source) PutBack(deliveries []domain.Delivery) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outstanding.putBack(deliveries)
}

// GiveAgain implements domain.Source. The records are read in the background.
func (s *Source) GiveAgain() {
	select {
	case s.again <- struct{}{}:
	default: // it was asked for already
	}
}

// readAgain reads what was put back each time that it is asked for, until ctx ends.
func (s *Source) readAgain(ctx context.Context) {
	for {
		select {
		case <-s.again:
		case <-ctx.Done():
			return
		}
		if err := s.readAgainOnce(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("records that were put back could not be read again; trying again", "error", err)
			_ = pause(ctx, longestBackoff)
			s.GiveAgain()
		}
	}
}

func (s *Source) readAgainOnce(ctx context.Context) error {
	s.mu.Lock()
	current := s.current
	var ranges map[int32]span
	if current != nil {
		ranges = current.putBack.ranges()
	}
	s.mu.Unlock()
	for partition, found := range ranges {
		if err := s.readRange(ctx, current, partition, found); err != nil {
			return err
		}
	}
	return nil
}

var errSessionOver = errors.New("the session is over")

// readRange reads one partition's records that were put back. All before them is decided: they were given once.
func (s *Source) readRange(ctx context.Context, current *session, partition int32, found span) error {
	reader := &rangeReader{
		tail:      &Tail{cfg: s.cfg, logger: s.logger, offsets: s.offsets},
		partition: partition, next: found.from, stable: found.to, end: found.to,
	}
	err := reader.read(ctx, func(delivery domain.Delivery) error {
		s.mu.Lock()
		wanted := current.putBack.has(partition, delivery.Position.Offset)
		s.mu.Unlock()
		if !wanted {
			return nil
		}
		select {
		case s.records <- taken{delivery: delivery, session: current, again: true}:
			return nil
		case <-current.over:
			return errSessionOver
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var visited *visitError
	if errors.As(err, &visited) && errors.Is(visited.cause, errSessionOver) {
		return nil // anybody who has the partition next is given them
	}
	if err != nil {
		return err
	}
	return s.forgetExpired(ctx, current, partition)
}

// forgetExpired has offsets move on past what retention deleted while it was put back.
func (s *Source) forgetExpired(ctx context.Context, current *session, partition int32) error {
	oldest, err := s.offsets.at(ctx, []int32{partition}, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if gone := current.putBack.removeBefore(partition, oldest[partition]); gone > 0 {
		s.metrics.expired.Add(float64(gone))
		s.logger.Error("RECORDS WERE LOST: retention deleted them while they waited", "topic", s.cfg.Topic, "partition", partition, "records", gone)
	}
	return nil
}
