package kafkaqueue

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstcome/domain"
)

// verdicts publishes, and gives what each user was told, asserting that all of them were told once.
func verdicts(t *testing.T, publisher *Publisher, all []domain.Winner) map[domain.UserID]error {
	t.Helper()
	told := map[domain.UserID]error{}
	publisher.PublishEach(t.Context(), all, func(places []int, err error) {
		for _, place := range places {
			require.NotContains(t, told, all[place].UserID, "told twice")
			told[all[place].UserID] = err
		}
	})
	require.Len(t, told, len(all))
	return told
}

// threeBrokers makes a topic whose partitions are led in turns by brokers 0, 1 and 2.
func threeBrokers(t *testing.T) (*faultyKafka, Config) {
	t.Helper()
	kafka := startFaultyKafka(t, kfake.NumBrokers(3))
	cfg := newTopic(t, kafka.addr)
	for partition := range cfg.Partitions {
		require.NoError(t, kafka.MoveTopicPartition(cfg.Topic, partition, partition%3))
	}
	return kafka, cfg
}

func TestEachHearsWhatTheirOwnBrokerSays(t *testing.T) {
	t.Parallel()
	kafka, cfg := threeBrokers(t)
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winners(100)...)
	refusing := kafka.Fault(ofProduce(kfake.Fault{Nodes: []int32{1}, Topic: cfg.Topic, Err: kerr.TopicAuthorizationFailed, Count: -1}))
	all := winners(300)[100:]
	acknowledged, refused := 0, 0
	onTopic := map[domain.UserID]bool{}
	told := verdicts(t, publisher, all)
	for _, user := range tailUsers(t, cfg) {
		onTopic[user] = true
	}
	for user, err := range told {
		if err == nil {
			acknowledged++
			assert.True(t, onTopic[user], "user %d was told of an acknowledgement and is not on the topic", user)
			continue
		}
		refused++
		assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
		assert.False(t, onTopic[user], "the broker of user %d has refused", user)
	}
	assert.NotZero(t, acknowledged)
	assert.NotZero(t, refused)

	refusing.Remove()
	publishEventually(t, publisher, all...)
}

func TestABrokerThatHasLostItsPartitionsIsLeftForTheirNewLeader(t *testing.T) {
	t.Parallel()
	kafka, cfg := threeBrokers(t)
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winners(100)...)
	require.NoError(t, kafka.MoveTopicPartition(cfg.Topic, 1, 2))
	for user, err := range verdicts(t, publisher, winners(200)[100:]) {
		require.NoError(t, err, "user %d: the client is told of the new leader and sends again", user)
	}
	assert.Len(t, tailUsers(t, cfg), 200)
}
