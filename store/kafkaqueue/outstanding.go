package kafkaqueue

import "firstcome/domain"

// session is one generation of the group as this process takes part in it: the partitions that are its own.
type session struct {
	member     string
	generation int32
	// over is closed when the partitions are no longer ours.
	over <-chan struct{}
	// next is, for each partition, the offset after the newest record taken; committed is where the group stands.
	next, committed map[int32]int64
}

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// taken is a record on its way to the consumer, and the session under which it was fetched.
type taken struct {
	delivery domain.Delivery
	session  *session
}

// outstanding holds the records that were taken from the queue and are not committed, in the order they came. All are
// of one session after dropEnded. It is not safe for concurrent use.
type outstanding struct{ records []taken }

// add takes a record in, unless its session is over.
func (o *outstanding) add(record taken) {
	if record.session.isOver() {
		return
	}
	record.session.next[record.delivery.Position.Partition] = record.delivery.Position.Offset + 1
	o.records = append(o.records, record)
}

// dropEnded forgets the records of sessions that are over: the partitions' next owners get them again.
func (o *outstanding) dropEnded() {
	o.keep(func(record taken) bool { return !record.session.isOver() })
}

func (o *outstanding) keep(wanted func(taken) bool) {
	kept := o.records[:0]
	for _, record := range o.records {
		if wanted(record) {
			kept = append(kept, record)
		}
	}
	clear(o.records[len(kept):])
	o.records = kept
}

// first gives the oldest records, at most limit of them.
func (o *outstanding) first(limit int) []domain.Delivery {
	deliveries := make([]domain.Delivery, min(limit, len(o.records)))
	for i := range deliveries {
		deliveries[i] = o.records[i].delivery
	}
	return deliveries
}

// settlement is what a commit has to do: the positions to commit in a session, and the records done by that.
type settlement struct {
	session   *session
	positions map[int32]int64
	done      map[domain.RecordPosition]bool
	// unknown counts the deliveries that are not outstanding: done before, or of a session that is over.
	unknown int
}

// settle says what committing the deliveries means. A partition's position never passes a record that is still
// outstanding, so a record that was forgotten or failed is never committed by the way.
func (o *outstanding) settle(deliveries []domain.Delivery) settlement {
	s := settlement{positions: map[int32]int64{}, done: make(map[domain.RecordPosition]bool, len(deliveries))}
	given := make(map[domain.RecordPosition]bool, len(deliveries))
	for _, delivery := range deliveries {
		given[delivery.Position] = true
	}
	blocked := map[int32]bool{}
	for _, record := range o.records {
		position := record.delivery.Position
		if !given[position] {
			if !blocked[position.Partition] {
				blocked[position.Partition] = true
				s.positions[position.Partition] = position.Offset
			}
			continue
		}
		s.session, s.done[position] = record.session, true
		if !blocked[position.Partition] {
			s.positions[position.Partition] = record.session.next[position.Partition]
		}
	}
	s.unknown = len(given) - len(s.done)
	if s.session == nil {
		s.positions = nil
	}
	for partition, position := range s.positions {
		if position <= s.session.committed[partition] {
			delete(s.positions, partition)
		}
	}
	return s
}

// apply is told that the settlement's positions are committed.
func (o *outstanding) apply(s settlement) {
	for partition, position := range s.positions {
		s.session.committed[partition] = position
	}
	o.keep(func(record taken) bool { return !s.done[record.delivery.Position] })
}
