package kafkaqueue

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
)

func TestWhatKeepsATopicFromServing(t *testing.T) {
	const readOnly, writeOnly, both = 1 << sarama.AclOperationRead, 1 << sarama.AclOperationWrite, 1<<sarama.AclOperationRead | 1<<sarama.AclOperationWrite
	replicas := func(inSync ...int32) *sarama.PartitionMetadata {
		return &sarama.PartitionMetadata{Leader: 1, Replicas: []int32{1, 2, 3}, Isr: inSync}
	}
	for name, one := range map[string]struct {
		partitions []*sarama.PartitionMetadata
		allowed    int32
		says       string
	}{
		"all is well":                   {[]*sarama.PartitionMetadata{replicas(1, 2)}, both, ""},
		"brokers that tell no rights":   {[]*sarama.PartitionMetadata{replicas(1, 2)}, operationsUntold, ""},
		"too few in step":               {[]*sarama.PartitionMetadata{replicas(1, 2), replicas(1)}, both, "1 of 2 partitions have too few replicas"},
		"fewer copies than are needed":  {[]*sarama.PartitionMetadata{{Leader: 1, Replicas: []int32{1}, Isr: []int32{1}}}, both, ""},
		"a partition without a leader":  {[]*sarama.PartitionMetadata{{Leader: -1, Replicas: []int32{1}}}, both, "1 of 1 partitions have no leader"},
		"a topic without any partition": {nil, both, "no leader"},
		"no right to write":             {[]*sarama.PartitionMetadata{replicas(1, 2)}, readOnly, "not allowed to write"},
		"no right to read":              {[]*sarama.PartitionMetadata{replicas(1, 2)}, writeOnly, "not allowed to read"},
	} {
		t.Run(name, func(t *testing.T) {
			why := hindrance(&sarama.TopicMetadata{Partitions: one.partitions, TopicAuthorizedOperations: one.allowed}, 2)
			if one.says == "" {
				assert.Empty(t, why)
			} else {
				assert.Contains(t, why, one.says)
			}
		})
	}
}
