package kafkaqueue

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// run is a member of the group until ctx ends.
func (s *Source) run(ctx context.Context) {
	defer close(s.finished)
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(s.logGroupErrors)
	background.Go(func() { s.measureLag(ctx) })
	background.Go(func() { s.watchLogs(ctx) })
	background.Go(func() { s.readAgain(ctx) })
	var wait backoff
	for ctx.Err() == nil {
		err := s.group.Consume(ctx, []string{s.cfg.Topic}, member{s})
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			// A session has ended, because of a rebalance or of an outage.
			wait.reset()
			continue
		}
		s.logger.Warn("the consumer group could not be joined; trying again", "group", s.cfg.Group, "error", err)
		_ = wait.wait(ctx)
	}
}

// logGroupErrors ends when the group is closed.
func (s *Source) logGroupErrors() {
	for {
		select {
		case err, open := <-s.group.Errors():
			if !open {
				return
			}
			s.logger.Warn("the consumer had trouble with Kafka", "error", err)
		case <-s.stopped.Done():
			return
		}
	}
}

// measureLag sets the lag of the partitions that are ours, again and again until ctx ends.
func (s *Source) measureLag(ctx context.Context) {
	for pause(ctx, s.cfg.LagInterval) == nil {
		if err := s.measureLagOnce(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("the consumer's lag could not be measured", "error", err)
		}
	}
}

func (s *Source) measureLagOnce(ctx context.Context) error {
	s.mu.Lock()
	current := s.current
	var committed map[int32]int64
	if current != nil {
		committed = maps.Clone(current.committed)
	}
	s.mu.Unlock()
	if len(committed) == 0 {
		return nil
	}
	ends, err := s.offsets.at(ctx, slices.Collect(maps.Keys(committed)), sarama.OffsetNewest)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != current {
		return nil
	}
	for partition, end := range ends {
		s.metrics.lag.WithLabelValues(label(partition)).Set(float64(max(end-committed[partition], 0)))
	}
	return nil
}

// member is what sarama calls in the course of a session.
type member struct{ source *Source }

// Setup implements sarama.ConsumerGroupHandler: the group has given us partitions.
func (m member) Setup(claimed sarama.ConsumerGroupSession) error {
	s := m.source
	partitions := claimed.Claims()[s.cfg.Topic]
	current, err := s.begin(claimed, partitions)
	if err != nil {
		return err
	}
	all, err := s.client.Partitions(s.cfg.Topic)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.current, s.total, s.distrusted = current, len(all), nil
	s.mu.Unlock()
	s.metrics.rebalances.Inc()
	s.metrics.owned.Set(float64(len(partitions)))
	s.logger.Info("partitions were assigned", "group", s.cfg.Group, "partitions", partitions, "of", len(all))
	return nil
}

// begin finds out where each partition is to begin, and makes a session of that. Where what was committed does not fit
// the log, the group's offset is moved to the oldest record at once: sarama would go on from the old one, and anybody who
// comes next is to see that this was done.
func (s *Source) begin(claimed sarama.ConsumerGroupSession, partitions []int32) (*session, error) {
	begun := &session{
		member: claimed.MemberID(), generation: claimed.GenerationID(), over: claimed.Context().Done(),
		next: map[int32]int64{}, committed: map[int32]int64{}, newest: map[int32]fingerprint{},
		checked: map[int32]fingerprint{}, restarts: map[int32]int64{}, left: make(chan struct{}),
	}
	if len(partitions) == 0 {
		return begun, nil
	}
	ctx := claimed.Context()
	var err error
	if begun.topic, err = s.offsets.topic(ctx); err != nil {
		return nil, err
	}
	positions, err := readPositions(ctx, s.offsets, partitions)
	if err != nil {
		return nil, err
	}
	anew := map[int32]commitPoint{}
	for _, position := range positions {
		if position = s.distrust(position); position.Broken != "" {
			s.reportBroken(position)
			anew[position.Partition] = commitPoint{position.Committed, mark{topic: begun.topic, restarts: position.Restarts}}
			startAt(claimed, s.cfg.Topic, position)
		}
		begun.next[position.Partition] = position.Committed
		begun.committed[position.Partition] = position.Committed
		begun.restarts[position.Partition] = position.Restarts
	}
	if len(anew) == 0 {
		return begun, nil
	}
	return begun, s.offsets.commit(ctx, begun.member, begun.generation, anew)
}

// startAt moves the place from which sarama reads, which was the committed offset. Either call has an effect in one
// direction alone.
func startAt(claimed sarama.ConsumerGroupSession, topic string, position PartitionPosition) {
	claimed.MarkOffset(topic, position.Partition, position.Committed, "")
	claimed.ResetOffset(topic, position.Partition, position.Committed, "")
}

// distrust has a partition begin anew whose log was seen to change while it was read.
func (s *Source) distrust(position PartitionPosition) PartitionPosition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.distrusted[position.Partition] && position.Broken == "" {
		position.Broken = "the last record that was read stands there no more: the log was truncated and has grown again"
		position.Committed, position.Expired = position.Oldest, -1
		position.Restarts++
	}
	return position
}

func (s *Source) reportBroken(position PartitionPosition) {
	s.metrics.expired.Add(float64(max(position.Expired, 0)))
	s.logger.Error("RECORDS WERE LOST: the committed offset does not fit the topic any more; going on with the oldest record",
		"topic", s.cfg.Topic, "partition", position.Partition, "why", position.Broken, "oldest", position.Oldest,
		"end", position.End, "deleted_unread", position.Expired)
}

// Cleanup implements sarama.ConsumerGroupHandler: the partitions are ours no longer.
func (m member) Cleanup(sarama.ConsumerGroupSession) error {
	s := m.source
	s.mu.Lock()
	s.current = nil
	s.metrics.lag.Reset()
	s.mu.Unlock()
	s.metrics.owned.Set(0)
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler. It never returns because of a record: that would end the whole
// session, and the same record would end the next one.
func (m member) ConsumeClaim(claimed sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	s := m.source
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == nil {
		return errors.New("a claim began without a session")
	}
	over := claimed.Context().Done()
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			select {
			case s.records <- taken{delivery: received(message), writtenMilli: message.Timestamp.UnixMilli(), session: current}:
			case <-over:
				return nil
			case <-current.left:
				return nil
			}
		case <-over:
			return nil
		case <-current.left: // this ends the session, and the next one looks where it is to begin
			return nil
		}
	}
}

func received(message *sarama.ConsumerMessage) domain.Delivery {
	position := domain.RecordPosition{Topic: message.Topic, Partition: message.Partition, Offset: message.Offset}
	return decode(record{position, message.Key, message.Value, message.Headers})
}
