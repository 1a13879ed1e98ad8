package retryer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sale = "welcome"

var (
	errAway   = domain.Errorf(domain.CodeUnavailable, "away")
	errClosed = domain.Errorf(domain.CodeGateClosed, "closed")
	start     = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

// world is a ledger, a gate and a topic in memory, which obey the contracts of the domain's ports.
type world struct {
	// before is called with the name and the campaign of each call, without the lock; its error is the call's, which
	// then has no effect.
	before func(call, campaign string) error

	mu        sync.Mutex
	calls     map[string]int
	ledger    map[string]*ledger
	gates     map[string]*gate
	topic     []domain.Delivery
	stored    []domain.Delivery // the records before the committed offset
	published []domain.Winner
	events    map[int64]*domain.FailEvent
	attempts  map[int64]int
	refused   map[domain.UserID]bool
	panics    map[domain.UserID]bool
	disputed  []domain.Winner
	confirmed []domain.UserID
	purged    time.Duration
	leases    int
	// unsure says that nobody knows what the gates said last.
	unsure bool
	// seen is the highest epoch that this process saw.
	seen int64
	// gatesAhead is how far the clock of the gates' server is ahead of this host's.
	gatesAhead time.Duration
}

type ledger struct {
	domain.Campaign
	coupons  map[domain.UserID]domain.Coupon
	released map[domain.UserID]bool
}

// gate is one campaign's keys; building are the rebuild's own.
type gate struct {
	open     bool
	epoch    int64
	quota    int64
	version  int64
	state    domain.CampaignState
	startsAt time.Time
	endsAt   time.Time
	users    map[domain.UserID]domain.GateWinner
	pending  []domain.PendingEntry
	building map[domain.UserID]domain.GateWinner
	taken    map[domain.Slot]bool
	entries  []domain.PendingEntry
}

func newWorld(codes ...string) *world {
	w := &world{
		calls: map[string]int{}, ledger: map[string]*ledger{}, gates: map[string]*gate{},
		events: map[int64]*domain.FailEvent{}, attempts: map[int64]int{},
		refused: map[domain.UserID]bool{}, panics: map[domain.UserID]bool{},
	}
	for i, code := range codes {
		w.ledger[code] = &ledger{
			Campaign: domain.Campaign{
				ID: int64(i + 1), Code: code, Name: code, Quota: 100, StartsAt: start, EndsAt: start.AddDate(1, 0, 0),
				State: domain.CampaignOpen,
			},
			coupons: map[domain.UserID]domain.Coupon{}, released: map[domain.UserID]bool{},
		}
		w.gates[code] = &gate{users: map[domain.UserID]domain.GateWinner{}}
	}
	return w
}

// opened is a world whose gates were opened, at epoch 1, and a retryer that has read no stored records yet.
func opened(t require.TestingT, codes ...string) (*world, *Retryer) {
	w := newWorld(codes...)
	r := w.retryer(t, Config{})
	require.NoError(t, r.SweepOnce(context.Background()))
	r.newest = newNewestRecords(w)
	return w, r
}

func (w *world) ports() Ports {
	return Ports{
		Campaigns: w, Claimer: w, Settler: w, Events: w, LedgerRebuild: ledgerRebuild{w}, Revocations: w,
		Gate: w, GateReader: w, Mender: w, Pending: w, GateRebuild: gateRebuild{w}, Publisher: w, Tail: w, Stored: w,
	}
}

func (w *world) retryer(t require.TestingT, cfg Config) *Retryer {
	r, err := New(cfg, w.ports(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return r
}

func call[T any](w *world, name, code string, do func() (T, error)) (T, error) {
	w.mu.Lock()
	w.calls[name]++
	before := w.before
	w.mu.Unlock()
	if before != nil {
		if err := before(name, code); err != nil {
			var zero T
			return zero, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return do()
}

func callPlain(w *world, name, code string, do func() error) error {
	_, err := call(w, name, code, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (w *world) see(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

// The ledger.

func (w *world) Campaigns(context.Context) ([]domain.Campaign, error) {
	return call(w, "campaigns", "", func() ([]domain.Campaign, error) {
		var all []domain.Campaign
		for _, l := range w.ledger {
			all = append(all, l.Campaign)
		}
		slices.SortFunc(all, func(a, b domain.Campaign) int { return cmp.Compare(a.ID, b.ID) })
		return all, nil
	})
}

func (w *world) Campaign(_ context.Context, code string) (domain.Campaign, error) {
	return call(w, "campaign", code, func() (domain.Campaign, error) {
		l, known := w.ledger[code]
		if !known {
			return domain.Campaign{}, domain.Errorf(domain.CodeUnknownCampaign, "unknown")
		}
		return l.Campaign, nil
	})
}

func (w *world) fail(event domain.FailEvent) int64 {
	event.ID = int64(len(w.events) + 1)
	event.Status = domain.FailStatusFail
	w.events[event.ID] = &event
	return event.ID
}

func (w *world) ClaimFailEvents(
	_ context.Context, limit int, lease, _ time.Duration,
) ([]domain.FailEvent, error) {
	return call(w, "claim", "", func() ([]domain.FailEvent, error) {
		var claimed []domain.FailEvent
		w.leases++
		for _, id := range slices.Sorted(maps.Keys(w.events)) {
			event := w.events[id]
			if len(claimed) < limit && event.Status == domain.FailStatusFail && !event.NextAttemptAt.After(time.Now()) {
				event.Status, event.LeaseUntil = domain.FailStatusProcessing, time.Now().Add(lease)
				event.LeaseToken = fmt.Sprint(w.leases)
				claimed = append(claimed, *event)
			}
		}
		return claimed, nil
	})
}

func (w *world) RescueFailEvents(_ context.Context, limit, maxAttempts int, _ time.Duration) (int, error) {
	return call(w, "rescue", "", func() (int, error) {
		rescued := 0
		for _, event := range w.events {
			if rescued < limit && event.Status == domain.FailStatusProcessing && event.LeaseUntil.Before(time.Now()) {
				event.Status, event.LeaseToken = domain.FailStatusFail, ""
				event.Attempts++
				if event.Attempts >= maxAttempts {
					event.Status = domain.FailStatusDead
				}
				rescued++
			}
		}
		return rescued, nil
	})
}

func (w *world) WakeFailEvents(_ context.Context, campaign string, limit int) (int, error) {
	return call(w, "wake", campaign, func() (int, error) {
		var waiting []*domain.FailEvent
		for _, event := range w.events {
			if event.Campaign == campaign && event.Status == domain.FailStatusFail &&
				event.Reason == domain.ReasonNoSlotLeft && event.NextAttemptAt.After(time.Now()) {
				waiting = append(waiting, event)
			}
		}
		slices.SortFunc(waiting, func(a, b *domain.FailEvent) int { return a.AdmittedAt.Compare(b.AdmittedAt) })
		waiting = waiting[:min(limit, len(waiting))]
		for _, event := range waiting {
			event.NextAttemptAt = time.Now()
		}
		return len(waiting), nil
	})
}

func (w *world) PurgeAttempts(_ context.Context, longerAgo time.Duration, limit int) (int, error) {
	return call(w, "purge", "", func() (int, error) {
		w.purged = longerAgo
		if w.calls["purge"] < 3 {
			return limit, nil
		}
		return 1, nil
	})
}

func (w *world) claimed(event domain.FailEvent) (*domain.FailEvent, error) {
	stored := w.events[event.ID]
	if stored.Status != domain.FailStatusProcessing || stored.LeaseToken != event.LeaseToken {
		return nil, domain.Errorf(domain.CodeLeaseLost, "lost")
	}
	return stored, nil
}

func (w *world) StoreClaimed(
	_ context.Context, event domain.FailEvent, winner domain.Winner,
) (domain.StoreResult, error) {
	return call(w, "store", event.Campaign, func() (domain.StoreResult, error) {
		stored, err := w.claimed(event)
		if err != nil {
			return domain.StoreResult{}, err
		}
		if w.panics[event.UserID] {
			panic("a defect")
		}
		l, known := w.ledger[winner.Campaign]
		if !known {
			return domain.StoreResult{Outcome: domain.UnknownCampaign}, nil
		}
		result := domain.StoreResult{Outcome: l.outcome(winner)}
		switch result.Outcome {
		case domain.Stored:
			if w.refused[winner.UserID] {
				return domain.StoreResult{}, domain.Errorf(domain.CodeRowRefused, "refused")
			}
			l.coupons[winner.UserID] = domain.Coupon{Campaign: l.Code, UserID: winner.UserID, Slot: winner.Slot}
			stored.Status = domain.FailStatusSuccess
		case domain.AlreadyStored, domain.AlreadyRevoked, domain.HasOtherSlot:
			stored.Status = domain.FailStatusSuccess
		}
		return result, nil
	})
}

func (l *ledger) outcome(winner domain.Winner) domain.StoreOutcome {
	coupon, has := l.coupons[winner.UserID]
	switch {
	case has && coupon.Slot == domain.NoSlot:
		return domain.AlreadyRevoked
	case has && coupon.Slot == winner.Slot:
		return domain.AlreadyStored
	case has:
		return domain.HasOtherSlot
	case winner.Epoch != l.Epoch:
		return domain.OtherEpoch
	case winner.Slot < 1 || int64(winner.Slot) > l.HighestSlot():
		return domain.OverQuota
	}
	for _, coupon := range l.coupons {
		if coupon.Slot == winner.Slot {
			return domain.SlotTaken
		}
	}
	return domain.Stored
}

func (w *world) FailClaimed(_ context.Context, event domain.FailEvent, failure domain.Failure) (bool, error) {
	return call(w, "fail claimed", event.Campaign, func() (noted bool, err error) {
		stored, err := w.claimed(event)
		if err != nil {
			return false, err
		}
		l := w.ledger[event.Campaign]
		if failure.Slot < 1 || l != nil && l.Epoch == failure.Epoch {
			stored.Slot, stored.Epoch = failure.Slot, failure.Epoch
			noted = failure.Slot >= 1
		}
		stored.Status, stored.LeaseToken = domain.FailStatusFail, ""
		if failure.Dead {
			stored.Status = domain.FailStatusDead
		}
		stored.Reason, stored.ErrorMessage = failure.Reason, failure.Message
		stored.NextAttemptAt = time.Now().Add(failure.NextAttemptIn)
		if !failure.Uncounted {
			stored.Attempts++
			w.attempts[event.ID]++
		}
		return noted, nil
	})
}

func (w *world) UnreleasedCoupons(_ context.Context, limit int, except ...string) ([]domain.Coupon, error) {
	return call(w, "unreleased", "", func() ([]domain.Coupon, error) {
		var coupons []domain.Coupon
		for _, code := range slices.Sorted(maps.Keys(w.ledger)) {
			if slices.Contains(except, code) {
				continue
			}
			for user, coupon := range w.ledger[code].coupons {
				if coupon.Slot == domain.NoSlot && !w.ledger[code].released[user] && len(coupons) < limit {
					coupons = append(coupons, coupon)
				}
			}
		}
		return coupons, nil
	})
}

func (w *world) MarkReleased(_ context.Context, code string, user domain.UserID, epoch int64) error {
	return callPlain(w, "mark released", code, func() error {
		if w.ledger[code].Epoch != epoch {
			return domain.Errorf(domain.CodeOvertaken, "rebuilt meanwhile")
		}
		w.ledger[code].released[user] = true
		return nil
	})
}

// ledgerRebuild and gateRebuild are types of their own because both have a BeginRebuild.
type ledgerRebuild struct{ *world }

func (w ledgerRebuild) BeginRebuild(_ context.Context, code string, gateEpoch int64) (domain.Campaign, error) {
	return call(w.world, "ledger begin", code, func() (domain.Campaign, error) {
		l, known := w.ledger[code]
		if !known {
			return domain.Campaign{}, domain.Errorf(domain.CodeUnknownCampaign, "unknown")
		}
		l.Epoch = domain.NextEpoch(l.Epoch, gateEpoch)
		l.Fencing++
		return l.Campaign, nil
	})
}

func (w ledgerRebuild) VisitHolders(_ context.Context, campaign domain.Campaign, visit func(domain.Holder) error) error {
	code := campaign.Code
	holders, err := call(w.world, "visit", code, func() ([]domain.Holder, error) {
		if at := w.ledger[code]; at.Epoch != campaign.Epoch || at.Fencing != campaign.Fencing {
			return nil, domain.Errorf(domain.CodeOvertaken, "a newer rebuild has begun")
		}
		var holders []domain.Holder
		for user, coupon := range w.ledger[code].coupons {
			holders = append(holders, domain.Holder{UserID: user, Slot: coupon.Slot, AdmittedAt: coupon.AdmittedAt})
		}
		for _, id := range slices.Sorted(maps.Keys(w.events)) {
			event := w.events[id]
			if event.Status == domain.FailStatusSuccess || event.Campaign != code {
				continue
			}
			holder := domain.Holder{UserID: event.UserID, Slot: event.Slot, AdmittedAt: event.AdmittedAt, ByFailEvent: true, Epoch: event.Epoch}
			if holder.Slot < 1 {
				holder.Slot = domain.SlotOwed
			}
			holders = append(holders, holder)
		}
		return holders, nil
	})
	if err != nil {
		return err
	}
	for _, holder := range holders {
		if err := visit(holder); err != nil {
			return err
		}
	}
	return nil
}

func (w ledgerRebuild) FinishRebuild(_ context.Context, campaign domain.Campaign, use domain.SlotUse) (domain.Campaign, error) {
	return call(w.world, "finish", campaign.Code, func() (domain.Campaign, error) {
		l := w.ledger[campaign.Code]
		if l.Fencing != campaign.Fencing {
			return domain.Campaign{}, domain.Errorf(domain.CodeOvertaken, "overtaken")
		}
		l.Campaign = l.Lowered(use)
		return l.Campaign, nil
	})
}

func (w ledgerRebuild) LowerQuota(_ context.Context, campaign domain.Campaign, use domain.SlotUse) (domain.Campaign, error) {
	return call(w.world, "lower", campaign.Code, func() (domain.Campaign, error) {
		l := w.ledger[campaign.Code]
		if l.Epoch != campaign.Epoch || l.SettingsVersion != campaign.SettingsVersion {
			return domain.Campaign{}, domain.Errorf(domain.CodeOvertaken, "overtaken")
		}
		l.Campaign = l.Lowered(use)
		return l.Campaign, nil
	})
}

// The gate.

func (w *world) AdmitAll(context.Context, string, []domain.UserID, []domain.Decision) error {
	panic("the retryer never applies for anybody")
}

func (w *world) HonourAll(_ context.Context, code string, users []domain.UserID, decisions []domain.Decision) error {
	return callPlain(w, "honour", code, func() error {
		g, known := w.gates[code]
		if !known || !g.open {
			return errClosed
		}
		for i, user := range users {
			decisions[i].Admission, decisions[i].Err = g.honour(code, user)
		}
		return nil
	})
}

// honour gives a new winner a pending entry that names the user.
func (g *gate) honour(code string, user domain.UserID) (domain.Admission, error) {
	held, known := g.users[user]
	switch {
	case known && held.Slot == domain.NoSlot:
		return domain.Admission{}, domain.Errorf(domain.CodeRevoked, "revoked")
	case !known || held.Slot == domain.SlotOwed:
		slot, found := g.lowestFree()
		if !found {
			g.users[user] = domain.GateWinner{UserID: user, Slot: domain.SlotOwed, AdmittedAt: start}
			return domain.Admission{}, domain.Errorf(domain.CodeSoldOut, "sold out")
		}
		held = domain.GateWinner{UserID: user, Slot: slot, AdmittedAt: start}
		g.users[user] = held
		return domain.Admission{
			Winner: winnerOf(held, code, g.epoch), New: true, EntryID: "of-" + user.String(), EntrySize: 1,
		}, nil
	}
	return domain.Admission{Winner: winnerOf(held, code, g.epoch)}, nil
}

func (g *gate) lowestFree() (domain.Slot, bool) {
	taken, holders := map[domain.Slot]bool{}, int64(0)
	for _, user := range g.users {
		taken[user.Slot] = true
		if user.Slot >= 1 {
			holders++
		}
	}
	if holders >= g.quota {
		return 0, false
	}
	for slot := domain.Slot(1); int64(slot) <= g.quota; slot++ {
		if !taken[slot] {
			return slot, true
		}
	}
	return 0, false
}

func (w *world) Lookup(context.Context, string, domain.UserID) (domain.Admission, error) {
	panic("the retryer looks nobody up")
}

func (w *world) Inspect(_ context.Context, code string) (domain.GateReport, error) {
	return call(w, "inspect", code, func() (domain.GateReport, error) {
		g, known := w.gates[code]
		if !known {
			return domain.GateReport{Closed: "missing", SeenEpoch: w.seen}, nil
		}
		report := domain.GateReport{
			Epoch: g.epoch, Quota: g.quota, State: g.state, StartsAt: g.startsAt, EndsAt: g.endsAt,
			PendingEntries: int64(len(g.pending)), SettingsVersion: g.version, SeenEpoch: w.seen,
		}
		if len(g.pending) > 0 {
			report.OldestPendingAge = g.pending[0].Age
		}
		for _, user := range g.users {
			switch {
			case user.Slot >= 1:
				report.Count = max(report.Count, int64(user.Slot))
				report.Free--
			case user.Slot == domain.SlotOwed:
				report.Owed++
			}
		}
		report.Free += report.Count
		if !g.open {
			report.Closed = "missing"
		}
		return report, nil
	})
}

func (w *world) Dispute(_ context.Context, winner domain.Winner) error {
	return callPlain(w, "dispute", winner.Campaign, func() error {
		w.disputed = append(w.disputed, winner)
		g := w.gates[winner.Campaign]
		if g.epoch <= winner.Epoch && g.users[winner.UserID].Slot == winner.Slot {
			g.open = false
		}
		return nil
	})
}

func (w *world) ApplySettings(_ context.Context, campaign domain.Campaign) error {
	return callPlain(w, "apply", campaign.Code, func() error {
		g := w.gates[campaign.Code]
		switch {
		case g.epoch != campaign.Epoch:
			return domain.Errorf(domain.CodeEpochChanged, "epoch")
		case g.version > campaign.SettingsVersion:
			return domain.Errorf(domain.CodeOvertaken, "older settings")
		}
		g.take(campaign)
		return nil
	})
}

func (g *gate) take(campaign domain.Campaign) {
	g.quota, g.version, g.state = campaign.EffectiveQuota(), campaign.SettingsVersion, campaign.State
	g.startsAt, g.endsAt = campaign.StartsAt, campaign.EndsAt
}

func (w *world) Release(_ context.Context, code string, user domain.UserID, _ domain.Slot) (int64, error) {
	return call(w, "release", code, func() (int64, error) {
		g := w.gates[code]
		if !g.open {
			return 0, errClosed
		}
		g.users[user] = domain.GateWinner{UserID: user, Slot: domain.NoSlot}
		return g.epoch, nil
	})
}

func (w *world) Pending(_ context.Context, code, after string, limit int) ([]domain.PendingEntry, error) {
	return call(w, "pending", code, func() ([]domain.PendingEntry, error) {
		from := 0
		for i, entry := range w.gates[code].pending {
			if after != "" && entry.ID <= after {
				from = i + 1
			}
		}
		entries := w.gates[code].pending[from:]
		return slices.Clone(entries[:min(limit, len(entries))]), nil
	})
}

func (w *world) Acknowledge(_ context.Context, code string, epoch int64, ids []string) error {
	return callPlain(w, "acknowledge", code, func() error {
		g := w.gates[code]
		if g.epoch != epoch {
			return domain.Errorf(domain.CodeEpochChanged, "epoch")
		}
		for _, id := range ids {
			if user, err := domain.ParseUserID(strings.TrimPrefix(id, "of-")); err == nil && strings.HasPrefix(id, "of-") {
				w.confirmed = append(w.confirmed, user)
			}
		}
		g.pending = slices.DeleteFunc(g.pending, func(e domain.PendingEntry) bool { return slices.Contains(ids, e.ID) })
		return nil
	})
}

type gateRebuild struct{ *world }

func (w gateRebuild) BeginRebuild(_ context.Context, code string, epoch int64) (domain.RebuildTarget, error) {
	return call(w.world, "gate begin", code, func() (domain.RebuildTarget, error) {
		g := w.gates[code]
		if g.epoch >= epoch && g.epoch <= epoch+domain.MaxEpochLead {
			return domain.RebuildTarget{}, domain.Errorf(domain.CodeOvertaken, "overtaken")
		}
		g.open, g.epoch = false, epoch
		g.building, g.entries = map[domain.UserID]domain.GateWinner{}, nil
		g.taken = map[domain.Slot]bool{}
		return domain.RebuildTarget{Campaign: code, Epoch: epoch, RunID: "run", Unsure: w.unsure, ClosedAt: time.Now().Add(w.gatesAhead)}, nil
	})
}

func (w gateRebuild) WriteWinners(_ context.Context, target domain.RebuildTarget, winners []domain.GateWinner) error {
	return callPlain(w.world, "write", target.Campaign, func() error {
		g := w.gates[target.Campaign]
		if g.open || g.epoch != target.Epoch {
			return domain.Errorf(domain.CodeOvertaken, "overtaken")
		}
		for _, winner := range winners {
			if err := g.write(target, winner); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *gate) write(target domain.RebuildTarget, winner domain.GateWinner) error {
	_, twice := g.building[winner.UserID]
	if twice || winner.Pending && winner.Slot < 1 {
		return domain.Errorf(domain.CodeConflict, "user %d comes twice, or has nothing to send", winner.UserID)
	}
	if winner.Slot >= 1 {
		if g.taken[winner.Slot] {
			return domain.Errorf(domain.CodeConflict, "slot %d comes twice", winner.Slot)
		}
		g.taken[winner.Slot] = true
	}
	g.building[winner.UserID] = winner
	if winner.Pending {
		g.entries = append(g.entries, domain.PendingEntry{
			ID: fmt.Sprintf("%06d", len(g.entries)), Winners: []domain.Winner{winnerOf(winner, target.Campaign, target.Epoch)},
		})
	}
	return nil
}

func (w gateRebuild) VisitWinners(_ context.Context, code string, visit func(domain.GateWinner) error) error {
	users, err := call(w.world, "visit winners", code, func() (map[domain.UserID]domain.GateWinner, error) {
		return maps.Clone(w.gates[code].users), nil
	})
	if err != nil {
		return err
	}
	for _, winner := range users {
		if err := visit(winner); err != nil {
			return err
		}
	}
	return nil
}

func (w gateRebuild) OpenRebuilt(_ context.Context, target domain.RebuildTarget, campaign domain.Campaign) error {
	return callPlain(w.world, "open", target.Campaign, func() error {
		g := w.gates[target.Campaign]
		if g.open || g.epoch != target.Epoch {
			return domain.Errorf(domain.CodeOvertaken, "overtaken")
		}
		g.open, g.users, g.pending, g.building, g.entries = true, g.building, g.entries, nil, nil
		g.take(campaign)
		return nil
	})
}

// The topic.

func (w *world) Publish(ctx context.Context, winner domain.Winner) error {
	return w.PublishAll(ctx, []domain.Winner{winner})
}

func (w *world) PublishAll(_ context.Context, winners []domain.Winner) error {
	return callPlain(w, "publish", winners[0].Campaign, func() error {
		w.published = append(w.published, winners...)
		for _, winner := range winners {
			w.topic = append(w.topic, domain.Delivery{Winner: winner})
		}
		return nil
	})
}

func (w *world) PublishEach(ctx context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	for i, winner := range winners {
		settled([]int{i}, w.Publish(ctx, winner))
	}
}

func (w *world) ReadTail(
	_ context.Context, from domain.TailEnds, visit func(domain.Delivery) error,
) (domain.TailEnds, error) {
	name := "tail"
	if from != nil {
		name = "tail on"
	}
	topic, err := call(w, name, "", func() ([]domain.Delivery, error) { return slices.Clone(w.topic), nil })
	if err != nil {
		return nil, err
	}
	for _, delivery := range topic[from[0].Offset:] {
		if err := visit(delivery); err != nil {
			return nil, err
		}
	}
	return domain.TailEnds{0: {Offset: int64(len(topic))}}, nil
}

func (w *world) ReadStored(
	_ context.Context, part domain.StoredPart, visit func(domain.Delivery) error,
) (domain.StoredRead, error) {
	name := "stored"
	if part.After != nil {
		name = "stored on"
	} else if part.Newest == math.MaxInt64 {
		name = "stored all"
	}
	stored, err := call(w, name, "", func() ([]domain.Delivery, error) { return slices.Clone(w.stored), nil })
	if err != nil {
		return domain.StoredRead{}, err
	}
	after := part.After[0].Offset
	from := max(after, int64(len(stored))-part.Newest)
	for _, delivery := range stored[from:] {
		if err := visit(delivery); err != nil {
			return domain.StoredRead{}, err
		}
	}
	return domain.StoredRead{Ends: domain.TailEnds{0: {Offset: int64(len(stored))}}, Whole: from == after}, nil
}

func (w *world) slotOf(code string, user domain.UserID) domain.Slot {
	return w.gates[code].users[user].Slot
}

func winnerOf(w domain.GateWinner, code string, epoch int64) domain.Winner {
	return domain.Winner{Campaign: code, UserID: w.UserID, Slot: w.Slot, AdmittedAt: w.AdmittedAt, Epoch: epoch}
}

func (w *world) RecordFailEvent(_ context.Context, event domain.FailEvent) error {
	return callPlain(w, "fail event", event.Campaign, func() error {
		event.ID = int64(len(w.events) + 1)
		w.events[event.ID] = &event
		return nil
	})
}
