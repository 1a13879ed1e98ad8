package kafkaqueue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

// Source implements domain.Source as one member of the consumer group. Poll and Commit are for one caller, which
// handles one batch after the other; Share, Ready and Close may be called at any time.
//
// What a Poll gave, and neither Commit nor PutBack took, is given again by the next Poll, before anything newer.
type Source struct {
	cfg     Config
	metrics sourceMetrics
	logger  *slog.Logger
	client  sarama.Client
	group   sarama.ConsumerGroup
	offsets *offsets
	// records is where all partitions of this process meet; it bounds what is fetched ahead.
	records chan taken
	// again holds a token when what was put back is to be read again.
	again chan struct{}

	mu          sync.Mutex
	outstanding outstanding
	// current is nil while the process is no member of the group; total counts the topic's partitions.
	current *session
	total   int
	// distrusted are partitions whose log was seen to change while they were read; the next session begins them anew.
	distrusted map[int32]bool

	stop     context.CancelFunc
	stopped  context.Context
	finished chan struct{}
}

const (
	// fetchedAhead bounds the records that wait in this process, in addition to what each partition's fetch holds: enough for
	// the next poll, so that records are fetched and decoded while those before them are stored.
	fetchedAhead = 4096
	// maxPoll bounds one Poll, and with it what is outstanding.
	maxPoll = 10_000
)

// OpenSource joins the consumer group in the background, and again whenever it has dropped out; it doesn't wait for
// Kafka. The error is of the configuration only.
func OpenSource(cfg Config, registerer prometheus.Registerer, logger *slog.Logger) (*Source, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, logger: logger, records: make(chan taken, fetchedAhead), again: make(chan struct{}, 1), total: int(cfg.Partitions),
		finished: make(chan struct{}),
	}
	if err := s.openClients(); err != nil {
		return nil, err
	}
	var err error
	if s.metrics, err = newSourceMetrics(registerer); err != nil {
		s.closeClients()
		return nil, err
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	go s.run(s.stopped)
	return s, nil
}

func (s *Source) openClients() (err error) {
	if s.offsets, err = openOffsets(s.cfg); err != nil {
		return err
	}
	if s.client, err = newClient(s.cfg.Brokers, s.cfg.consuming()); err != nil {
		s.offsets.close()
		return err
	}
	if s.group, err = sarama.NewConsumerGroupFromClient(s.cfg.Group, s.client); err != nil {
		s.closeClients()
	}
	return err
}

// closeClients ends the connections; the errors say only that one was closed before.
func (s *Source) closeClients() {
	_ = s.client.Close()
	s.offsets.close()
}

// Poll implements domain.Source. limit is brought into 1..10,000. CodeUnavailable: the source is closed.
func (s *Source) Poll(ctx context.Context, limit int, linger time.Duration) ([]domain.Delivery, error) {
	limit = min(max(limit, 1), maxPoll)
	var lingered <-chan time.Time
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Those in hand are counted, not copied: a consumer whose records wait may have thousands, and any may come now.
		waiting := s.waiting(limit)
		if waiting == limit {
			if batch := s.pending(limit); len(batch) == limit {
				return batch, nil
			}
			continue // a session has ended between the two
		}
		if waiting > 0 && lingered == nil {
			lingered = time.After(linger)
		}
		select {
		case record := <-s.records:
			s.take(record, limit)
		case <-lingered:
			// A session may have ended during the linger, and its records with it.
			if batch := s.pending(limit); len(batch) > 0 {
				return batch, nil
			}
			lingered = nil
		case <-ctx.Done():
		case <-s.stopped.Done():
			return nil, domain.Errorf(domain.CodeUnavailable, "the source is closed")
		}
	}
}

// waiting counts what pending would give.
func (s *Source) waiting(limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outstanding.dropEnded()
	return min(limit, len(s.outstanding.records))
}

// pending gives what is outstanding and still ours.
func (s *Source) pending(limit int) []domain.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outstanding.dropEnded()
	return s.outstanding.first(limit)
}

// take makes a record outstanding, and those that wait behind it until there are limit.
func (s *Source) take(record taken, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outstanding.add(record)
	for len(s.outstanding.records) < limit {
		select {
		case next := <-s.records:
			s.outstanding.add(next)
		default:
			return
		}
	}
}

// Commit implements domain.Source. It returns once the brokers have stored the offsets, and never moves an offset past
// an older record of the partition that is still outstanding. After an error the deliveries are outstanding still.
func (s *Source) Commit(ctx context.Context, deliveries []domain.Delivery) error {
	// Of a session that has just ended too: the brokers accept that until the group has come together anew.
	s.mu.Lock()
	settlement := s.outstanding.settle(deliveries)
	s.mu.Unlock()

	err := s.commit(ctx, settlement)
	if isFenced(err) {
		// The new owner gets the records again.
		s.metrics.passedOver.Add(float64(len(settlement.done)))
		s.logger.Warn("a commit came too late: the group has moved on", "records", len(settlement.done), "error", err)
		settlement.positions = nil
	} else if err != nil {
		return unavailable(err, "commit offsets")
	}
	s.metrics.passedOver.Add(float64(settlement.unknown))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outstanding.apply(settlement)
	return nil
}

func (s *Source) commit(ctx context.Context, settlement settlement) error {
	if len(settlement.positions) == 0 || settlement.session == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := s.offsets.commit(ctx, settlement.session.member, settlement.session.generation, settlement.points())
	s.metrics.commits.WithLabelValues(commitResult(err)).Inc()
	if errors.Is(err, context.DeadlineExceeded) {
		return domain.Wrap(domain.CodeUnavailable, err, "Kafka did not answer a commit in time")
	}
	return err
}

// commitTimeout bounds one commit whose context has no earlier end.
const commitTimeout = 10 * time.Second

func commitResult(err error) string {
	switch {
	case err == nil:
		return "done"
	case isFenced(err):
		return "fenced"
	}
	return "failed"
}

// Share implements domain.Source. Before the group was joined for the first time it gives none of the configured
// number of partitions.
func (s *Source) Share() (owned, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		owned = len(s.current.next)
	}
	return owned, s.total
}

// Ready says whether this process is a member of the group, with or without partitions. CodeUnavailable.
func (s *Source) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return domain.Errorf(domain.CodeUnavailable, "the consumer group %s is not joined", s.cfg.Group)
	}
	return nil
}

// Close leaves the group, so that others get the partitions at once, and ends the connections. What was not committed
// is given to the next owner. CodeUnavailable: the group could not be left within 5 s; the partitions are given to
// others when the session times out, and what is left of the connections ends with their own timeouts.
func (s *Source) Close() error {
	s.stop()
	s.metrics.unregister()
	var err error
	left := finishes(s.cfg.closeTimeout, func() {
		<-s.finished
		err = s.group.Close()
		s.closeClients()
	})
	if !left {
		// Without its connections the group's client comes to its end.
		go s.closeClients()
		return domain.Errorf(domain.CodeUnavailable, "the consumer group could not be left in time")
	}
	if err != nil {
		return domain.Wrap(domain.CodeUnavailable, err, "the consumer group could not be left")
	}
	return nil
}
