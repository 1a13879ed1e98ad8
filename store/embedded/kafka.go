//go:build !release

package embedded

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka is a broker in this process, reached over loopback like any other.
//
// With a data folder its topics, records and offsets survive Close and kill -9; what the operating system had not
// written yet is lost with a power cut. One process may use a folder at a time: the caller locks it.
type Kafka struct {
	cluster *kfake.Cluster
	address string
	close   sync.Once
}

// StartKafka starts a broker that listens on the address; port 0 chooses one. Its state is in dataDir, or only in
// memory if that is empty. It has no topics but those that clients create.
func StartKafka(dataDir, listen string) (*Kafka, error) {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(context.Background(), network, listen)
		}),
	}
	if dataDir != "" {
		options = append(options, kfake.DataDir(dataDir))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka on %s: %w", listen, err)
	}
	return &Kafka{cluster: cluster, address: cluster.ListenAddrs()[0]}, nil
}

// Addr is where it listens, host:port.
func (k *Kafka) Addr() string { return k.address }

// Close writes its state to the data folder and ends it. Closing it twice is harmless.
func (k *Kafka) Close() { k.close.Do(k.cluster.Close) }
