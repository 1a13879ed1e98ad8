package retryer

import (
	"context"
	"math"
	"sync"
	"time"

	"firstcome/domain"
)

const (
	// lookBack is how many of the newest committed records of each partition a rebuild compares with the ledger. What a
	// database loses that goes back is what was stored last, so some of it is among them.
	lookBack = 10_000
	// lookBackAge is how long rebuilds share one reading: after the loss of Redis every gate is rebuilt.
	lookBackAge = 3 * time.Second
)

// newestStored are the winners of one campaign among the newest committed records, in no stated order.
type newestStored struct {
	winners []domain.Winner
	// whole says that the topic has no older committed records.
	whole bool
}

// storedRecords reads the committed records, once for all who want the newest within lookBackAge.
type storedRecords struct {
	reader domain.StoredReader
	// reading is held by the one who reads.
	reading chan struct{}

	mu     sync.Mutex
	readAt time.Time
	recent map[string][]domain.Winner
	whole  bool
}

func newStoredRecords(reader domain.StoredReader) *storedRecords {
	return &storedRecords{reader: reader, reading: make(chan struct{}, 1)}
}

// newest gives the winners of the newest committed records. The reading began at most lookBackAge ago: what was stored
// since is not among them.
func (s *storedRecords) newest(ctx context.Context, campaign string) (newestStored, error) {
	if err := s.begin(ctx); err != nil {
		return newestStored{}, err
	}
	defer s.end()
	if found, fresh := s.kept(campaign); fresh {
		return found, nil
	}
	started, recent := time.Now(), map[string][]domain.Winner{}
	whole, err := s.reader.ReadStored(ctx, lookBack, func(delivery domain.Delivery) error {
		if isPromise(delivery) {
			recent[delivery.Winner.Campaign] = append(recent[delivery.Winner.Campaign], delivery.Winner)
		}
		return nil
	})
	if err != nil {
		return newestStored{}, err
	}
	s.keep(started, recent, whole)
	return newestStored{winners: recent[campaign], whole: whole}, nil
}

// all calls visit for the winners of all committed records of the campaign that the topic still has.
func (s *storedRecords) all(ctx context.Context, campaign string, visit func(domain.Winner)) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	_, err := s.reader.ReadStored(ctx, math.MaxInt64, func(delivery domain.Delivery) error {
		if isPromise(delivery) && delivery.Winner.Campaign == campaign {
			visit(delivery.Winner)
		}
		return nil
	})
	return err
}

// isPromise says whether a record names a winner of the gate.
func isPromise(delivery domain.Delivery) bool { return delivery.Problem == nil && !delivery.External }

func (s *storedRecords) begin(ctx context.Context) error {
	select {
	case s.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *storedRecords) end() { <-s.reading }

func (s *storedRecords) kept(campaign string) (newestStored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent == nil || time.Since(s.readAt) > lookBackAge {
		return newestStored{}, false
	}
	return newestStored{winners: s.recent[campaign], whole: s.whole}, true
}

// keep holds a reading for others, and lets its memory go when it is too old for them.
func (s *storedRecords) keep(readAt time.Time, recent map[string][]domain.Winner, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt, s.recent, s.whole = readAt, recent, whole
	time.AfterFunc(lookBackAge, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.readAt.Equal(readAt) {
			s.recent = nil
		}
	})
}
