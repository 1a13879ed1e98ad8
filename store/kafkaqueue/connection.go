package kafkaqueue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// connection is one sarama client by which records are sent, until it breaks or is retired.
//
// Records go out as whole requests, one a broker, and not through sarama's AsyncProducer: that passes each record from
// goroutine to goroutine five times, which cost more than all the rest of the way of a winner. What it does in addition
// (partitions, leaders, sending again) is done here and in Publisher for a batch at once.
type connection struct {
	topic       string
	client      sarama.Client
	partitioner sarama.Partitioner
	calls       *calls
	// broken is closed when it no longer reaches Kafka; why holds the error then.
	broken     chan struct{}
	breaksOnce sync.Once
	why        error
	// served is set once Kafka has taken a record on it.
	served atomic.Bool
	// missing holds a token when Kafka said that there is no such topic.
	missing chan struct{}
}

var errRetired = errors.New("the connection is retired")

// connect reaches Kafka and creates the topic if it is missing. Partitions without a leader are no hindrance.
func connect(ctx context.Context, cfg Config) (*connection, error) {
	client, err := newClient(cfg.Brokers, cfg.producing())
	if err != nil {
		return nil, err
	}
	calls := newCalls(client)
	_, err = within(ctx, calls, func() (int, error) { return findOrCreateTopic(client, cfg) })
	if err != nil && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
		calls.close()
		return nil, err
	}
	return &connection{
		topic: cfg.Topic, client: client, partitioner: client.Config().Producer.Partitioner(cfg.Topic), calls: calls,
		broken: make(chan struct{}), missing: make(chan struct{}, 1),
	}, nil
}

// parcel is some of the records of one call that are sent together.
type parcel struct {
	records []sarama.Record
	// places says which of the records are meant.
	places []int
	// leadersMoved says that the leaders of partitions are to be asked for anew.
	leadersMoved bool
	// answered is told of each place once, from any goroutine, and must not block.
	answered func(places []int, err error)
}

// send sends a parcel in the background. errRetired: it was not taken, and another connection may take it.
func (c *connection) send(p parcel) error {
	if !c.calls.begin() {
		return errRetired
	}
	go func() {
		defer c.calls.pending.Done()
		c.sort(p, func(broker *sarama.Broker, out *outgoing) { c.produce(broker, out, p.answered) })
	}()
	return nil
}

// outgoing is a request to one broker, and the places of the records in it by their partition.
type outgoing struct {
	request *sarama.ProduceRequest
	places  map[int32][]int
}

// sort makes one request for each broker that leads partitions of the parcel.
func (c *connection) sort(p parcel, send func(*sarama.Broker, *outgoing)) {
	if p.leadersMoved {
		_ = c.client.RefreshMetadata(c.topic) // if it fails, the old leaders answer the same again
	}
	byPartition, err := c.partitions(p)
	if err != nil {
		c.judge(err)
		p.answered(p.places, err)
		return
	}
	requests := map[*sarama.Broker]*outgoing{}
	for partition, places := range byPartition {
		leader, err := c.client.Leader(c.topic, partition)
		if err != nil {
			c.judge(err)
			p.answered(places, err)
			continue
		}
		if requests[leader] == nil {
			requests[leader] = &outgoing{c.newRequest(), map[int32][]int{}}
		}
		requests[leader].places[partition] = places
		requests[leader].request.AddBatch(c.topic, partition, newBatch(p.records, places))
	}
	for leader, out := range requests {
		send(leader, out)
	}
}

// partitions gives the places of a parcel's records by the partition of each.
func (c *connection) partitions(p parcel) (map[int32][]int, error) {
	all, err := c.client.Partitions(c.topic)
	if err != nil {
		return nil, err
	}
	byPartition := make(map[int32][]int, len(all))
	var key recordKey
	message := &sarama.ProducerMessage{Key: &key}
	for _, place := range p.places {
		key = p.records[place].Key
		partition, err := c.partitioner.Partition(message, int32(len(all)))
		if err != nil {
			return nil, err
		}
		byPartition[partition] = append(byPartition[partition], place)
	}
	return byPartition, nil
}

// recordKey is a key as the partitioner takes it; a pointer to it costs no memory for each record.
type recordKey []byte

// Encode implements sarama.Encoder.
func (k *recordKey) Encode() ([]byte, error) { return *k, nil }

// Length implements sarama.Encoder.
func (k *recordKey) Length() int { return len(*k) }

func (c *connection) produce(broker *sarama.Broker, out *outgoing, answered func([]int, error)) {
	c.calls.pending.Add(1) // send holds it above 0
	err := broker.AsyncProduce(out.request, func(response *sarama.ProduceResponse, err error) {
		defer c.calls.pending.Done()
		c.read(out, response, err, answered)
	})
	if err != nil {
		defer c.calls.pending.Done()
		c.read(out, nil, err, answered)
	}
}

// read tells what a broker answered: first which records it took.
func (c *connection) read(out *outgoing, response *sarama.ProduceResponse, err error, answered func([]int, error)) {
	var taken []int
	refused := map[error][]int{}
	for partition, places := range out.places {
		refusal := err
		if refusal == nil {
			refusal = partitionError(response.GetBlock(c.topic, partition))
		}
		if refusal == nil {
			taken = append(taken, places...)
		} else {
			refused[refusal] = append(refused[refusal], places...)
		}
	}
	if len(taken) > 0 {
		c.served.Store(true)
		answered(taken, nil)
	}
	for refusal, places := range refused {
		c.judge(refusal)
		answered(places, refusal)
	}
}

func partitionError(block *sarama.ProduceResponseBlock) error {
	switch {
	case block == nil:
		return sarama.ErrIncompleteResponse
	case block.Err != sarama.ErrNoError:
		return block.Err
	}
	return nil
}

// judge breaks the connection unless the error is an answer of Kafka's, or the record's own fault.
func (c *connection) judge(err error) {
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		select {
		case c.missing <- struct{}{}:
		default:
		}
	}
	if isAnswer(err) || isOurs(err) {
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

// tendEvery is how often a publisher looks whether the topic is there, and which partitions it has.
const tendEvery = 3 * time.Second

// tend makes the topic again when it is missing, until the connection breaks or ctx ends.
func (c *connection) tend(ctx context.Context, cfg Config, logger *slog.Logger) {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.missing:
		case <-c.broken:
			return
		case <-ctx.Done():
			return
		}
		if _, err := within(ctx, c.calls, func() (int, error) { return findOrCreateTopic(c.client, cfg) }); err != nil {
			logger.Debug("the publisher could not look after the topic", "topic", cfg.Topic, "error", err)
			_ = pause(ctx, shortestBackoff)
		}
	}
}
