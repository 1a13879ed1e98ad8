package kafkaqueue

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/IBM/sarama"
)

// watchEvery is how often a member looks whether the logs that it reads are still the same: sarama goes on at its old
// offset in a topic that was made anew, or in a log that was truncated and has grown again.
const watchEvery = 2 * time.Second

func (s *Source) watchLogs(ctx context.Context) {
	for pause(ctx, watchEvery) == nil {
		if err := s.watchOnce(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("the consumer could not look whether the topic is still the same", "error", err)
		}
	}
}

// watchOnce ends the session when a log has changed. What it compares is what was the newest record at the look before:
// if the log lost its end since then, that record is gone as well.
func (s *Source) watchOnce(ctx context.Context) error {
	s.mu.Lock()
	current := s.current
	if current == nil {
		s.mu.Unlock()
		return nil
	}
	checked, next := maps.Clone(current.checked), maps.Clone(current.checkedNext)
	s.mu.Unlock()
	topic, err := s.offsets.topic(ctx)
	switch {
	case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return nil // it is made again by anybody who publishes
	case err != nil:
		return err
	case topic != current.topic && len(current.next) > 0:
		s.logger.Error("the topic was deleted and made anew while it was read; beginning with its oldest records", "topic", s.cfg.Topic)
		current.end()
		return nil
	}
	for partition, last := range checked {
		found, known, err := s.offsets.fingerprintAt(ctx, partition, next[partition]-1)
		if err != nil {
			return err
		}
		if known && found != last {
			s.abandonLog(current, partition)
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current.checked, current.checkedNext = maps.Clone(current.newest), maps.Clone(current.next)
	return nil
}

// abandonLog ends the session, and has the next one begin the partition anew, whatever was committed meanwhile.
func (s *Source) abandonLog(current *session, partition int32) {
	s.mu.Lock()
	if s.distrusted == nil {
		s.distrusted = map[int32]bool{}
	}
	s.distrusted[partition] = true
	s.mu.Unlock()
	current.end()
}
