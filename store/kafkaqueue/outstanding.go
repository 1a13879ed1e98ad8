package kafkaqueue

import (
	"sync"

	"firstcome/domain"
)

// session is one generation of the group as this process takes part in it: the partitions that are its own.
type session struct {
	member     string
	generation int32
	// over is closed when the partitions are no longer ours.
	over <-chan struct{}
	// next is, for each partition, the offset after the newest record taken; committed is where the group stands.
	next, committed map[int32]int64
	// newest is the newest record taken of each partition; checked and checkedNext are newest and next as they were at the
	// last look at the logs.
	newest, checked map[int32]fingerprint
	checkedNext     map[int32]int64
	// topic is the one that the session reads; restarts counts how often each partition was begun anew.
	topic    topicID
	restarts map[int32]int64
	// putBack are records that were given and can't be done for now.
	putBack shelf
	// left is closed when this process wants the session to end.
	left  chan struct{}
	leave sync.Once
}

// point is a position to commit with the mark that belongs to it.
func (s *session) point(partition int32, offset int64, last fingerprint) commitPoint {
	return commitPoint{offset, mark{topic: s.topic, restarts: s.restarts[partition], last: last}}
}

// end has sarama end the session, and join the group again.
func (s *session) end() { s.leave.Do(func() { close(s.left) }) }

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
	// writtenMilli is the time that stands in the record.
	writtenMilli int64
	session      *session
	// again says that the record was put back and read a second time; its time is not known then.
	again bool
}

// fingerprint is empty when it is not known: nothing is compared with such a one.
func (t taken) fingerprint() fingerprint {
	if t.again {
		return ""
	}
	return fingerprintOf(t.delivery.Digest, t.writtenMilli)
}

// outstanding holds the records that were taken from the queue and are neither committed nor put back, in the order they
// came. All are of one session after dropEnded. It is not safe for concurrent use.
type outstanding struct{ records []taken }

// add takes a record in, unless its session is over.
func (o *outstanding) add(record taken) {
	if record.session.isOver() {
		return
	}
	partition, offset := record.delivery.Position.Partition, record.delivery.Position.Offset
	if !record.again {
		record.session.next[partition] = offset + 1
		record.session.newest[partition] = record.fingerprint()
	} else if !record.session.putBack.remove(partition, offset) {
		return // it was read twice
	}
	o.records = append(o.records, record)
}

// putBack takes out the first of the deliveries, as far as the shelf has room, and says how many.
func (o *outstanding) putBack(deliveries []domain.Delivery) int {
	held := make(map[given]*session, len(o.records))
	for _, record := range o.records {
		held[givenOf(record.delivery)] = record.session
	}
	gone := make(map[given]bool, len(deliveries))
	for n, delivery := range deliveries {
		one := givenOf(delivery)
		if session := held[one]; session != nil && !session.putBack.add(one.position.Partition, one.position.Offset) {
			deliveries = deliveries[:n]
			break
		}
		gone[one] = true
	}
	o.keep(func(record taken) bool { return !gone[givenOf(record.delivery)] })
	return len(deliveries)
}

// dropEnded forgets the records of sessions that are over: the partitions' next owners get them again.
// A session begins when the one before is over, so one look at the oldest record tells.
func (o *outstanding) dropEnded() {
	if len(o.records) == 0 || !o.records[0].session.isOver() {
		return
	}
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

// given names a record that somebody settles: by what it is too, because after the topic was made anew its position may
// be that of another record, which nobody has looked at.
type given struct {
	position domain.RecordPosition
	digest   domain.RecordDigest
}

func givenOf(delivery domain.Delivery) given { return given{delivery.Position, delivery.Digest} }

// settlement is what a commit has to do: the positions to commit in a session, and the records done by that.
type settlement struct {
	session   *session
	positions map[int32]int64
	// last is the record right before each position.
	last map[int32]fingerprint
	done map[given]bool
	// unknown counts the deliveries that are not outstanding: done before, or of a session that is over.
	unknown int
}

// points gives the positions with their marks.
func (s settlement) points() map[int32]commitPoint {
	points := make(map[int32]commitPoint, len(s.positions))
	for partition, position := range s.positions {
		points[partition] = s.session.point(partition, position, s.last[partition])
	}
	return points
}

// settle says what committing the deliveries means. A partition's position never passes a record that is still
// outstanding, so a record that was forgotten or failed is never committed by the way.
func (o *outstanding) settle(deliveries []domain.Delivery) settlement {
	s := settlement{
		positions: map[int32]int64{}, last: map[int32]fingerprint{}, done: make(map[given]bool, len(deliveries)),
	}
	wanted := make(map[given]bool, len(deliveries))
	for _, delivery := range deliveries {
		wanted[givenOf(delivery)] = true
	}
	// Nothing is committed from the oldest record on that is not done.
	open := map[int32]int64{}
	for _, record := range o.records {
		one := givenOf(record.delivery)
		if !wanted[one] {
			lower(open, one.position.Partition, one.position.Offset)
			continue
		}
		s.session, s.done[one] = record.session, true
	}
	if s.session != nil {
		s.session.putBack.oldest(open)
	}
	for partition, record := range o.newestBefore(open, s.done) {
		s.positions[partition], s.last[partition] = record.session.next[partition], record.session.newest[partition]
		if _, some := open[partition]; some {
			s.positions[partition], s.last[partition] = record.delivery.Position.Offset+1, record.fingerprint()
		}
		if s.positions[partition] <= record.session.committed[partition] {
			delete(s.positions, partition)
		}
	}
	s.unknown = len(wanted) - len(s.done)
	return s
}

// newestBefore gives for each partition the newest record that is done and stands before the oldest open one.
func (o *outstanding) newestBefore(open map[int32]int64, done map[given]bool) map[int32]taken {
	newest := map[int32]taken{}
	for _, record := range o.records {
		position := record.delivery.Position
		end, some := open[position.Partition]
		known, has := newest[position.Partition]
		if done[givenOf(record.delivery)] && (!some || position.Offset < end) && (!has || position.Offset > known.delivery.Position.Offset) {
			newest[position.Partition] = record
		}
	}
	return newest
}

// apply is told that the settlement's positions are committed.
func (o *outstanding) apply(s settlement) {
	for partition, position := range s.positions {
		s.session.committed[partition] = position
	}
	o.keep(func(record taken) bool { return !s.done[givenOf(record.delivery)] })
}

func lower(offsets map[int32]int64, partition int32, offset int64) {
	if known, some := offsets[partition]; !some || offset < known {
		offsets[partition] = offset
	}
}
