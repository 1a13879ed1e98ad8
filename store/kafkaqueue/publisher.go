package kafkaqueue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

// Publisher implements domain.Publisher. It may be used by any number of goroutines.
//
// It holds at most one connection (a sarama producer with its client). A connection that breaks is replaced by a new
// one, because sarama's own circuit breakers would refuse every record for 10 s after Kafka is back.
type Publisher struct {
	cfg     Config
	metrics publisherMetrics
	logger  *slog.Logger
	// slots holds one token for each record that waits for its acknowledgement.
	slots chan struct{}

	mu sync.Mutex
	// current is nil while there is no connection; changed is closed when that changes.
	current *connection
	changed chan struct{}

	stop     context.CancelFunc
	stopped  context.Context
	finished chan struct{}
	retiring sync.WaitGroup
}

// stableAfter is how long a connection must have lasted for the next one to be tried without a growing wait.
const stableAfter = 10 * time.Second

// OpenPublisher makes a publisher. It doesn't wait for Kafka: a connection is made in the background, and again
// whenever it breaks. A topic that isn't there is created. The error is of the configuration only.
func OpenPublisher(cfg Config, registerer prometheus.Registerer, logger *slog.Logger) (*Publisher, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	metrics, err := newPublisherMetrics(registerer)
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		cfg: cfg, metrics: metrics, logger: logger,
		slots: make(chan struct{}, cfg.MaxInFlight), changed: make(chan struct{}), finished: make(chan struct{}),
	}
	p.stopped, p.stop = context.WithCancel(context.Background())
	go p.run(p.stopped)
	return p, nil
}

// Publish implements domain.Publisher.
func (p *Publisher) Publish(ctx context.Context, winner domain.Winner) error {
	return p.PublishAll(ctx, []domain.Winner{winner})
}

// PublishAll implements domain.Publisher. It waits no longer than PublishTimeout. An acknowledgement that comes later
// is dropped: who got no answer sends the record again.
func (p *Publisher) PublishAll(ctx context.Context, winners []domain.Winner) error {
	if len(winners) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.PublishTimeout)
	defer cancel()
	receipt := newReceipt(len(winners))
	for _, winner := range winners {
		if err := p.hand(ctx, winner, receipt); err != nil {
			p.metrics.records.WithLabelValues(resultTimedOut).Add(float64(len(winners)))
			return outcomeUnknown(err)
		}
	}
	select {
	case <-receipt.complete:
	case <-ctx.Done():
		p.metrics.records.WithLabelValues(resultTimedOut).Add(float64(len(winners)))
		return outcomeUnknown(ctx.Err())
	}
	p.metrics.ackSeconds.Observe(time.Since(receipt.started).Seconds())
	if err := receipt.failure(); err != nil {
		return outcomeUnknown(err)
	}
	return nil
}

func outcomeUnknown(err error) error {
	return domain.Wrap(domain.CodeOutcomeUnknown, err, "Kafka did not acknowledge the record; it may or may not be on the topic")
}

var errClosed = errors.New("the publisher is closed")

// hand gives one record to the current connection, waiting for a connection and for a free slot.
func (p *Publisher) hand(ctx context.Context, winner domain.Winner, receipt *receipt) error {
	message := encode(p.cfg.Topic, winner)
	message.Metadata = receipt
	for {
		connection, err := p.connection(ctx)
		if err != nil {
			return err
		}
		select {
		case p.slots <- struct{}{}:
			p.metrics.inFlight.Inc()
		case <-ctx.Done():
			return ctx.Err()
		}
		if err = connection.send(ctx, message); err == nil {
			return nil
		}
		p.free()
		if !errors.Is(err, errRetired) {
			return err
		}
	}
}

func (p *Publisher) free() {
	<-p.slots
	p.metrics.inFlight.Dec()
}

// connection gives the current connection, as soon as there is one.
func (p *Publisher) connection(ctx context.Context) (*connection, error) {
	for {
		p.mu.Lock()
		current, changed := p.current, p.changed
		p.mu.Unlock()
		if current != nil {
			return current, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.stopped.Done():
			return nil, errClosed
		}
	}
}

func (p *Publisher) setConnection(connection *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = connection
	close(p.changed)
	p.changed = make(chan struct{})
	if connection == nil {
		p.metrics.connected.Set(0)
	} else {
		p.metrics.connected.Set(1)
	}
}

// run keeps a connection until ctx ends.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.finished)
	var wait backoff
	for ctx.Err() == nil {
		lasted, err := p.connectOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if lasted > stableAfter {
			wait.reset()
		}
		p.logger.Warn("the publisher has no connection to Kafka and tries again", "error", err)
		_ = wait.wait(ctx)
	}
}

// connectOnce makes a connection and uses it until it breaks or ctx ends. It says how long the connection lasted.
func (p *Publisher) connectOnce(ctx context.Context) (time.Duration, error) {
	connection, err := connect(ctx, p.cfg)
	if err != nil {
		return 0, err
	}
	started := time.Now()
	collecting := connection.collect(p.settle)
	p.setConnection(connection)
	p.logger.Info("the publisher is connected to Kafka", "topic", p.cfg.Topic)
	select {
	case <-connection.broken:
	case <-ctx.Done():
	}
	p.setConnection(nil)
	// What is under way on it may still succeed; the next connection doesn't wait for that.
	p.retiring.Go(func() { connection.retire(collecting, p.cfg.closeTimeout) })
	return time.Since(started), connection.cause()
}

// settle is told what became of one record.
func (p *Publisher) settle(receipt *receipt, err error) {
	p.free()
	if err != nil {
		p.metrics.records.WithLabelValues(resultFailed).Inc()
	} else {
		p.metrics.records.WithLabelValues(resultAcknowledged).Inc()
	}
	receipt.settle(err)
}

// Close waits for the acknowledgements of what is under way, for at most 5 s, and ends the connection.
// CodeUnavailable: not all came, or the connection could not be ended in time; it ends with its own timeouts then.
func (p *Publisher) Close() error {
	p.stop()
	p.metrics.unregister()
	ended := finishes(p.cfg.closeTimeout+time.Second, func() {
		<-p.finished
		p.retiring.Wait()
	})
	if !ended {
		return domain.Errorf(domain.CodeUnavailable, "Kafka did not acknowledge in time what was under way")
	}
	return nil
}
