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
	positions, err := s.startingPoints(claimed.Context(), partitions)
	if err != nil {
		return err
	}
	all, err := s.client.Partitions(s.cfg.Topic)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.current = &session{
		member: claimed.MemberID(), generation: claimed.GenerationID(), over: claimed.Context().Done(),
		next: maps.Clone(positions), committed: positions,
	}
	s.total = len(all)
	s.mu.Unlock()
	s.metrics.rebalances.Inc()
	s.metrics.owned.Set(float64(len(partitions)))
	s.logger.Info("partitions were assigned", "group", s.cfg.Group, "partitions", partitions, "of", len(all))
	return nil
}

// startingPoints says where the group stands on each partition, and reports records that retention deleted before
// they were read. sarama passes them over without a word.
func (s *Source) startingPoints(ctx context.Context, partitions []int32) (map[int32]int64, error) {
	if len(partitions) == 0 {
		return map[int32]int64{}, nil
	}
	positions, err := readPositions(ctx, s.offsets, partitions)
	if err != nil {
		return nil, err
	}
	starts := make(map[int32]int64, len(positions))
	for _, position := range positions {
		starts[position.Partition] = position.Committed
		if position.Expired != 0 {
			s.metrics.expired.Add(float64(max(position.Expired, 0)))
			s.logger.Error("RECORDS WERE LOST: the committed offset is not on the topic any more; going on with the oldest record",
				"topic", s.cfg.Topic, "partition", position.Partition, "oldest", position.Oldest, "end", position.End,
				"deleted_unread", position.Expired)
		}
	}
	return starts, nil
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
			case s.records <- taken{delivery: received(message), session: current}:
			case <-over:
				return nil
			}
		case <-over:
			return nil
		}
	}
}

func received(message *sarama.ConsumerMessage) domain.Delivery {
	position := domain.RecordPosition{Topic: message.Topic, Partition: message.Partition, Offset: message.Offset}
	return decode(record{position, message.Key, message.Value, message.Headers})
}
