package api

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"firstcome/domain"
)

var admittedAt = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// fakeGate is an Admitter, GateReader and GateLister in memory. Tests replace its behaviour through the fields.
type fakeGate struct {
	mu      sync.Mutex
	quota   int64
	users   map[domain.UserID]domain.Admission
	calls   []string
	entries map[domain.UserID]bool // admitted and not confirmed
	batches int                    // those who are admitted together share an entry

	admitErr  error
	lookupErr error
	// confirm and honour stand in for the calls of that name when they are set; admitting is called before Admit decides.
	confirm   func(ctx context.Context, epoch int64) error
	honour    func(ctx context.Context, user domain.UserID) (domain.Admission, error)
	admitting func(ctx context.Context)
	// closed are the campaigns whose winners are not confirmed.
	closed []string
	// toldFrom is when those who are known may be told.
	toldFrom time.Time
	// deciding is called with each batch before it is decided.
	deciding func(users []domain.UserID)

	// refusal, when it is set, is asked about whoever is not known yet.
	refusal func() error
	// look stands in for report when it is set; visiting is called before the users are read out.
	look       func(ctx context.Context) domain.GateReport
	visiting   func()
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
	if g.refusal != nil {
		if err := g.refusal(); err != nil {
			return domain.Admission{}, err
		}
	}
	if int64(len(g.users)) >= g.quota {
		return domain.Admission{}, domain.Errorf(domain.CodeSoldOut, "all %d coupons are taken", g.quota)
	}
	admission := domain.Admission{
		Winner: domain.Winner{
			Campaign: campaign, UserID: user, Slot: domain.Slot(len(g.users) + 1), AdmittedAt: admittedAt, Epoch: 1,
		},
		New: true, EntryID: strconv.Itoa(g.batches) + "-0", EntrySize: 1,
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

// Acknowledge takes the entry of every user whom a batch admitted together: the entry names their number.
// close leaves the winners of these campaigns unconfirmed, and confirms those of all others.
func (g *fakeGate) close(campaigns ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = campaigns
}

func (g *fakeGate) isClosed(campaign string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.closed, campaign)
}

func (g *fakeGate) Acknowledge(ctx context.Context, campaign string, epoch int64, entries []string) error {
	g.note("confirm")
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.isClosed(campaign) {
		return errClosed()
	}
	if g.confirm != nil {
		if err := g.confirm(ctx, epoch); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for user := range g.entries {
		if slices.Contains(entries, g.users[user].EntryID) {
			delete(g.entries, user)
		}
	}
	return nil
}

func (g *fakeGate) AdmitAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	if g.deciding != nil {
		g.deciding(slices.Clone(users))
	}
	g.mu.Lock()
	g.batches++
	g.mu.Unlock()
	for i, user := range users {
		admission, err := g.Admit(ctx, campaign, user)
		decisions[i] = domain.Decision{Admission: admission, Err: err}
		decisions[i].TellIn, decisions[i].Epoch = time.Until(g.toldFrom), max(admission.Epoch, 1)
	}
	return nil
}

func (g *fakeGate) HonourAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	for i, user := range users {
		admission, err := g.Honour(ctx, campaign, user)
		decisions[i] = domain.Decision{Admission: admission, Err: err}
		decisions[i].TellIn, decisions[i].Epoch = time.Until(g.toldFrom), max(admission.Epoch, 1)
	}
	return nil
}

func (g *fakeGate) Lookup(ctx context.Context, _ string, user domain.UserID) (domain.Admission, error) {
	if err := ctx.Err(); err != nil {
		return domain.Admission{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookupErr != nil {
		return domain.Admission{}, g.lookupErr
	}
	known, ok := g.users[user]
	if !ok {
		return domain.Admission{Winner: domain.Winner{Epoch: 1}}, domain.Errorf(domain.CodeNotFound, "user 17 at redis:6379 unknown")
	}
	known.New, known.InQueue, known.TellIn = false, !g.entries[user], time.Until(g.toldFrom)
	known.Epoch = max(known.Epoch, 1)
	return known, nil
}

func (g *fakeGate) Inspect(ctx context.Context, _ string) (domain.GateReport, error) {
	g.note("inspect")
	if err := ctx.Err(); err != nil {
		return domain.GateReport{}, err
	}
	g.mu.Lock()
	g.inspects++
	report, err, look := g.report, g.inspectErr, g.look
	g.mu.Unlock()
	if look != nil {
		report = look(ctx)
	}
	return report, err
}

func (g *fakeGate) VisitWinners(_ context.Context, _ string, visit func(domain.GateWinner) error) error {
	g.note("visit")
	if g.visiting != nil {
		g.visiting()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for user, admission := range g.users {
		if err := visit(domain.GateWinner{UserID: user, Slot: admission.Slot}); err != nil {
			return err
		}
	}
	return nil
}

func (g *fakeGate) VisitFree(context.Context, string, func(domain.Slot) error) error { return nil }

func (g *fakeGate) FindWinners(context.Context, string, []domain.UserID) ([]domain.GateWinner, error) {
	return nil, nil
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

func (q *fakeQueue) PublishEach(ctx context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	for i, winner := range winners {
		settled([]int{i}, q.Publish(ctx, winner))
	}
}

func (q *fakeQueue) winners() []domain.Winner {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.published)
}
