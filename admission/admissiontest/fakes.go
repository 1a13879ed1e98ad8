// Package admissiontest holds a gate and a queue in memory, for the tests of what uses them.
package admissiontest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"firstcome/domain"
)

// AdmittedAt is when the gate admits everybody.
var AdmittedAt = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// Gate is an Admitter, GateReader and GateLister in memory. Tests replace its behaviour through the fields.
type Gate struct {
	// Mu guards the fields while the gate is in use.
	Mu    sync.Mutex
	Quota int64
	// Users are those the gate knows, Entries those of them that were admitted and not confirmed.
	Users   map[domain.UserID]domain.Admission
	Entries map[domain.UserID]bool
	calls   []string
	batches int // those who are admitted together share an entry

	AdmitErr  error
	LookupErr error
	// Confirming and Honouring stand in for Acknowledge and Honour when they are set; Admitting is called before Admit decides.
	Confirming func(ctx context.Context, epoch int64) error
	Honouring  func(ctx context.Context, user domain.UserID) (domain.Admission, error)
	Admitting  func(ctx context.Context)
	// closed are the campaigns whose winners are not confirmed.
	closed []string
	// ToldFrom is when those who are known may be told.
	ToldFrom time.Time
	// Deciding is called with each batch before it is decided.
	Deciding func(users []domain.UserID)

	// Refusing, when it is set, is asked about everybody who is not known yet.
	Refusing func() error
	// Looking stands in for Report when it is set; Visiting is called before the users are read out.
	Looking    func(ctx context.Context) domain.GateReport
	Visiting   func()
	Report     domain.GateReport
	InspectErr error
	Inspects   int
}

// NewGate makes an open gate with so many slots.
func NewGate(quota int64) *Gate {
	return &Gate{Quota: quota, Users: map[domain.UserID]domain.Admission{}, Entries: map[domain.UserID]bool{}}
}

// Note adds a call to those that Called gives.
func (g *Gate) Note(call string) {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	g.calls = append(g.calls, call)
}

// Admit decides for one user.
func (g *Gate) Admit(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	g.Note("admit")
	if g.Admitting != nil {
		g.Admitting(ctx)
	}
	if err := ctx.Err(); err != nil {
		return domain.Admission{}, err
	}
	if g.AdmitErr != nil {
		return domain.Admission{}, g.AdmitErr
	}
	return g.admit(campaign, user)
}

func (g *Gate) admit(campaign string, user domain.UserID) (domain.Admission, error) {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	if known, ok := g.Users[user]; ok {
		known.New, known.InQueue = false, !g.Entries[user]
		return known, nil
	}
	if g.Refusing != nil {
		if err := g.Refusing(); err != nil {
			return domain.Admission{}, err
		}
	}
	if int64(len(g.Users)) >= g.Quota {
		return domain.Admission{}, domain.Errorf(domain.CodeSoldOut, "all %d coupons are taken", g.Quota)
	}
	admission := domain.Admission{
		Winner: domain.Winner{
			Campaign: campaign, UserID: user, Slot: domain.Slot(len(g.Users) + 1), AdmittedAt: AdmittedAt, Epoch: 1,
		},
		New: true, EntryID: strconv.Itoa(g.batches) + "-0", EntrySize: 1,
	}
	g.Users[user], g.Entries[user] = admission, true
	return admission, nil
}

// Honour gives a user what a record promises.
func (g *Gate) Honour(ctx context.Context, campaign string, user domain.UserID) (domain.Admission, error) {
	g.Note("honour")
	if g.Honouring != nil {
		return g.Honouring(ctx, user)
	}
	return g.admit(campaign, user)
}

// Close leaves the winners of these campaigns unconfirmed, and confirms those of all others.
func (g *Gate) Close(campaigns ...string) {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	g.closed = campaigns
}

func (g *Gate) isClosed(campaign string) bool {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	return slices.Contains(g.closed, campaign)
}

// Acknowledge takes the entry of every user that a batch admitted together: the entry names their number.
func (g *Gate) Acknowledge(ctx context.Context, campaign string, epoch int64, entries []string) error {
	g.Note("confirm")
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.isClosed(campaign) {
		return ErrClosed()
	}
	if g.Confirming != nil {
		if err := g.Confirming(ctx, epoch); err != nil {
			return err
		}
	}
	g.Mu.Lock()
	defer g.Mu.Unlock()
	for user := range g.Entries {
		if slices.Contains(entries, g.Users[user].EntryID) {
			delete(g.Entries, user)
		}
	}
	return nil
}

// AdmitAll calls Admit for each user, as one batch.
func (g *Gate) AdmitAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	if g.Deciding != nil {
		g.Deciding(slices.Clone(users))
	}
	g.Mu.Lock()
	g.batches++
	g.Mu.Unlock()
	for i, user := range users {
		admission, err := g.Admit(ctx, campaign, user)
		decisions[i] = domain.Decision{Admission: admission, Err: err}
		decisions[i].TellIn, decisions[i].Epoch = time.Until(g.ToldFrom), max(admission.Epoch, 1)
	}
	return nil
}

// HonourAll calls Honour for each user.
func (g *Gate) HonourAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	for i, user := range users {
		admission, err := g.Honour(ctx, campaign, user)
		decisions[i] = domain.Decision{Admission: admission, Err: err}
		decisions[i].TellIn, decisions[i].Epoch = time.Until(g.ToldFrom), max(admission.Epoch, 1)
	}
	return nil
}

// Lookup tells of one user. CodeNotFound.
func (g *Gate) Lookup(ctx context.Context, _ string, user domain.UserID) (domain.Admission, error) {
	if err := ctx.Err(); err != nil {
		return domain.Admission{}, err
	}
	g.Mu.Lock()
	defer g.Mu.Unlock()
	if g.LookupErr != nil {
		return domain.Admission{}, g.LookupErr
	}
	known, ok := g.Users[user]
	if !ok {
		return domain.Admission{Winner: domain.Winner{Epoch: 1}}, domain.Errorf(domain.CodeNotFound, "user 17 at redis:6379 unknown")
	}
	known.New, known.InQueue, known.TellIn = false, !g.Entries[user], time.Until(g.ToldFrom)
	known.Epoch = max(known.Epoch, 1)
	return known, nil
}

// Inspect gives Report.
func (g *Gate) Inspect(ctx context.Context, _ string) (domain.GateReport, error) {
	g.Note("inspect")
	if err := ctx.Err(); err != nil {
		return domain.GateReport{}, err
	}
	g.Mu.Lock()
	g.Inspects++
	report, err, look := g.Report, g.InspectErr, g.Looking
	g.Mu.Unlock()
	if look != nil {
		report = look(ctx)
	}
	return report, err
}

// VisitWinners visits Users.
func (g *Gate) VisitWinners(_ context.Context, _ string, visit func(domain.GateWinner) error) error {
	g.Note("visit")
	if g.Visiting != nil {
		g.Visiting()
	}
	g.Mu.Lock()
	defer g.Mu.Unlock()
	for user, admission := range g.Users {
		if err := visit(domain.GateWinner{UserID: user, Slot: admission.Slot}); err != nil {
			return err
		}
	}
	return nil
}

// VisitFree visits nothing.
func (g *Gate) VisitFree(context.Context, string, func(domain.Slot) error) error { return nil }

// FindWinners finds nobody.
func (g *Gate) FindWinners(context.Context, string, []domain.UserID) ([]domain.GateWinner, error) {
	return nil, nil
}

// Called gives the calls until now.
func (g *Gate) Called() []string {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	return slices.Clone(g.calls)
}

// Queue is a Publisher that keeps what it was given.
type Queue struct {
	mu         sync.Mutex
	published  []domain.Winner
	Publishing func(ctx context.Context, winner domain.Winner) error
}

// Publish keeps one winner.
func (q *Queue) Publish(ctx context.Context, winner domain.Winner) error {
	if q.Publishing != nil {
		if err := q.Publishing(ctx, winner); err != nil {
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

// PublishAll keeps the winners, until one fails.
func (q *Queue) PublishAll(ctx context.Context, winners []domain.Winner) error {
	for _, winner := range winners {
		if err := q.Publish(ctx, winner); err != nil {
			return err
		}
	}
	return nil
}

// PublishEach keeps the winners, and tells of each.
func (q *Queue) PublishEach(ctx context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	for i, winner := range winners {
		settled([]int{i}, q.Publish(ctx, winner))
	}
}

// Winners gives those that were published.
func (q *Queue) Winners() []domain.Winner {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.published)
}

// ErrClosed is what a gate says that is being rebuilt.
func ErrClosed() error { return domain.Errorf(domain.CodeGateClosed, "being rebuilt") }

// ConfirmingWith has the gate give these answers to confirmations, the last one again and again.
func (g *Gate) ConfirmingWith(answers ...error) {
	g.Confirming = func(context.Context, int64) error {
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return answer
	}
}
