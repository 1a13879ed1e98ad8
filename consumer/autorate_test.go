package consumer

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// windowOf is a second in which inserts of so many rows took so long each.
func windowOf(inserts, rows int, each time.Duration) (w autoWindow) {
	for range inserts {
		w.add(rows, each)
	}
	return w
}

func TestTheAutomaticRateFollowsTheLatency(t *testing.T) {
	calm := autoRate{rate: 1000}
	calm.floor[sizeClass(100)] = 10 * time.Millisecond
	at := func(rate float64) autoRate { calm := calm; calm.rate = rate; return calm }
	for name, c := range map[string]struct {
		before  autoRate
		window  autoWindow
		allowed float64
		want    float64
	}{
		"fast and used":               {calm, windowOf(10, 100, 11*time.Millisecond), 1000, 1100},
		"fast, but the topic is idle": {calm, windowOf(2, 100, 10*time.Millisecond), 1000, 1000},
		"nothing to store":            {calm, autoWindow{}, 1000, 1000},
		"a little slower":             {calm, windowOf(10, 100, 17*time.Millisecond), 1000, 1000},
		"much slower":                 {calm, windowOf(10, 100, 25*time.Millisecond), 1000, 700},
		"much slower and idle":        {calm, windowOf(1, 100, 2*time.Second), 1000, 700},
		"the database was away":       {calm, autoWindow{failed: true}, 1000, 700},
		"a size never seen":           {autoRate{rate: 1000}, windowOf(10, 100, time.Second), 1000, 1100},
		"a smaller size, and slower":  {calm, windowOf(10, 20, 25*time.Millisecond), 200, 700},
		"a bigger size takes longer":  {calm, windowOf(10, 900, 90*time.Millisecond), 9000, 1100},
		"never below the least":       {at(120), windowOf(10, 100, time.Second), 100, autoMin},
		"never above the most":        {at(49_000), windowOf(500, 100, 10*time.Millisecond), 49_000, autoMax},
	} {
		assert.InDelta(t, c.want, c.before.next(c.window, c.allowed).rate, 0.001, name)
	}
}

func TestADatabaseThatBecameSlowerForGoodIsBelievedInTheEnd(t *testing.T) {
	a := autoRate{rate: 10_000}.next(windowOf(10, 100, 10*time.Millisecond), 1000)
	second := func() { a = a.next(windowOf(10, 100, 30*time.Millisecond), 1000) }
	for range 60 {
		second()
	}
	assert.InDelta(t, autoMin, a.rate, 0, "at first it is trouble")
	for range 20 * 60 {
		second()
	}
	assert.InDelta(t, autoMax, a.rate, 0, "after twenty minutes it is what the database can do")
}

// slowLedger takes its time for each insert, and much more of it while it is in trouble.
type slowLedger struct {
	domain.CouponStore
	trouble atomic.Bool
}

func (l *slowLedger) StoreCoupons(ctx context.Context, code string, winners []domain.Winner) ([]domain.StoreResult, error) {
	took := 2*time.Millisecond + time.Duration(len(winners))*20*time.Microsecond
	if l.trouble.Load() {
		took *= 5
	}
	time.Sleep(took)
	return l.CouponStore.StoreCoupons(ctx, code, winners)
}

// endless is a topic that always has more; the winners' slots and users count up.
type endless struct{ last atomic.Int64 }

func (e *endless) Poll(ctx context.Context, limit int, _ time.Duration) ([]domain.Delivery, error) {
	deliveries := make([]domain.Delivery, limit)
	for i := range deliveries {
		n := e.last.Add(1)
		deliveries[i].Position = domain.RecordPosition{Topic: topic, Offset: n}
		deliveries[i].Winner = winner(domain.UserID(n), domain.Slot(n), 1)
	}
	return deliveries, ctx.Err()
}

func (e *endless) Commit(context.Context, []domain.Delivery) error { return nil }

func (e *endless) PutBack([]domain.Delivery) int { return 0 }

func (e *endless) GiveAgain() {}

func (e *endless) Share() (owned, total int) { return 1, 1 }

// storedNothing is a coupon store that stores whatever comes, and keeps none of it.
type storedNothing struct{ domain.CouponStore }

func (storedNothing) StoreCoupons(_ context.Context, _ string, winners []domain.Winner) ([]domain.StoreResult, error) {
	results := make([]domain.StoreResult, len(winners))
	for i, winner := range winners {
		results[i] = domain.StoreResult{Outcome: domain.Stored, Slot: winner.Slot}
	}
	return results, nil
}

func automatic(t *testing.T, coupons domain.CouponStore, settings SettingReader) *Consumer {
	t.Helper()
	w := newWorld(1)
	c, err := New(Config{RowsPerSecond: domain.Rate{Auto: true}},
		Ports{Source: &endless{}, Coupons: coupons, Gate: w, Mender: w, Settings: settings},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return c
}

func TestTheConsumerSlowsDownWithTheDatabaseAndSpeedsUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := &slowLedger{CouponStore: storedNothing{}}
		c := automatic(t, ledger, nil)
		stop := c.start()
		time.Sleep(20 * time.Second)
		calm := c.State().RowsPerSecond
		assert.Greater(t, calm, 4000.0, "it found out by itself how much more the database bears")

		ledger.trouble.Store(true)
		time.Sleep(15 * time.Second)
		troubled := c.State().RowsPerSecond
		assert.Less(t, troubled, calm/10)
		before := c.State().RowsStored
		time.Sleep(10 * time.Second)
		assert.LessOrEqual(t, float64(c.State().RowsStored-before), 11*troubled, "and it stores no more than that")

		ledger.trouble.Store(false)
		time.Sleep(40 * time.Second)
		assert.Greater(t, c.State().RowsPerSecond, calm/2)
		require.NoError(t, stop())
	})
}

func TestOperatorsTurnTheAutomaticRateOnAndOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.settings[domain.SettingRowsPerSecond] = "250"
		c := automatic(t, storedNothing{}, w)
		stop := c.start()
		time.Sleep(3 * time.Second)
		assert.InDelta(t, 250, c.State().RowsPerSecond, 0)
		w.see(func() { w.settings[domain.SettingRowsPerSecond] = domain.RowsPerSecondAuto })
		time.Sleep(3 * time.Second)
		assert.GreaterOrEqual(t, c.State().RowsPerSecond, float64(autoStart))
		w.see(func() { w.settings[domain.SettingRowsPerSecond] = "250" })
		time.Sleep(3 * time.Second)
		assert.InDelta(t, 250, c.State().RowsPerSecond, 0)
		require.NoError(t, stop())
	})
}
