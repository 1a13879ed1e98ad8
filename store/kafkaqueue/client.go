package kafkaqueue

import (
	"sync"

	"github.com/IBM/sarama"
)

// client is a sarama client that may be closed by several at a time: sarama's own panics when two closes meet, and a Close
// that ran out of time meets the one that it left behind. All but the first wait for it, and get what it got.
type client struct {
	sarama.Client
	close func() error
}

// newClient makes every client of this package.
func newClient(brokers []string, conf *sarama.Config) (sarama.Client, error) {
	made, err := sarama.NewClient(brokers, conf)
	if err != nil {
		return nil, err
	}
	return &client{Client: made, close: sync.OnceValue(made.Close)}, nil
}

// Close is the one close of this client, however often it is called.
func (c *client) Close() error { return c.close() }
