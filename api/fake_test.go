package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"firstcome/domain"
)

var admittedAt = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// fakeGate is an Admitter and GateReader in memory. Tests replace its behaviour through the fields.
type fakeGate struct {
	mu      sync.Mutex
	quota   int64
	users   map[domain.UserID]domain.Admission
	calls   []string
	entries map[domain.UserID]bool // admitted and not confirmed

	admitErr  error
	lookupErr error
	// confirm and honour stand in for the calls of that name when they are set; admitting is called before Admit decides.
	confirm   func(ctx context.Context, admission domain.Admission) error
	honour    func(ctx context.Context, user domain.UserID) (domain.Admission, error)
	admitting func(ctx context.Context)

	report     domain.GateReport
	inspectErr error
	inspects   int
}

func newFakeGate(quota int64) *fakeGate {
	return &fakeGate{quota: quota, users: map[domain.UserID]domain.Admission{}, entries: map[domain.UserID]bool{}}
}

func (g *fakeGate) note(call string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, call)
}

func (g *fakeGate) Admit(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	g.note("admit")
	if g.admitting != nil {
		g.admitting(ctx)
	}
	if err := ctx.Err(); err != nil {
		return domain.Admission{}, err
	}
	if g.admitErr != nil {
		return domain.Admission{}, g.admitErr
	}
	return g.admit(campaign, user)
}

func (g *fakeGate) admit(campaign string, user domain.UserID) (domain.Admission, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.users[user]; ok {
		known.New, known.InQueue = false, !g.entries[user]
		return known, nil
	}
	if int64(len(g.users)) >= g.quota {
		return domain.Admission{}, domain.Errorf(domain.CodeSoldOut, "all %d coupons are taken", g.quota)
	}
	admission := domain.Admission{
		Winner: domain.Winner{
			Campaign: campaign, UserID: user, Slot: domain.Slot(len(g.users) + 1), AdmittedAt: admittedAt, Epoch: 1,
		},
		New: true, EntryID: "1-0", EntrySize: 1,
	}
	g.users[user], g.entries[user] = admission, true
	return admission, nil
}

func (g *fakeGate) Honour(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	g.note("honour")
	if g.honour != nil {
		return g.honour(ctx, user)
	}
	return g.admit(campaign, user)
}

func (g *fakeGate) Confirm(ctx context.Context, admission domain.Admission) error {
	g.note("confirm")
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.confirm != nil {
		if err := g.confirm(ctx, admission); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.entries, admission.UserID)
	return nil
}

func (g *fakeGate) Lookup(_ context.Context, _ string, user domain.UserID) (domain.Admission, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookupErr != nil {
		return domain.Admission{}, g.lookupErr
	}
	known, ok := g.users[user]
	if !ok {
		return domain.Admission{}, domain.Errorf(domain.CodeNotFound, "user 17 at redis:6379 unknown")
	}
	known.New, known.InQueue = false, !g.entries[user]
	return known, nil
}

func (g *fakeGate) Inspect(context.Context, string) (domain.GateReport, error) {
	g.note("inspect")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inspects++
	return g.report, g.inspectErr
}

func (g *fakeGate) called() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

// fakeQueue is a Publisher that keeps what it was given.
type fakeQueue struct {
	mu        sync.Mutex
	published []domain.Winner
	publish   func(ctx context.Context, winner domain.Winner) error
}

func (q *fakeQueue) Publish(ctx context.Context, winner domain.Winner) error {
	if q.publish != nil {
		if err := q.publish(ctx, winner); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.published = append(q.published, winner)
	return nil
}

func (q *fakeQueue) PublishAll(ctx context.Context, winners []domain.Winner) error {
	for _, winner := range winners {
		if err := q.Publish(ctx, winner); err != nil {
			return err
		}
	}
	return nil
}

func (q *fakeQueue) winners() []domain.Winner {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.published)
}

// fakeLedger is the database in memory. While err is set it is away.
type fakeLedger struct {
	mu        sync.Mutex
	err       error
	campaigns []domain.Campaign
	coupons   []domain.Coupon
	delayed   map[domain.UserID]bool
	events    []domain.FailEvent // newest first
	attempts  []domain.FailEventAttempt
	counts    domain.LedgerCounts
	settings  map[string]string

	// reading is called by each reading of all campaigns, onCount by each count.
	reading       func(ctx context.Context)
	onCount       func()
	actors        []string
	lastFilter    domain.FailEventFilter
	discardReason string
}

func newFakeLedger() *fakeLedger {
	return &fakeLedger{
		campaigns: []domain.Campaign{{
			ID: 1, Code: "spring", Name: "Spring sale", Quota: 2, State: domain.CampaignOpen, Epoch: 1,
			StartsAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), EndsAt: domain.NoEnd,
		}},
		delayed: map[domain.UserID]bool{}, settings: map[string]string{},
	}
}

func (l *fakeLedger) lock() (func(), error) {
	l.mu.Lock()
	return l.mu.Unlock, l.err
}

func (l *fakeLedger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *fakeLedger) Campaigns(ctx context.Context) ([]domain.Campaign, error) {
	if l.reading != nil {
		l.reading(ctx)
	}
	unlock, err := l.lock()
	defer unlock()
	return slices.Clone(l.campaigns), err
}

func (l *fakeLedger) Campaign(_ context.Context, code string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	at := slices.IndexFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == code })
	if at < 0 {
		return domain.Campaign{}, errUnknownCampaign
	}
	return l.campaigns[at], nil
}

func (l *fakeLedger) CreateCampaign(_ context.Context, campaign domain.Campaign, actor string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	l.actors = append(l.actors, actor)
	if slices.ContainsFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == campaign.Code }) {
		return domain.Campaign{}, domain.Errorf(domain.CodeConflict, "the code %s is taken", campaign.Code)
	}
	campaign.ID = int64(len(l.campaigns) + 1)
	l.campaigns = append(l.campaigns, campaign)
	return campaign, nil
}

func (l *fakeLedger) ChangeCampaign(_ context.Context, code string, change domain.CampaignChange, actor string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	at := slices.IndexFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == code })
	if at < 0 {
		return domain.Campaign{}, errUnknownCampaign
	}
	changed, err := l.campaigns[at].Apply(change)
	if err != nil {
		return domain.Campaign{}, err
	}
	l.campaigns[at], l.actors = changed, append(l.actors, actor)
	return changed, nil
}

func (l *fakeLedger) FindCoupon(_ context.Context, _ string, user domain.UserID) (domain.Coupon, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Coupon{}, err
	}
	for _, coupon := range l.coupons {
		if coupon.UserID == user {
			return coupon, nil
		}
	}
	return domain.Coupon{}, domain.Errorf(domain.CodeNotFound, "no row")
}

func (l *fakeLedger) HasUnresolvedFailEvent(_ context.Context, _ string, user domain.UserID) (bool, error) {
	unlock, err := l.lock()
	defer unlock()
	return l.delayed[user], err
}

// Coupons uses the position in the slice as the cursor.
func (l *fakeLedger) Coupons(_ context.Context, campaign string, after int64, limit int) ([]domain.Coupon, int64, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return nil, 0, err
	}
	if campaign != "spring" {
		return nil, 0, errUnknownCampaign
	}
	rest := l.coupons[after:]
	if len(rest) <= limit {
		return rest, 0, nil
	}
	return rest[:limit], after + int64(limit), nil
}

func (l *fakeLedger) FailEvents(_ context.Context, filter domain.FailEventFilter) ([]domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	l.lastFilter = filter
	var found []domain.FailEvent
	for _, event := range l.events {
		if filter.BeforeID == 0 || event.ID < filter.BeforeID {
			found = append(found, event)
		}
	}
	return found[:min(len(found), filter.Limit)], err
}

func (l *fakeLedger) find(id int64) (*domain.FailEvent, error) {
	for i := range l.events {
		if l.events[i].ID == id {
			return &l.events[i], nil
		}
	}
	return nil, domain.Errorf(domain.CodeNotFound, "there is no fail event %d", id)
}

func (l *fakeLedger) FailEvent(_ context.Context, id int64) (domain.FailEvent, []domain.FailEventAttempt, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, nil, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, nil, err
	}
	return *event, l.attempts, nil
}

func (l *fakeLedger) CountFailEvents(context.Context, int) (map[domain.FailStatus]int64, error) {
	unlock, err := l.lock()
	defer unlock()
	counts := map[domain.FailStatus]int64{}
	for _, event := range l.events {
		counts[event.Status]++
	}
	return counts, err
}

func (l *fakeLedger) RetryFailEvent(_ context.Context, id int64, actor string) (domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, err
	}
	if event.Status == domain.FailStatusProcessing {
		return domain.FailEvent{}, domain.Errorf(domain.CodeConflict, "fail event %d is being processed", id)
	}
	l.actors = append(l.actors, actor)
	event.Status = domain.FailStatusFail
	return *event, nil
}

func (l *fakeLedger) DiscardFailEvent(_ context.Context, id int64, reason, actor string) (domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, err
	}
	l.actors, l.discardReason = append(l.actors, actor), reason
	event.Status, event.DiscardedAt = domain.FailStatusDead, admittedAt
	return *event, nil
}

func (l *fakeLedger) Count(context.Context, string) (domain.LedgerCounts, error) {
	if l.onCount != nil {
		l.onCount()
	}
	unlock, err := l.lock()
	defer unlock()
	return l.counts, err
}

func (l *fakeLedger) Setting(_ context.Context, name string) (string, error) {
	unlock, err := l.lock()
	defer unlock()
	return l.settings[name], err
}

func (l *fakeLedger) SetSetting(_ context.Context, name, value, actor string) error {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return err
	}
	l.settings[name], l.actors = value, append(l.actors, actor)
	return nil
}
