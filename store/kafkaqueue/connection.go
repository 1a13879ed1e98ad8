package kafkaqueue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// connection is one sarama producer with its client, until it breaks or is retired.
type connection struct {
	client   sarama.Client
	producer sarama.AsyncProducer
	// broken is closed when it no longer reaches Kafka; why holds the error then.
	broken     chan struct{}
	breaksOnce sync.Once
	why        error
	// retired is closed when nothing more may be sent. Senders hold the lock for reading, because sarama panics when
	// a record comes after the producer's end.
	retired chan struct{}
	senders sync.RWMutex
}

var errRetired = errors.New("the connection is retired")

// connect reaches Kafka and creates the topic if it is missing. Partitions without a leader are no hindrance.
func connect(ctx context.Context, cfg Config) (*connection, error) {
	client, err := sarama.NewClient(cfg.Brokers, cfg.producing())
	if err != nil {
		return nil, err
	}
	calls := newCalls(client)
	_, err = within(ctx, calls, func() (int, error) { return findOrCreateTopic(client, cfg) })
	if err != nil && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
		calls.close()
		return nil, err
	}
	producer, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		calls.close()
		return nil, err
	}
	return &connection{
		client: client, producer: producer, broken: make(chan struct{}), retired: make(chan struct{}),
	}, nil
}

// send hands a record to the producer. errRetired: it was not taken, and another connection may take it.
func (c *connection) send(ctx context.Context, message *sarama.ProducerMessage) error {
	c.senders.RLock()
	defer c.senders.RUnlock()
	select {
	case <-c.retired:
		return errRetired
	default:
	}
	select {
	case c.producer.Input() <- message:
		return nil
	case <-c.retired:
		return errRetired
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect tells settle of every record's end, from two goroutines; the channel is closed when the last one is settled.
func (c *connection) collect(settle func(*receipt, error)) <-chan struct{} {
	var collectors sync.WaitGroup
	collectors.Go(func() {
		for message := range c.producer.Successes() {
			settleMessage(settle, message, nil)
		}
	})
	collectors.Go(func() {
		for failed := range c.producer.Errors() {
			settleMessage(settle, failed.Msg, failed.Err)
			c.judge(failed.Err)
		}
	})
	finished := make(chan struct{})
	go func() {
		collectors.Wait()
		close(finished)
	}()
	return finished
}

func settleMessage(settle func(*receipt, error), message *sarama.ProducerMessage, err error) {
	if receipt, ours := message.Metadata.(*receipt); ours {
		settle(receipt, err)
	}
}

// judge breaks the connection unless the error is an answer of Kafka's, or the record's own fault.
func (c *connection) judge(err error) {
	var configuration sarama.ConfigurationError
	if isAnswer(err) || errors.As(err, &configuration) {
		return
	}
	c.breaksOnce.Do(func() {
		c.why = err
		close(c.broken)
	})
}

func (c *connection) cause() error {
	select {
	case <-c.broken:
		return c.why
	default:
		return nil
	}
}

// retire lets what is under way end, within the limit, and closes the client.
func (c *connection) retire(collecting <-chan struct{}, limit time.Duration) {
	close(c.retired)
	c.senders.Lock()
	c.producer.AsyncClose()
	c.senders.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-collecting:
	case <-timer.C:
	}
	// Closing its connections fails whatever is still under way, so the collectors come to their end.
	_ = c.client.Close()
	<-collecting
}

// receipt waits for the acknowledgements of the records of one PublishAll.
type receipt struct {
	started  time.Time
	left     atomic.Int64
	failed   atomic.Pointer[error]
	complete chan struct{}
}

func newReceipt(records int) *receipt {
	r := &receipt{started: time.Now(), complete: make(chan struct{})}
	r.left.Store(int64(records))
	return r
}

func (r *receipt) settle(err error) {
	if err != nil {
		r.failed.CompareAndSwap(nil, &err)
	}
	if r.left.Add(-1) == 0 {
		close(r.complete)
	}
}

func (r *receipt) failure() error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}
