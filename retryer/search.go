package retryer

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"firstcome/domain"
)

const (
	// searchLimit is how long one reading of all committed records may take, whatever the rebuilds do that wait for it.
	searchLimit = 2 * time.Hour
	// keepFound is how long what was found is kept for a rebuild that could not wait for it, and begins again.
	keepFound = 30 * time.Minute
	// maxFound bounds the users that a reading and what is kept of earlier ones hold together, at about 60 bytes each
	// (120 MB). Campaigns beyond it wait for the next reading; one alone may have all of its users.
	maxFound = 2_000_000
)

// searches reads all committed records that the topic still has, for the campaigns of which the ledger has lost coupons. Those
// that ask while a reading is under way share the next one. A reading lives by itself: a rebuild that stops waiting finds
// its outcome when it comes back.
type searches struct {
	reader   domain.StoredReader
	maxFound int

	mu sync.Mutex
	// byCampaign are the searches that wait, are under way, or have found what is kept; waiting are the first of these.
	byCampaign map[string]*search
	waiting    []*search
	// held counts the users of all searches.
	held int
	// cancel ends the reading that is under way; nil when there is none.
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// search is one campaign's. Once done is closed, found and ends or err are there, and nobody changes them.
type search struct {
	campaign domain.Campaign
	done     chan struct{}
	found    *upstream
	ends     domain.TailEnds
	err      error
	// putOff says that the reading under way leaves the campaign out: it takes part in the next one.
	putOff bool
}

func newSearches(reader domain.StoredReader) *searches {
	return &searches{reader: reader, maxFound: maxFound, byCampaign: map[string]*search{}}
}

// all calls visit for the winners of all records of the campaign that were committed when it was called, and that the
// topic still has: of each user, for what the highest epoch says, and for what came last perhaps once more. It takes
// as long as the reading does that is under way, and the next.
func (s *searches) all(ctx context.Context, campaign domain.Campaign, visit func(domain.Winner)) error {
	sought := s.seek(ctx, campaign)
	select {
	case <-sought.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if sought.err != nil {
		return sought.err
	}
	for user, claim := range sought.found.claims {
		visit(claim.winner(campaign.Code, user))
	}
	part := domain.StoredPart{Newest: math.MaxInt64, After: sought.ends}
	_, err := s.reader.ReadStored(ctx, part, func(delivery domain.Delivery) error {
		if isPromise(delivery) && delivery.Winner.Campaign == campaign.Code {
			visit(delivery.Winner)
		}
		return nil
	})
	return err
}

// seek gives the campaign's search, a new one if there is none.
func (s *searches) seek(ctx context.Context, campaign domain.Campaign) *search {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sought := s.byCampaign[campaign.Code]; sought != nil {
		return sought
	}
	sought := &search{campaign: campaign, done: make(chan struct{})}
	s.byCampaign[campaign.Code] = sought
	s.waiting = append(s.waiting, sought)
	if s.cancel == nil {
		ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.group.Go(func() { s.run(ctx) })
	}
	return sought
}

// forget lets go what was found for a campaign whose gate is open.
func (s *searches) forget(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sought := s.byCampaign[code]; sought != nil && isDone(sought) {
		s.drop(sought)
	}
}

func isDone(sought *search) bool {
	select {
	case <-sought.done:
		return true
	default:
		return false
	}
}

func (s *searches) drop(sought *search) {
	delete(s.byCampaign, sought.campaign.Code)
	if sought.found != nil {
		s.held -= len(sought.found.claims)
	}
}

// stop ends the reading that is under way, and waits for its end.
func (s *searches) stop() {
	s.mu.Lock()
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()
	s.group.Wait()
}

// run reads until nobody waits.
func (s *searches) run(ctx context.Context) {
	for taken := s.begin(); len(taken) > 0; taken = s.begin() {
		ends, err := s.read(ctx, taken)
		s.end(taken, ends, err)
	}
}

// begin takes those who wait into a reading.
func (s *searches) begin() []*search {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waiting
	s.waiting = nil
	for _, sought := range taken {
		// Which admission times are believed is for the rebuild to say, by its gate's clock.
		sought.found, sought.putOff = newUpstream(sought.campaign, domain.NoEnd), false
	}
	if len(taken) == 0 {
		s.cancel()
		s.cancel = nil
	}
	return taken
}

// read fills in what the searches find. A panic is the error of those who wait.
func (s *searches) read(ctx context.Context, taken []*search) (ends domain.TailEnds, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	defer func() {
		if panicked := recover(); panicked != nil {
			err = domain.Errorf(domain.CodeInternal, "reading all records of the topic panicked: %v", panicked)
		}
	}()
	byCode := make(map[string]*search, len(taken))
	for _, sought := range taken {
		byCode[sought.campaign.Code] = sought
	}
	read, err := s.reader.ReadStored(ctx, domain.StoredPart{Newest: math.MaxInt64}, func(delivery domain.Delivery) error {
		sought := byCode[delivery.Winner.Campaign]
		if sought == nil || sought.putOff || !isPromise(delivery) {
			return nil
		}
		before := len(sought.found.claims)
		sought.found.addBounded(delivery.Winner)
		if len(sought.found.claims) > before {
			s.hold(taken)
		}
		return nil
	})
	return read.Ends, err
}

// hold counts one more user. When they are too many, the one that asked last is put off, unless no other is left.
func (s *searches) hold(taken []*search) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
	if s.held <= s.maxFound {
		return
	}
	last := slices.IndexFunc(taken, func(sought *search) bool { return sought.putOff })
	if last < 0 {
		last = len(taken)
	}
	if last == 1 {
		return
	}
	off := taken[last-1]
	s.held -= len(off.found.claims)
	off.putOff, off.found = true, nil
	s.waiting = append(s.waiting, off)
}

// end tells those who took part. What failed is begun again by who asks next.
func (s *searches) end(taken []*search, ends domain.TailEnds, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sought := range taken {
		if sought.putOff {
			continue
		}
		sought.ends, sought.err = ends, err
		close(sought.done)
		if err != nil {
			s.drop(sought)
			continue
		}
		time.AfterFunc(keepFound, func() { s.expire(sought) })
	}
}

func (s *searches) expire(sought *search) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCampaign[sought.campaign.Code] == sought {
		s.drop(sought)
	}
}
