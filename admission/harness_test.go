package admission

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errDriver is what a driver says.
var errDriver = errors.New("dial tcp 10.0.0.7:3306: password of firstcome refused")

func errAway() error { return domain.Wrap(domain.CodeUnavailable, errDriver, "the store is away") }

// fixture is a service on fakes.
type fixture struct {
	t       testing.TB
	gate    *admissiontest.Gate
	queue   *admissiontest.Queue
	ledger  *fakeLedger
	cfg     Config
	service *Service
	close   func()
}

// newFixture gives a service that is not started: tests change the fakes and the configuration first.
func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	return &fixture{
		t: tb, gate: admissiontest.NewGate(2), queue: &admissiontest.Queue{}, ledger: newFakeLedger(), cfg: Config{RefusalDemand: 1},
	}
}

// start makes the service and lets it run. A test in a bubble of testing/synctest closes it there.
func (b *fixture) start() *fixture {
	b.t.Helper()
	b.service, b.close = b.another()
	b.t.Cleanup(b.close)
	return b
}

// another makes one more service on the same stores, as in a second process, and what ends it.
func (b *fixture) another() (*Service, func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	service, err := New(ctx, b.cfg, Stores{
		Gate: b.gate, GateReader: b.gate, GateLister: b.gate, Publisher: b.queue, Campaigns: b.ledger, Coupons: b.ledger,
	}, slog.New(slog.DiscardHandler))
	require.NoError(b.t, err)
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx) })
	return service, func() { cancel(); running.Wait() }
}

func (b *fixture) apply(user domain.UserID) Answer {
	b.t.Helper()
	return b.service.Apply(b.t.Context(), "spring", user)
}

// status asks how far the user's application has come; it is Known where there is an answer.
func (b *fixture) status(user domain.UserID) Answer {
	b.t.Helper()
	winner, err := b.service.Status(b.t.Context(), "spring", user)
	return Answer{Winner: winner, Known: err == nil, Err: err}
}

// requireCode asserts a refusal.
func requireCode(t *testing.T, code domain.Code, got Answer) {
	t.Helper()
	require.Error(t, got.Err)
	require.Equal(t, code, CodeOf(got.Err), "%v", got.Err)
}

// fakeLedger is what applications see of the database. While err is set it is away.
type fakeLedger struct {
	domain.CouponReader
	mu        sync.Mutex
	err       error
	campaigns []domain.Campaign
	// reading is called by each reading of all campaigns.
	reading func(ctx context.Context)
}

func newFakeLedger() *fakeLedger {
	return &fakeLedger{campaigns: []domain.Campaign{{
		ID: 1, Code: "spring", Name: "Spring sale", Quota: 2, State: domain.CampaignOpen, Epoch: 1,
		StartsAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), EndsAt: domain.NoEnd,
	}}}
}

func (l *fakeLedger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// change changes the only campaign.
func (l *fakeLedger) change(change func(*domain.Campaign)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.campaigns[0])
}

func (l *fakeLedger) Campaigns(ctx context.Context) ([]domain.Campaign, error) {
	if l.reading != nil {
		l.reading(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.campaigns), l.err
}

func (l *fakeLedger) Campaign(context.Context, string) (domain.Campaign, error) {
	return domain.Campaign{}, errUnknownCampaign
}

func (l *fakeLedger) FindCoupon(context.Context, string, domain.UserID) (domain.Coupon, error) {
	return domain.Coupon{}, domain.Errorf(domain.CodeNotFound, "no coupon")
}

func (l *fakeLedger) HasUnresolvedFailEvent(context.Context, string, domain.UserID) (bool, error) {
	return false, nil
}
