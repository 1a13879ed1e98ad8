package kafkaqueue

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// Ping says whether the brokers would take and give records now: the topic is there, each of its partitions has a leader
// and as many replicas in step as an acknowledgement needs, and we may write to it and read it. No record is written for
// that. CodeUnavailable: not so, or they can't be reached before ctx ends.
func (t *Tail) Ping(ctx context.Context) error {
	found, err := t.offsets.layout(ctx)
	if err != nil {
		return unavailable(err, "find the topic "+t.cfg.Topic)
	}
	// Who may not see the topic's settings is told of its replicas by what is configured.
	needed := int64(t.cfg.MinInSyncReplicas)
	settings, err := t.offsets.settings(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if told, ok := number(settings, settingMinInSync); err == nil && ok {
		needed = told
	}
	if why := hindrance(found.TopicMetadata, needed); why != "" {
		return domain.Errorf(domain.CodeUnavailable, "the topic %s: %s", t.cfg.Topic, why)
	}
	return nil
}

// hindrance says what of a topic keeps records from being taken or given; empty when nothing does. needed is how many
// replicas must be in step.
func hindrance(topic *sarama.TopicMetadata, needed int64) string {
	leaderless, behind := 0, 0
	for _, partition := range topic.Partitions {
		// Of a topic with fewer copies than that, newer brokers take records all the same.
		needed := min(needed, int64(len(partition.Replicas)))
		switch {
		case partition.Leader < 0 || errors.Is(partition.Err, sarama.ErrLeaderNotAvailable):
			leaderless++
		case int64(len(partition.Isr)) < needed:
			behind++
		}
	}
	mayNot := denied(topic.TopicAuthorizedOperations)
	switch {
	case leaderless > 0 || len(topic.Partitions) == 0:
		return fmt.Sprintf("%d of %d partitions have no leader", leaderless, len(topic.Partitions))
	case behind > 0:
		return fmt.Sprintf("%d of %d partitions have too few replicas in step to acknowledge a record", behind, len(topic.Partitions))
	case mayNot != "":
		return "we are not allowed to " + mayNot + " it"
	}
	return ""
}

// operationsUntold stands in the place of the operations that are allowed where the brokers don't tell.
const operationsUntold = math.MinInt32

// denied says which of the operations that we need is not among those that are allowed, given as a set of bits.
func denied(allowed int32) string {
	if allowed == operationsUntold || allowed == 0 {
		return ""
	}
	for _, needed := range []struct {
		operation sarama.AclOperation
		name      string
	}{{sarama.AclOperationWrite, "write to"}, {sarama.AclOperationRead, "read"}} {
		if allowed&(1<<needed.operation) == 0 {
			return needed.name
		}
	}
	return ""
}
