package consumer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/domain"
)

// TestMain lets be what sarama, which the benchmark on real servers uses, keeps for the whole process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const (
	sale  = "welcome"
	topic = "coupon_create"
)

var errAway = domain.Errorf(domain.CodeUnavailable, "away")

// world is a ledger, a gate and a topic in memory, which obey the contracts of the domain's ports.
type world struct {
	mu sync.Mutex
	// before is called with the name of each call, under the lock; its error is the call's, which then has no effect.
	before func(call string) error
	// after is like before, but the call has had its effect.
	after func(call string) error
	calls map[string]int

	campaigns map[string]*campaign
	refused   map[domain.UserID]bool
	events    map[domain.RecordPosition]domain.FailEvent
	disputed  []domain.Winner
	entries   map[string]pendingEntry
	confirmed []domain.UserID
	settings  map[string]string

	partitions [][]domain.Delivery
	read       []int
	committed  []int
	// given is what a Poll gave and no Commit took since the last rejoin.
	given   []domain.Delivery
	putBack []domain.Delivery
	total   int
	biggest int
	stored  []time.Time
}

type campaign struct {
	quota, epoch, gateEpoch int64
	closed                  bool
	refusal                 domain.Code
	rows                    map[domain.UserID]domain.Slot
	gate                    map[domain.UserID]domain.Slot
	gateRevoked             map[domain.UserID]bool
}

func newWorld(partitions int) *world {
	w := &world{
		calls: map[string]int{}, campaigns: map[string]*campaign{}, refused: map[domain.UserID]bool{},
		entries: map[string]pendingEntry{}, events: map[domain.RecordPosition]domain.FailEvent{}, settings: map[string]string{},
		partitions: make([][]domain.Delivery, partitions), read: make([]int, partitions),
		committed: make([]int, partitions), total: partitions,
	}
	w.campaigns[sale] = newCampaign(1000)
	return w
}

func newCampaign(quota int64) *campaign {
	return &campaign{
		quota: quota, epoch: 1, gateEpoch: 1, rows: map[domain.UserID]domain.Slot{},
		gate: map[domain.UserID]domain.Slot{}, gateRevoked: map[domain.UserID]bool{},
	}
}

func (w *world) produce(partition int, delivery domain.Delivery) domain.Delivery {
	delivery.Position = domain.RecordPosition{
		Topic: topic, Partition: int32(partition), Offset: int64(len(w.partitions[partition])),
	}
	if delivery.Raw == nil {
		delivery.Raw = []byte(delivery.Winner.UserID.String())
	}
	w.partitions[partition] = append(w.partitions[partition], delivery)
	return delivery
}

func (w *world) admitted(partition int, user domain.UserID, slot domain.Slot) domain.Delivery {
	w.campaigns[sale].gate[user] = slot
	return w.produce(partition, domain.Delivery{Winner: winner(user, slot, 1)})
}

func winner(user domain.UserID, slot domain.Slot, epoch int64) domain.Winner {
	return domain.Winner{Campaign: sale, UserID: user, Slot: slot, Epoch: epoch, AdmittedAt: time.UnixMilli(1000)}
}

// call runs one call under the lock, with what the test wants to go wrong.
func call[T any](w *world, name string, do func() (T, error)) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[name]++
	var zero T
	if w.before != nil {
		if err := w.before(name); err != nil {
			return zero, err
		}
	}
	result, err := do()
	if err == nil && w.after != nil {
		if err := w.after(name); err != nil {
			return zero, err
		}
	}
	return result, err
}

func callPlain(w *world, name string, do func() error) error {
	_, err := call(w, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (w *world) StoreCoupons(_ context.Context, code string, winners []domain.Winner) ([]domain.StoreResult, error) {
	return call(w, "store", func() ([]domain.StoreResult, error) {
		w.biggest = max(w.biggest, len(winners))
		c, known := w.campaigns[code]
		results := make([]domain.StoreResult, len(winners))
		added := map[domain.UserID]domain.Slot{}
		taken := map[domain.Slot]bool{}
		if known {
			for _, slot := range c.rows {
				taken[slot] = true
			}
		}
		for i, winner := range winners {
			if !known {
				results[i].Outcome = domain.UnknownCampaign
				continue
			}
			results[i].Outcome = c.outcome(winner, added, taken)
			if results[i].Outcome == domain.Stored {
				if w.refused[winner.UserID] {
					return nil, domain.Errorf(domain.CodeRowRefused, "row of user %d refused", winner.UserID)
				}
				added[winner.UserID], taken[winner.Slot] = winner.Slot, true
			}
		}
		for user, slot := range added {
			c.rows[user] = slot
			w.stored = append(w.stored, time.Now())
		}
		return results, nil
	})
}

func (c *campaign) outcome(
	winner domain.Winner, added map[domain.UserID]domain.Slot, taken map[domain.Slot]bool,
) domain.StoreOutcome {
	slot, has := added[winner.UserID]
	if !has {
		slot, has = c.rows[winner.UserID]
	}
	switch {
	case has && slot == domain.NoSlot:
		return domain.AlreadyRevoked
	case has && slot == winner.Slot:
		return domain.AlreadyStored
	case has:
		return domain.HasOtherSlot
	case winner.Epoch != c.epoch:
		return domain.OtherEpoch
	case winner.Slot < 1 || int64(winner.Slot) > c.quota:
		return domain.OverQuota
	case taken[winner.Slot]:
		return domain.SlotTaken
	}
	return domain.Stored
}

func (w *world) RecordFailEvent(_ context.Context, event domain.FailEvent) error {
	return callPlain(w, "fail event", func() error {
		if event.Slot > 0 && (w.campaigns[event.Campaign] == nil || w.campaigns[event.Campaign].epoch != event.Epoch) {
			return domain.Errorf(domain.CodeEpochChanged, "another epoch")
		}
		if _, twice := w.events[event.Position]; !twice {
			w.events[event.Position] = event
		}
		return nil
	})
}

func (w *world) AdmitAll(_ context.Context, code string, users []domain.UserID, decisions []domain.Decision) error {
	return callPlain(w, "admit", func() error { return w.decideAll(code, users, decisions, false) })
}

func (w *world) HonourAll(_ context.Context, code string, users []domain.UserID, decisions []domain.Decision) error {
	return callPlain(w, "honour", func() error { return w.decideAll(code, users, decisions, true) })
}

// decideAll gives the new winners one pending entry, as the gate does.
func (w *world) decideAll(code string, users []domain.UserID, decisions []domain.Decision, promised bool) error {
	c := w.campaigns[code]
	if c == nil || c.closed {
		return domain.Errorf(domain.CodeGateClosed, "closed")
	}
	id := strconv.Itoa(len(w.entries)) + "-0"
	entry := pendingEntry{code, c.gateEpoch, nil}
	for n, user := range users {
		decisions[n].Admission, decisions[n].Err = w.decide(code, user, promised)
		if decisions[n].New {
			entry.users = append(entry.users, user)
		}
	}
	for n := range decisions {
		if decisions[n].New {
			decisions[n].EntryID, decisions[n].EntrySize = id, len(entry.users)
		}
	}
	if len(entry.users) > 0 {
		w.entries[id] = entry
	}
	return nil
}

type pendingEntry struct {
	campaign string
	epoch    int64
	users    []domain.UserID
}

func (w *world) decide(code string, user domain.UserID, promised bool) (domain.Admission, error) {
	c := w.campaigns[code]
	if c.gateRevoked[user] {
		return domain.Admission{}, domain.Errorf(domain.CodeRevoked, "revoked")
	}
	slot, known := c.gate[user]
	if !known || slot < 1 {
		if c.refusal != "" && !promised {
			return domain.Admission{}, domain.Errorf(c.refusal, "refused")
		}
		if slot = c.lowestFree(); int64(slot) > c.quota {
			return domain.Admission{}, domain.Errorf(domain.CodeSoldOut, "sold out")
		}
		c.gate[user] = slot
	}
	admitted := winner(user, slot, c.gateEpoch)
	admitted.Campaign = code
	return domain.Admission{Winner: admitted, New: !known}, nil
}

func (c *campaign) lowestFree() domain.Slot {
	taken := map[domain.Slot]bool{}
	for _, slot := range c.gate {
		taken[slot] = true
	}
	slot := domain.Slot(1)
	for taken[slot] {
		slot++
	}
	return slot
}

// Acknowledge notes whose entry went; it goes only as the entry of that campaign and epoch.
func (w *world) Acknowledge(_ context.Context, code string, epoch int64, ids []string) error {
	return callPlain(w, "confirm", func() error {
		if w.campaigns[code].gateEpoch != epoch {
			return domain.Errorf(domain.CodeEpochChanged, "another epoch")
		}
		for _, id := range ids {
			if entry := w.entries[id]; entry.campaign == code && entry.epoch == epoch {
				w.confirmed = append(w.confirmed, entry.users...)
			}
		}
		return nil
	})
}

// Dispute makes a contradicting gate right again at once, which stands for closing it and the rebuild that follows.
func (w *world) Dispute(_ context.Context, winner domain.Winner) error {
	return callPlain(w, "dispute", func() error {
		w.disputed = append(w.disputed, winner)
		c := w.campaigns[winner.Campaign]
		if c.gateEpoch <= winner.Epoch && c.gate[winner.UserID] == winner.Slot {
			c.rebuild()
		}
		return nil
	})
}

// rebuild raises the epoch and gives the gate what the ledger says; a user whose slot is somebody's row is owed one.
func (c *campaign) rebuild() {
	c.epoch++
	c.gateEpoch = c.epoch
	held := map[domain.Slot]domain.UserID{}
	for user, slot := range c.rows {
		c.gate[user] = slot
		held[slot] = user
	}
	for user, slot := range c.gate {
		if holder, taken := held[slot]; taken && holder != user || int64(slot) > c.quota {
			c.gate[user] = domain.SlotOwed
		}
	}
}

func (w *world) Setting(_ context.Context, name string) (string, error) {
	return call(w, "setting", func() (string, error) { return w.settings[name], nil })
}

func (w *world) Campaign(_ context.Context, code string) (domain.Campaign, error) {
	return call(w, "campaign", func() (domain.Campaign, error) {
		if w.campaigns[code] == nil {
			return domain.Campaign{}, domain.Errorf(domain.CodeUnknownCampaign, "unknown")
		}
		return domain.Campaign{Code: code}, nil
	})
}

func (w *world) Share() (int, int) { return len(w.partitions), w.total }

func (w *world) drained() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.partitions {
		if w.committed[p] < len(w.partitions[p]) {
			return false
		}
	}
	return true
}

func (w *world) see(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

func (w *world) eventOf(user domain.UserID) (domain.FailEvent, bool) {
	for _, event := range w.events {
		if event.UserID == user {
			return event, true
		}
	}
	return domain.FailEvent{}, false
}

func (w *world) consumer(t require.TestingT, cfg Config) *Consumer {
	cfg.DefaultCampaign = orDefault(cfg.DefaultCampaign, sale)
	c, err := New(cfg, Ports{Source: w, Coupons: w, Gate: w, Mender: w, Settings: w, Campaigns: w},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return c
}

// run starts a consumer, and stop ends it.
func (c *Consumer) start() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() error { cancel(); return <-ended }
}

// chance is a source of accidents that several goroutines may ask.
type chance struct{ *rand.Rand }

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 1))} }

func (c chance) hits(percent int) bool { return c.IntN(100) < percent }
