package kafkaqueue

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// faultyKafka is a broker that can be told to fail requests, and to leave all of them without an answer.
type faultyKafka struct {
	*kfake.Cluster
	addr string
	mu   sync.Mutex
	// thawed is closed while answers may go out.
	thawed chan struct{}
}

func startFaultyKafka(t *testing.T, options ...kfake.Opt) *faultyKafka {
	t.Helper()
	k := &faultyKafka{thawed: make(chan struct{})}
	close(k.thawed)
	options = append([]kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		listener, err := new(net.ListenConfig).Listen(t.Context(), network, address)
		return freezingListener{listener, k}, err
	})}, options...)
	cluster, err := kfake.NewCluster(options...)
	require.NoError(t, err)
	k.Cluster, k.addr = cluster, cluster.ListenAddrs()[0]
	t.Cleanup(func() {
		k.thaw()
		cluster.Close()
	})
	return k
}

// freeze keeps every answer back until thaw: connections stay open, as on a stopped process or a dead network path.
func (k *faultyKafka) freeze() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.thawed = make(chan struct{})
}

func (k *faultyKafka) thaw() {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.thawed:
	default:
		close(k.thawed)
	}
}

func (k *faultyKafka) mayAnswer() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.thawed
}

type freezingListener struct {
	net.Listener
	kafka *faultyKafka
}

func (l freezingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return freezingConn{conn, l.kafka}, err
}

type freezingConn struct {
	net.Conn
	kafka *faultyKafka
}

func (c freezingConn) Write(answer []byte) (int, error) {
	<-c.kafka.mayAnswer()
	return c.Conn.Write(answer)
}

// ofProduce makes a fault one of produce requests, by their number in Kafka's protocol.
func ofProduce(fault kfake.Fault) kfake.Fault {
	fault.Keys = append(fault.Keys, 0)
	return fault
}

// ofCommit makes a fault one of offset commits.
func ofCommit(fault kfake.Fault) kfake.Fault {
	fault.Keys = append(fault.Keys, 8)
	return fault
}
