package consumer

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"firstcome/domain"
)

// lane is a line of items that get on or wait together: the trouble of one lane holds up no other.
type lane struct {
	kind     laneKind
	campaign string
}

type laneKind int

const (
	ofCampaign laneKind = iota
	// fromOutside are applications that did not ask the gate yet.
	fromOutside
	unreadable
)

func (l lane) String() string {
	switch l.kind {
	case fromOutside:
		return "applications from outside"
	case unreadable:
		return "unreadable records"
	}
	return "campaign " + l.campaign
}

const (
	// maxInHand bounds the records that wait in this process. When so many wait, nothing new is polled until some get on:
	// waiting is better than a fail event, which would lose the slot that the user was told.
	maxInHand = 8000
	// maxWaiting is from when on lanes in trouble put records back, so that there is always room for those of others:
	// they keep triedWaiting together, and each of them one at least.
	maxWaiting   = maxInHand / 2
	triedWaiting = maxInHand / 4
)

const (
	// A lane that took long to fail waits costPerTry times as long before it is tried again, so that it takes a bounded
	// part of the consumer's time; but no longer than maxLaneWait.
	costPerTry  = 4
	maxLaneWait = 30 * time.Second
	// stoppedAfter is for how long nothing may get done before the consumer counts as paused.
	stoppedAfter = time.Second
	// toldAfter is for how long a lane waits before operators are told: most rebuilds of a gate end sooner. maxTold is of
	// how many lanes they are told.
	toldAfter = 10 * time.Second
	maxTold   = 10
)

// trouble is why a lane waits, and until when.
type trouble struct {
	why       error
	since     time.Time
	tries     int
	notBefore time.Time
}

// lanes keeps what was polled and is not committed, and which lanes wait. State may be asked at any time; all else is
// for the one who runs the rounds.
type lanes struct {
	min, max time.Duration
	metrics  *metrics
	logger   *slog.Logger
	// left is what earlier rounds left.
	left []*item
	// putBack counts the records of each lane that were put back and are not given again yet.
	putBack map[lane]int

	mu        sync.Mutex
	inHand    int
	waiting   map[lane]int // how many records of each lane wait
	troubles  map[lane]*trouble
	movedLast time.Time
}

func newLanes(cfg Config, metrics *metrics, logger *slog.Logger) *lanes {
	return &lanes{
		min: cfg.MinBackoff, max: cfg.MaxBackoff, metrics: metrics, logger: logger,
		putBack: map[lane]int{}, troubles: map[lane]*trouble{}, movedLast: time.Now(),
	}
}

// room is how much the next poll may give: what is in hand, and so many more.
func (l *lanes) room(more int) int { return min(len(l.left)+more, max(maxInHand, more)) }

// take gives the batch of the next round. What is known of a record that is given again stays known. What is not given
// again was taken away with its partition: its next owner gets it.
func (l *lanes) take(deliveries []domain.Delivery) (b *batch, fresh int) {
	b = newBatch(deliveries)
	if len(l.left) == 0 {
		return b, len(deliveries)
	}
	known := make(map[domain.RecordPosition]*item, len(l.left))
	for _, i := range l.left {
		known[i.delivery.Position] = i
	}
	fresh = len(deliveries)
	for n, delivery := range deliveries {
		if i := known[delivery.Position]; i != nil && i.delivery.Digest == delivery.Digest {
			b.items[n] = i
			fresh--
		}
	}
	l.forget(b)
	return b, fresh
}

// forget ends the trouble of lanes in which nobody waits any more.
func (l *lanes) forget(b *batch) {
	waiting := b.lanes()
	l.mu.Lock()
	defer l.mu.Unlock()
	for lane := range l.troubles {
		if waiting[lane] == nil {
			delete(l.troubles, lane)
		}
	}
}

// due gives the lanes that may be tried now: first those without trouble, then those that have waited for longest.
func (l *lanes) due(waiting map[lane][]*item, now time.Time) []lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []lane
	for lane := range waiting {
		if t := l.troubles[lane]; t == nil || !now.Before(t.notBefore) {
			due = append(due, lane)
		}
	}
	slices.SortFunc(due, func(a, b lane) int {
		if order := l.waitsUntil(a).Compare(l.waitsUntil(b)); order != 0 {
			return order
		}
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.campaign, b.campaign))
	})
	return due
}

func (l *lanes) waitsUntil(one lane) time.Time {
	if t := l.troubles[one]; t != nil {
		return t.notBefore
	}
	return time.Time{}
}

// failed notes that a lane could not get on, and how long it took to find that out.
func (l *lanes) failed(one lane, why error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	t := l.troubles[one]
	if t == nil {
		t = &trouble{since: now}
		l.troubles[one] = t
		l.metrics.pauses.WithLabelValues(string(domain.CodeOf(why))).Inc()
		l.logger.Warn("records wait in the consumer; they are kept and tried again", "lane", one.String(), "cause", why)
	}
	t.why = why
	t.tries++
	t.notBefore = now.Add(max(backoff(l.min, l.max, t.tries), min(costPerTry*took, maxLaneWait)))
}

// passed notes that everybody in the lane got on.
func (l *lanes) passed(one lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.troubles[one]; t != nil {
		delete(l.troubles, one)
		l.logger.Info("records in the consumer go on", "lane", one.String(), "waited", time.Since(t.since), "tries", t.tries)
	}
}

// keep takes back what a round did not finish, or could not commit.
func (l *lanes) keep(b *batch, committed bool) {
	var left []*item
	moved := false
	for _, i := range b.items {
		moved = moved || i.done
		if !i.done || !committed {
			left = append(left, i)
		}
	}
	l.left = left
	waiting := b.lanes()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand, l.waiting = len(left), make(map[lane]int, len(waiting))
	for one, items := range waiting {
		l.waiting[one] = len(items) + l.putBack[one]
	}
	if moved || len(left) == 0 {
		l.movedLast = time.Now()
	}
	l.metrics.held.Set(float64(len(left)))
}

// surplus gives what lanes in trouble have in hand beyond what each of them may keep, while all together have too much.
func (l *lanes) surplus() []*item {
	if len(l.left) <= maxWaiting {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	may := max(1, triedWaiting/max(1, len(l.troubles)))
	has := map[lane]int{}
	var surplus []*item
	for _, i := range l.left {
		one := i.in()
		if i.done || l.troubles[one] == nil {
			continue
		}
		has[one]++
		if has[one] > may {
			surplus = append(surplus, i)
		}
	}
	return surplus
}

// gaveBack notes that items were put back.
func (l *lanes) gaveBack(items []*item) {
	gone := make(map[*item]bool, len(items))
	for _, i := range items {
		gone[i] = true
		l.putBack[i.in()]++
	}
	l.left = slices.DeleteFunc(l.left, func(i *item) bool { return gone[i] })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand = len(l.left)
	l.metrics.held.Set(float64(l.inHand))
}

// wantsBack says whether a lane gets on again of which records were put back. All that was put back is then given again;
// what still waits is put back anew.
func (l *lanes) wantsBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.putBack {
		if l.troubles[one] == nil {
			clear(l.putBack)
			return true
		}
	}
	return false
}

// state says why nothing gets done, and since when; empty while something does, or when nothing waits.
func (l *lanes) state() (string, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inHand == 0 || len(l.troubles) == 0 || time.Since(l.movedLast) < stoppedAfter {
		return "", time.Time{}
	}
	var first lane
	for one, t := range l.troubles {
		if known := l.troubles[first]; known == nil || t.since.Before(known.since) {
			first = one
		}
	}
	why := fmt.Sprintf("%d records wait, those of %s because: %v", l.inHand, first, l.troubles[first].why)
	if others := len(l.troubles) - 1; others > 0 {
		why += fmt.Sprintf(" (and of %d more)", others)
	}
	return why, l.troubles[first].since
}

// told gives the records of lanes that have waited for toldAfter, those that have waited longest first.
func (l *lanes) told() []domain.WaitingRecords {
	l.mu.Lock()
	defer l.mu.Unlock()
	var told []domain.WaitingRecords
	for one, t := range l.troubles {
		if records := l.waiting[one]; records > 0 && time.Since(t.since) >= toldAfter {
			told = append(told, domain.WaitingRecords{Of: one.String(), Records: records, Since: t.since, Why: t.why.Error()})
		}
	}
	slices.SortFunc(told, func(a, b domain.WaitingRecords) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Of, b.Of))
	})
	return told[:min(len(told), maxTold)]
}
