package kafkaqueue

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// A topic that somebody deleted is made again by those who publish, without a restart.
func TestATopicThatIsMissingIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"by an idle publisher": false, "under load": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := newTopic(t, startKafka(t).Addr())
			publisher := openPublisher(t, cfg)
			publishEventually(t, publisher, winners(3)...)
			deleteTopic(t, cfg)
			if busy {
				publishEventually(t, publisher, winners(5)...)
				assert.Len(t, tailUsers(t, cfg), 5)
				return
			}
			tail := openTail(t, cfg)
			require.Eventually(t, func() bool { return tail.Ping(t.Context()) == nil }, patience, patience/100)
		})
	}
}

func deleteTopic(t *testing.T, cfg Config) {
	t.Helper()
	admin := newAdmin(t, cfg)
	defer admin.Close()
	require.NoError(t, admin.DeleteTopic(cfg.Topic))
}

func newAdmin(t *testing.T, cfg Config) sarama.ClusterAdmin {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, conf)
	require.NoError(t, err)
	return admin
}

// idleKafka closes connections whenever it is told to, as a broker does on which nothing was asked for a while.
type idleKafka struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (k *idleKafka) Accept() (net.Conn, error) {
	conn, err := k.Listener.Accept()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, conn)
	return conn, err
}

func (k *idleKafka) closeIdle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		_ = conn.Close()
	}
	k.conns = nil
}

// The first application after a while must not pay for the connection that the broker closed meanwhile, however often
// that happens: it took 100 ms the first time, and twice as long each time after.
func TestAConnectionThatWasClosedForBeingIdleIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	idle := &idleKafka{}
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		listener, err := new(net.ListenConfig).Listen(context.Background(), network, address)
		idle.Listener = listener
		return idle, err
	}))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	publisher := openPublisher(t, newTopic(t, kafka.ListenAddrs()...))
	publishEventually(t, publisher, winner(1))
	var slowest time.Duration
	for range 8 {
		idle.closeIdle()
		began := time.Now()
		require.NoError(t, publisher.Publish(t.Context(), winner(1)))
		slowest = max(slowest, time.Since(began))
	}
	assert.Less(t, slowest, time.Second, "with a wait that doubles, the eighth takes 2 s")
	t.Log("slowest", slowest)
}

// Winners in partitions that were added wait for the consumer's group to hear of them.
func testAddedPartitions(t *testing.T, brokers ...string) {
	t.Helper()
	cfg := newConfig(brokers...)
	cfg.Partitions = 2
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publisher, source := openPublisher(t, cfg), openedSource(t, cfg)
	publishEventually(t, publisher, winners(1)...)
	require.NoError(t, source.Commit(t.Context(), pollAll(t, source, 1)))
	admin := newAdmin(t, cfg)
	defer admin.Close()
	require.NoError(t, admin.CreatePartitions(cfg.Topic, 16, nil, false))
	began := time.Now()
	require.Eventually(t, func() bool {
		owned, total := source.Share()
		return owned == 16 && total == 16
	}, patience, 10*time.Millisecond)
	publishEventually(t, publisher, winners(100)...)
	require.NoError(t, source.Commit(limited(t), pollAll(t, source, 100)))
	assert.Less(t, time.Since(began), 15*time.Second, "it took a minute")
}

func TestAddedPartitionsAreReadSoon(t *testing.T) {
	t.Parallel()
	testAddedPartitions(t, startKafka(t).Addr())
}
