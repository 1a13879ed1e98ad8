package kafkaqueue

import (
	"crypto/rand"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/domain"
	"firstcome/store/embedded"
	"firstcome/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// sarama's metrics library keeps one goroutine for the whole process.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// A circuit breaker of sarama counts its 10 s down after its producer is closed.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"))
}

// startKafka gives a broker that lives as long as the test.
func startKafka(t *testing.T) *embedded.Kafka {
	t.Helper()
	kafka, err := embedded.StartKafka("", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return kafka
}

// newConfig names a topic and a group that no other test uses.
func newConfig(brokers ...string) Config {
	suffix := strings.ToLower(rand.Text()[:10])
	return Config{Brokers: brokers, Topic: "coupon_create_" + suffix, Group: "group_" + suffix, Partitions: 4}
}

func newTopic(t *testing.T, brokers ...string) Config {
	t.Helper()
	cfg := newConfig(brokers...)
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	return cfg
}

func testLogger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func openPublisher(t *testing.T, cfg Config) *Publisher {
	t.Helper()
	publisher, err := OpenPublisher(cfg, prometheus.NewRegistry(), testLogger(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	return publisher
}

// openSource leaves closing to the test.
func openSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	source, err := OpenSource(cfg, prometheus.NewRegistry(), testLogger(t))
	require.NoError(t, err)
	return source
}

func openTail(t *testing.T, cfg Config) *Tail {
	t.Helper()
	tail, err := OpenTail(cfg, testLogger(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tail.Close()) })
	return tail
}

// put appends a record as another program might.
func put(t *testing.T, cfg Config, value []byte, headers map[string]string) {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Producer.Return.Successes = true
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.MaxMessageBytes = 2 << 20
	producer, err := sarama.NewSyncProducer(cfg.Brokers, conf)
	require.NoError(t, err)
	defer producer.Close()
	message := &sarama.ProducerMessage{Topic: cfg.Topic, Value: sarama.ByteEncoder(value)}
	for name, text := range headers {
		message.Headers = append(message.Headers, header(name, text))
	}
	_, _, err = producer.SendMessage(message)
	require.NoError(t, err)
}

func queueOn(t *testing.T, brokers ...string) storetest.Queue {
	t.Helper()
	cfg := newTopic(t, brokers...)
	return storetest.Queue{
		Publisher: func(t *testing.T) domain.Publisher { return openPublisher(t, cfg) },
		Source:    func(t *testing.T) storetest.QueueSource { return openSource(t, cfg) },
		Tail:      func(t *testing.T) domain.TailReader { return openTail(t, cfg) },
		Put: func(t *testing.T, value []byte, headers map[string]string) {
			t.Helper()
			put(t, cfg, value, headers)
		},
	}
}

func TestQueueOnEmbeddedKafka(t *testing.T) {
	kafka := startKafka(t)
	storetest.RunQueue(t, func(t *testing.T) storetest.Queue { return queueOn(t, kafka.Addr()) })
}

// freeAddress gives a loopback address on which nothing listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// startKafkaAt gives a broker at an address that was in use before.
func startKafkaAt(t *testing.T, folder, address string) *embedded.Kafka {
	t.Helper()
	kafka, err := embedded.StartKafka(folder, address)
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return kafka
}
