package retryer

import (
	"context"
	"maps"
	"sync"
	"time"

	"firstcome/domain"
)

const (
	// lookBack is how many of the newest committed records of each partition a rebuild compares with the ledger. What a
	// database loses that goes back is what was stored last, so some of it is among them.
	lookBack = 10_000
	// lookBackAge is how long the newest records are kept, so that only what is committed meanwhile is to be read: after
	// the loss of Redis every gate is rebuilt.
	lookBackAge = 3 * time.Second
)

// newestStored are the winners of one campaign among the newest committed records, in no stated order.
type newestStored struct {
	winners []domain.Winner
	// whole says that the topic has no older committed records.
	whole bool
}

// newestRecords reads the newest committed records for all who want them.
type newestRecords struct {
	reader   domain.StoredReader
	readings *together[struct{}, recentRecords]

	mu   sync.Mutex
	kept recentRecords
}

// recentRecords is what was read, by campaign. Nobody changes it any more.
type recentRecords struct {
	// since is when the first reading began on which these rest.
	since   time.Time
	winners map[string][]domain.Winner
	ends    domain.TailEnds
	whole   bool
}

func newNewestRecords(reader domain.StoredReader) *newestRecords {
	return &newestRecords{reader: reader, readings: newTogether[struct{}, recentRecords]("read the newest records")}
}

// of gives the winners of the newest records that are committed when it is called, and perhaps of some that come later. So
// a rebuild that has read the topic's tail before misses nothing that is committed between the two.
func (n *newestRecords) of(ctx context.Context, campaign string) (newestStored, error) {
	recent, err := n.readings.do(ctx, struct{}{}, n.read)
	return newestStored{winners: recent.winners[campaign], whole: recent.whole}, err
}

// read reads on from what is kept. The winners of one campaign may share the memory of those before: only one reading is
// under way at a time, and it appends.
func (n *newestRecords) read(ctx context.Context, _ []struct{}) (recentRecords, error) {
	recent := n.last()
	recent.winners = maps.Clone(recent.winners)
	if recent.winners == nil {
		recent = recentRecords{since: time.Now(), winners: map[string][]domain.Winner{}, whole: true}
	}
	part := domain.StoredPart{Newest: lookBack, After: recent.ends}
	read, err := n.reader.ReadStored(ctx, part, func(delivery domain.Delivery) error {
		if isPromise(delivery) {
			recent.winners[delivery.Winner.Campaign] = append(recent.winners[delivery.Winner.Campaign], delivery.Winner)
		}
		return nil
	})
	if err != nil {
		return recentRecords{}, err
	}
	recent.ends, recent.whole = read.Ends, recent.whole && read.Whole
	n.keep(recent)
	return recent, nil
}

// isPromise says whether a record names a winner of the gate.
func isPromise(delivery domain.Delivery) bool { return delivery.Problem == nil && !delivery.External }

// last gives what is kept, or nothing if that is too old.
func (n *newestRecords) last() recentRecords {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.kept.since) > lookBackAge {
		return recentRecords{}
	}
	return n.kept
}

// keep holds a reading for others, and lets its memory go when it is too old for them.
func (n *newestRecords) keep(recent recentRecords) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = recent
	time.AfterFunc(lookBackAge-time.Since(recent.since), func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.kept.since.Equal(recent.since) {
			n.kept = recentRecords{}
		}
	})
}
