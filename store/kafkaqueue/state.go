package kafkaqueue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"firstcome/domain"
)

// sightings is what a reader of the topic remembers from one look to the next.
type sightings struct {
	mu sync.Mutex
	// topic is the one that was seen last; remade is when it was seen to be another one, and what of it is told.
	topic  string
	remade time.Time
	// ends are the newest records of the partitions at the last look.
	ends map[int32]seenEnd
}

// seenEnd is an end of a log, and the record before it.
type seenEnd struct {
	offset int64
	last   fingerprint
}

// remadeWarned is for how long operators are warned that the topic was made anew.
const remadeWarned = time.Hour

// TopicState implements domain.TopicWatcher. In addition to what the group committed it compares the end of each log with what
// stood there at the last look, so that a log that lost its end, and records that nobody had read with it, is noticed.
func (t *Tail) TopicState(ctx context.Context) (domain.TopicState, error) {
	positions, err := t.Positions(ctx)
	if err != nil {
		return domain.TopicState{}, err
	}
	state := domain.TopicState{Identity: identityOf(positions)}
	if t.seen.changed(positions) {
		return state, nil
	}
	ends := make(map[int32]seenEnd, len(positions))
	for _, position := range positions {
		end, loss, err := t.compareEnd(ctx, position)
		if err != nil {
			return domain.TopicState{}, unavailable(err, "read the newest records")
		}
		if loss != "" {
			t.logger.Error("RECORDS WERE LOST: "+loss, "topic", t.cfg.Topic)
			state.Losses = append(state.Losses, loss)
		}
		ends[position.Partition] = end
	}
	t.seen.mu.Lock()
	defer t.seen.mu.Unlock()
	t.seen.ends = ends
	return state, nil
}

// identityOf is the topic's ID and how often the group had to begin a partition anew. A restart that the consumer has not
// made yet counts already; while retention goes on deleting what nobody reads, each step of it makes another identity.
func identityOf(positions []PartitionPosition) string {
	var restarts, deleted int64
	topic := ""
	for _, position := range positions {
		topic = position.Topic
		restarts += position.Restarts
		if position.Expired > 0 {
			deleted += position.Oldest
		}
	}
	return fmt.Sprintf("%s/%d/%d", topic, restarts, deleted)
}

// changed notes which topic it is, and says whether it is another one than at the last look.
func (s *sightings) changed(positions []PartitionPosition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(positions) == 0 || s.topic == positions[0].Topic {
		return false
	}
	if s.topic != "" {
		s.remade = time.Now()
	}
	s.topic, s.ends = positions[0].Topic, nil
	return true
}

// compareEnd gives what the newest record of a partition is now, and says what was lost since the last look.
func (t *Tail) compareEnd(ctx context.Context, position PartitionPosition) (end seenEnd, loss string, err error) {
	t.seen.mu.Lock()
	before, known := t.seen.ends[position.Partition]
	t.seen.mu.Unlock()
	if known && position.End < before.offset {
		loss = fmt.Sprintf("partition %d ends at %d and ended at %d before", position.Partition, position.End, before.offset)
	} else if known && before.offset > position.Oldest {
		now, there, err := t.offsets.fingerprintAt(ctx, position.Partition, before.offset-1)
		if err != nil {
			return end, "", err
		}
		if there && now != before.last {
			loss = fmt.Sprintf("partition %d holds another record at %d than before", position.Partition, before.offset-1)
		}
		if position.End == before.offset {
			return seenEnd{before.offset, now}, loss, nil
		}
	}
	end.offset = position.End
	if position.End > position.Oldest {
		end.last, _, err = t.offsets.fingerprintAt(ctx, position.Partition, position.End-1)
	}
	return end, loss, err
}

// warnings tells of a topic that was made anew not long ago.
func (s *sightings) warnings(topic string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remade.IsZero() || time.Since(s.remade) > remadeWarned {
		return nil
	}
	return []string{fmt.Sprintf("the topic %s was deleted and made anew (seen at %s): winners whose records were lost are put back, look at the audit",
		topic, s.remade.UTC().Format(time.RFC3339))}
}
