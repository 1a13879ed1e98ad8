package kafkaqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"firstcome/domain"
)

// Publisher implements domain.Publisher. It may be used by any number of goroutines.
//
// It holds at most one connection. One that breaks is replaced by a new one, which asks for the leaders anew; what was
// under way on it is sent again by the next.
type Publisher struct {
	cfg     Config
	metrics publisherMetrics
	logger  *slog.Logger
	// slots has one place for each record that waits for its acknowledgement.
	slots *semaphore.Weighted
	// parcels says how many records go together.
	parcels parcelSize

	mu sync.Mutex
	// current is nil while there is no connection; changed is closed when that changes.
	current *connection
	changed chan struct{}

	stop     context.CancelFunc
	stopped  context.Context
	finished chan struct{}
	retiring sync.WaitGroup
}

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
		slots: semaphore.NewWeighted(int64(cfg.MaxInFlight)), changed: make(chan struct{}), finished: make(chan struct{}),
	}
	p.stopped, p.stop = context.WithCancel(context.Background())
	go p.run(p.stopped)
	return p, nil
}

// Publish implements domain.Publisher.
func (p *Publisher) Publish(ctx context.Context, winner domain.Winner) error {
	return p.PublishAll(ctx, []domain.Winner{winner})
}

// PublishAll implements domain.Publisher.
func (p *Publisher) PublishAll(ctx context.Context, winners []domain.Winner) error {
	var failure error
	p.PublishEach(ctx, winners, func(_ []int, err error) {
		if failure == nil {
			failure = err
		}
	})
	return failure
}

// connection gives the current connection, as soon as there is one.
func (p *Publisher) connection(ctx context.Context) (*connection, error) {
	for {
		p.mu.Lock()
		current, changed := p.current, p.changed
		p.mu.Unlock()
		if current != nil && current.cause() == nil {
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
		served, err := p.connectOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		p.logger.Warn("the publisher has no connection to Kafka and tries again", "error", err)
		if served {
			// It worked, so perhaps it was only closed because nothing was sent for a while: a user waits for the next one.
			wait.reset()
			continue
		}
		_ = wait.wait(ctx)
	}
}

// connectOnce makes a connection and uses it until it breaks or ctx ends. It says whether Kafka took a record on it.
func (p *Publisher) connectOnce(ctx context.Context) (served bool, err error) {
	connection, err := connect(ctx, p.cfg)
	if err != nil {
		return false, err
	}
	p.setConnection(connection)
	p.retiring.Go(func() { connection.tend(ctx, p.cfg, p.logger) })
	p.logger.Info("the publisher is connected to Kafka", "topic", p.cfg.Topic)
	select {
	case <-connection.broken:
	case <-ctx.Done():
	}
	p.setConnection(nil)
	// What is under way on it may still succeed; the next connection doesn't wait for that.
	p.retiring.Go(func() { connection.calls.retire(p.cfg.closeTimeout) })
	return connection.served.Load(), connection.cause()
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
