package kafkaqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// offsets asks for and commits a group's offsets, on connections that nothing long-polls on.
type offsets struct {
	cfg    Config
	client sarama.Client
	calls  *calls
}

// notCommitted is the committed offset of a partition that has none.
const notCommitted = -1

func openOffsets(cfg Config) (*offsets, error) {
	client, err := newClient(cfg.Brokers, cfg.base())
	if err != nil {
		return nil, err
	}
	return &offsets{cfg: cfg, client: client, calls: newCalls(client)}, nil
}

func (o *offsets) close() { o.calls.close() }

// partitions asks the brokers which partitions the topic has.
func (o *offsets) partitions(ctx context.Context) ([]int32, error) {
	return within(ctx, o.calls, func() ([]int32, error) {
		// A partition without a leader is a partition still.
		if err := o.client.RefreshMetadata(o.cfg.Topic); err != nil && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
			return nil, err
		}
		return o.client.Partitions(o.cfg.Topic)
	})
}

// layout is what the brokers say of the topic.
type layout struct {
	*sarama.TopicMetadata
	// brokers counts those of the cluster.
	brokers int
}

// layout asks for the topic, past what the client remembers of it. A partition without a leader is no error.
func (o *offsets) layout(ctx context.Context) (layout, error) {
	return within(ctx, o.calls, twice(func() (layout, error) {
		broker := o.client.LeastLoadedBroker()
		if broker == nil {
			return layout{}, sarama.ErrOutOfBrokers
		}
		request := sarama.NewMetadataRequest(o.client.Config().Version, []string{o.cfg.Topic})
		request.IncludeTopicAuthorizedOperations = true
		response, err := broker.GetMetadata(request)
		if err != nil {
			_ = broker.Close() // the connection is of no more use; the client makes a new one
			return layout{}, err
		}
		for _, topic := range response.Topics {
			if topic.Name == o.cfg.Topic && topic.Err != sarama.ErrNoError && topic.Err != sarama.ErrLeaderNotAvailable {
				return layout{}, topic.Err
			}
			if topic.Name == o.cfg.Topic {
				return layout{topic, len(response.Brokers)}, nil
			}
		}
		return layout{}, sarama.ErrIncompleteResponse
	}))
}

// topic asks the brokers which topic it is that has the name now. Brokers of before 2.8 don't tell.
func (o *offsets) topic(ctx context.Context) (topicID, error) {
	found, err := o.layout(ctx)
	if err != nil {
		return noTopicID, err
	}
	return found.Uuid, nil
}

// committed gives what the group committed of each partition, notCommitted where that is nothing.
func (o *offsets) committed(ctx context.Context, partitions []int32) (map[int32]commitPoint, error) {
	return within(ctx, o.calls, func() (committed map[int32]commitPoint, err error) {
		err = o.onCoordinator(func(coordinator *sarama.Broker) error {
			committed, err = o.fetchCommitted(coordinator, partitions)
			return err
		})
		return committed, err
	})
}

func (o *offsets) fetchCommitted(coordinator *sarama.Broker, partitions []int32) (map[int32]commitPoint, error) {
	request := sarama.NewOffsetFetchRequest(o.client.Config().Version, o.cfg.Group, map[string][]int32{o.cfg.Topic: partitions})
	response, err := coordinator.FetchOffset(request)
	if err != nil {
		return nil, err
	}
	committed := make(map[int32]commitPoint, len(partitions))
	groupErr := response.GroupError()
	for _, partition := range partitions {
		committed[partition] = commitPoint{offset: notCommitted}
		if errors.Is(groupErr, sarama.ErrGroupIDNotFound) {
			continue
		}
		block := response.GetBlock(o.cfg.Topic, partition)
		switch {
		case !errors.Is(groupErr, sarama.ErrNoError):
			return nil, groupErr
		case block == nil:
			return nil, fmt.Errorf("partition %d: %w", partition, sarama.ErrIncompleteResponse)
		case errors.Is(block.Err, sarama.ErrGroupIDNotFound):
		case block.Err != sarama.ErrNoError:
			return nil, fmt.Errorf("partition %d: %w", partition, block.Err)
		default:
			committed[partition] = commitPoint{max(block.Offset, notCommitted), parseMark(block.Metadata)}
		}
	}
	return committed, nil
}

// offsetStable asks for the offset up to which all transactions are decided; sarama has no name for it.
const offsetStable = -100

// at gives an offset of each partition: sarama.OffsetOldest, sarama.OffsetNewest (the one after the last record) or
// offsetStable. It waits a little for a partition whose leader is just being found, as on a topic that was made a
// moment ago.
func (o *offsets) at(ctx context.Context, partitions []int32, which int64) (map[int32]int64, error) {
	var wait backoff
	for attempt := 1; ; attempt++ {
		found, err := within(ctx, o.calls, twice(func() (map[int32]int64, error) { return o.lookUp(partitions, which) }))
		if err == nil {
			return found, nil
		}
		if attempt == leaderAttempts || !isAnswer(err) || deniesAccess(err) || wait.wait(ctx) != nil {
			return nil, err
		}
	}
}

// leaderAttempts bounds how often a partition's leader is looked for, which takes about 1.5 s in all.
const leaderAttempts = 5

func (o *offsets) lookUp(partitions []int32, which int64) (map[int32]int64, error) {
	found := make(map[int32]int64, len(partitions))
	for _, partition := range partitions {
		offset, err := o.offset(partition, which)
		if err != nil {
			return nil, fmt.Errorf("partition %d: %w", partition, err)
		}
		found[partition] = offset
	}
	return found, nil
}

func (o *offsets) offset(partition int32, which int64) (int64, error) {
	if which != offsetStable {
		return o.client.GetOffset(o.cfg.Topic, partition, which)
	}
	leader, err := o.client.Leader(o.cfg.Topic, partition)
	if err != nil {
		return 0, err
	}
	request := sarama.NewOffsetRequest(o.client.Config().Version)
	request.IsolationLevel = sarama.ReadCommitted
	request.AddBlock(o.cfg.Topic, partition, sarama.OffsetNewest, 1)
	response, err := leader.GetAvailableOffsets(request)
	if err != nil {
		_ = leader.Close() // the connection is of no more use; the client makes a new one
		return 0, err
	}
	block := response.GetBlock(o.cfg.Topic, partition)
	if block == nil {
		return 0, sarama.ErrIncompleteResponse
	}
	if block.Err != sarama.ErrNoError {
		return 0, errors.Join(block.Err, o.client.RefreshMetadata(o.cfg.Topic))
	}
	return block.Offset, nil
}

// commit moves the group's offsets as one member of one generation. An error for one partition is an error for all:
// committing again does no harm.
func (o *offsets) commit(ctx context.Context, member string, generation int32, points map[int32]commitPoint) error {
	request := sarama.NewOffsetCommitRequest(o.client.Config(), o.cfg.Group)
	request.ConsumerID, request.ConsumerGroupGeneration = member, generation
	for partition, point := range points {
		request.AddBlockWithLeaderEpoch(o.cfg.Topic, partition, point.offset, unknownLeaderEpoch, 0, point.mark.String())
	}
	_, err := within(ctx, o.calls, func() (struct{}, error) {
		return struct{}{}, o.onCoordinator(func(coordinator *sarama.Broker) error {
			response, err := coordinator.CommitOffset(request)
			if err != nil {
				return err
			}
			return o.commitResult(response, points)
		})
	})
	return err
}

// unknownLeaderEpoch leaves out which leader the records came from.
const unknownLeaderEpoch = -1

func (o *offsets) commitResult(response *sarama.OffsetCommitResponse, points map[int32]commitPoint) error {
	for partition := range points {
		code, answered := response.Errors[o.cfg.Topic][partition]
		if !answered {
			return fmt.Errorf("partition %d: %w", partition, sarama.ErrIncompleteResponse)
		}
		if code != sarama.ErrNoError {
			return fmt.Errorf("partition %d: %w", partition, code)
		}
	}
	return nil
}

// coordinatorAttempts bounds how often a request is sent again because the group's coordinator is another by now.
const coordinatorAttempts = 3

// onCoordinator sends a request to the broker that coordinates the group, and looks for that broker anew when it has
// moved or its connection broke.
func (o *offsets) onCoordinator(request func(*sarama.Broker) error) error {
	var err error
	for range coordinatorAttempts {
		var coordinator *sarama.Broker
		if coordinator, err = o.client.Coordinator(o.cfg.Group); err != nil {
			return err
		}
		if err = request(coordinator); err == nil || isFenced(err) || deniesAccess(err) {
			return err
		}
		if !isAnswer(err) {
			// The connection is of no more use; the client makes a new one. An error says that it was closed before.
			_ = coordinator.Close()
		}
		if refreshErr := o.client.RefreshCoordinator(o.cfg.Group); refreshErr != nil {
			return errors.Join(err, refreshErr)
		}
	}
	return err
}
