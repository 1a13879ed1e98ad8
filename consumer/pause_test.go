package consumer

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func TestWhileAStoreIsAwayTheBatchIsKeptAndNothingIsCommittedOrFailed(t *testing.T) {
	for _, away := range []struct {
		call      string
		err       error
		committed []int
	}{
		{"store", errAway, []int{0, 0}},
		{"store", domain.Errorf(domain.CodeOutcomeUnknown, "who knows"), []int{0, 0}},
		{"store", domain.Errorf(domain.CodeInternal, "a defect"), []int{0, 0}},
		{"admit", domain.Errorf(domain.CodeGateClosed, "closed"), []int{1, 0}}, // the first needs no gate
		{"admit", domain.Errorf(domain.CodeOverloaded, "busy"), []int{1, 0}},
		{"commit", errAway, []int{0, 0}},
		{"poll", errAway, []int{0, 0}},
	} {
		t.Run(away.call+" "+string(domain.CodeOf(away.err)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(2)
				w.admitted(0, 1, 1)
				w.produce(1, domain.Delivery{External: true, Winner: domain.Winner{UserID: 2}})
				down := true
				w.before = func(call string) error {
					if down && call == away.call {
						return away.err
					}
					return nil
				}
				c := w.consumer(t, Config{})
				stop := c.start()
				time.Sleep(time.Minute)
				w.see(func() {
					assert.Equal(t, away.committed, w.committed)
					assert.Empty(t, w.events)
					assert.Greater(t, w.calls[away.call], 30, "it keeps trying, at least every 2 s")
					assert.Less(t, w.calls[away.call], 100, "but not in a hurry")
					down = false
				})
				assert.NotEmpty(t, c.State().Paused)
				assert.InDelta(t, 1, testutil.ToFloat64(c.metrics.paused), 0)
				time.Sleep(5 * time.Second)
				assert.True(t, w.drained())
				assert.Empty(t, c.State().Paused)
				assert.InDelta(t, 0, testutil.ToFloat64(c.metrics.paused), 0)
				require.NoError(t, stop())
				assert.Len(t, w.campaigns[sale].rows, 2)
				assert.Equal(t, int64(2), c.State().RowsStored)
			})
		})
	}
}

func TestAPauseIsLoggedOnceHoweverOftenItTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.admitted(0, 1, 1)
		w.before = func(call string) error {
			if call == "store" && w.calls["store"] < 20 {
				return errAway
			}
			return nil
		}
		var log bytes.Buffer
		c, err := New(Config{}, Ports{Source: w, Coupons: w, Gate: w, Mender: w}, prometheus.NewRegistry(),
			slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		stop := c.start()
		time.Sleep(2 * time.Minute)
		require.NoError(t, stop())
		assert.True(t, w.drained())
		assert.Equal(t, 1, strings.Count(log.String(), "records wait in the consumer"))
		assert.Equal(t, 1, strings.Count(log.String(), "records in the consumer go on"))
	})
}

func TestAClosedGateHoldsUpOnlyTheRowsThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.campaigns["autumn"] = newCampaign(10)
		w.campaigns["autumn"].epoch, w.campaigns["autumn"].closed = 2, true
		late := winner(1, 1, 1)
		late.Campaign = "autumn"
		w.produce(0, domain.Delivery{Winner: late})
		w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: 2}})
		w.admitted(0, 3, 3)
		stop := w.consumer(t, Config{}).start()
		time.Sleep(time.Second)
		w.see(func() {
			assert.Len(t, w.campaigns[sale].rows, 2)
			assert.Equal(t, 0, w.committed[0], "the first record is not done")
			w.campaigns["autumn"].closed, w.campaigns["autumn"].gateEpoch = false, 2
		})
		time.Sleep(5 * time.Second)
		require.NoError(t, stop())
		assert.Len(t, w.campaigns["autumn"].rows, 1)
		assert.True(t, w.drained())
	})
}

func TestStoppingCommitsWhatWasStoredAndNothingBeyond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		w.campaigns["autumn"] = newCampaign(10)
		w.campaigns["autumn"].closed, w.campaigns["autumn"].epoch = true, 2
		stuck := winner(3, 1, 1)
		stuck.Campaign = "autumn"
		w.admitted(0, 1, 1)
		w.admitted(0, 2, 2)
		w.produce(0, domain.Delivery{Winner: stuck})
		w.admitted(0, 4, 4)
		w.admitted(1, 5, 5)
		stop := w.consumer(t, Config{}).start()
		time.Sleep(time.Second)
		require.NoError(t, stop())
		assert.Equal(t, []int{2, 1}, w.committed)
		assert.Len(t, w.campaigns[sale].rows, 4)
	})
}

func TestStoppingLetsATransactionUnderWayFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.admitted(0, 1, 1)
		slow := slowStore{world: w, entered: make(chan struct{}), takes: time.Second}
		c := w.consumer(t, Config{})
		c.ports.Coupons = slow
		stop := c.start()
		<-slow.entered
		require.NoError(t, stop())
		assert.Len(t, w.campaigns[sale].rows, 1)
		assert.True(t, w.drained(), "what was stored is committed")
	})
}

func TestStoppingDoesNotWaitForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.admitted(0, 1, 1)
		slow := slowStore{world: w, entered: make(chan struct{}), takes: time.Hour}
		c := w.consumer(t, Config{StopGrace: time.Second})
		c.ports.Coupons = slow
		stop := c.start()
		<-slow.entered
		began := time.Now()
		require.NoError(t, stop())
		assert.LessOrEqual(t, time.Since(began), time.Second)
		assert.Equal(t, 0, w.committed[0])
	})
}

// slowStore takes its time over a transaction, unless the context ends first.
type slowStore struct {
	*world
	entered chan struct{}
	takes   time.Duration
}

func (s slowStore) StoreCoupons(ctx context.Context, code string, winners []domain.Winner) ([]domain.StoreResult, error) {
	close(s.entered)
	select {
	case <-ctx.Done():
		return nil, domain.Wrap(domain.CodeUnavailable, ctx.Err(), "away")
	case <-time.After(s.takes):
		return s.world.StoreCoupons(ctx, code, winners)
	}
}

func TestBackoffGrowsAndStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shortest := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "shortest"))
		longest := shortest + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		tries := rapid.IntRange(1, 1_000_000).Draw(t, "tries")
		wait := backoff(shortest, longest, tries)
		require.GreaterOrEqual(t, wait, shortest/2)
		require.LessOrEqual(t, wait, longest)
	})
}
