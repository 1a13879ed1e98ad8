//go:build realservers

package kafkaqueue

import (
	"os"
	"strings"
	"testing"

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
