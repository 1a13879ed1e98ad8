//go:build realservers

package kafkaqueue

import (
	"os"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// realBrokers are those of the test's Kafka; a missing one fails the test.
func realBrokers(t testing.TB) []string {
	t.Helper()
	brokers := os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS")
	require.NotEmpty(t, brokers, "FIRSTCOME_TEST_KAFKA_BROKERS names no Kafka")
	return strings.Split(brokers, ",")
}

func TestQueueOnRealKafka(t *testing.T) {
	brokers := realBrokers(t)
	storetest.RunQueue(t, func(t *testing.T) storetest.Queue { return queueOn(t, brokers...) })
}

func TestTransactionMarkersDoNotHoldUpTheTailOnRealKafka(t *testing.T) {
	testTransactionMarkers(t, realBrokers(t)...)
}

func TestTopicIsMadeAsStatedOnRealKafka(t *testing.T) { testTopicIsMadeAsStated(t, realBrokers(t)...) }

// The topic takes 2 KB at a time, which the broker itself judges.
func TestParcelsAreHalvedUntilTheyFitOnRealKafka(t *testing.T) {
	cfg := newTopic(t, realBrokers(t)...)
	admin := newAdmin(t, cfg)
	defer admin.Close()
	most := "2000"
	require.NoError(t, admin.IncrementalAlterConfig(sarama.TopicResource, cfg.Topic,
		map[string]sarama.IncrementalAlterConfigsEntry{settingMaxBytes: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &most}}, false))
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winner(1))
	require.NoError(t, publisher.PublishAll(t.Context(), winners(1292)))
	assert.Len(t, tailUsers(t, cfg), 1292)
}

func TestAddedPartitionsAreReadSoonOnRealKafka(t *testing.T) {
	testAddedPartitions(t, realBrokers(t)...)
}

func TestRecordsOfTransactionsThatWereNotCommittedAreNobodysCouponsOnRealKafka(t *testing.T) {
	testUndecidedTransactions(t, realBrokers(t)...)
}

func TestATopicThatWasMadeAnewIsReadFromItsOldestRecordOnRealKafka(t *testing.T) {
	for name, whileReading := range map[string]bool{"before the consumer starts": false, "while it reads": true} {
		t.Run(name, func(t *testing.T) { testTopicMadeAnew(t, whileReading, realBrokers(t)...) })
	}
}
