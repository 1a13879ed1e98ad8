package consumer

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func (w *world) fill(rows int) {
	for user := domain.UserID(1); user <= domain.UserID(rows); user++ {
		w.admitted(int(user)%len(w.partitions), user, domain.Slot(user))
	}
}

// rowsWithin runs a consumer for a while and says how many rows it stored.
func rowsWithin(t *testing.T, w *world, cfg Config, d time.Duration) int {
	t.Helper()
	stop := w.consumer(t, cfg).start()
	time.Sleep(d)
	require.NoError(t, stop())
	return len(w.campaigns[sale].rows)
}

func TestTheThrottleHoldsItsRateAndIsSmooth(t *testing.T) {
	for _, rows := range []float64{0.5, 5, 37, 100, 900} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(1)
			w.campaigns[sale].quota = 20_000
			w.fill(11_000)
			stored := rowsWithin(t, w, Config{RowsPerSecond: domain.Rate{PerSecond: rows}}, 10*time.Second)
			burst := math.Ceil(rows / 10)
			assert.InDelta(t, rows*10, stored, 2*burst+1)
			for i := int(burst); i < len(w.stored); i++ {
				gap := w.stored[i].Sub(w.stored[i-int(burst)])
				assert.LessOrEqual(t, gap.Seconds(), burst/rows+0.01, "no row waits for a big batch")
			}
		})
	}
}

func TestWithoutALimitNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		w.campaigns[sale].quota = 10_000
		w.fill(2000)
		assert.Equal(t, 2000, rowsWithin(t, w, Config{}, time.Millisecond))
		assert.Equal(t, 500, w.biggest, "and no transaction is bigger than the batch size")
	})
}

func TestEachConsumerTakesTheShareOfItsPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.total = 4
		w.fill(900)
		assert.InDelta(t, 250, rowsWithin(t, w, Config{RowsPerSecond: domain.Rate{PerSecond: 100}}, 10*time.Second), 10)
	})
}

func TestTheSettingChangesTheRateWhileABatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.fill(900)
		w.settings[domain.SettingRowsPerSecond] = "0.01"
		c := w.consumer(t, Config{RowsPerSecond: domain.Rate{PerSecond: 50}})
		stop := c.start()
		time.Sleep(10 * time.Second)
		w.see(func() {
			assert.Len(t, w.stored, 1, "the setting was in force from the start")
			w.settings[domain.SettingRowsPerSecond] = "100"
		})
		assert.InDelta(t, 0.01, c.State().RowsPerSecond, 0)
		time.Sleep(2 * time.Second)
		w.see(func() {
			assert.InDelta(t, 150, len(w.stored), 60, "the wait was cut short within a second")
			w.settings[domain.SettingRowsPerSecond] = "lots"
		})
		time.Sleep(2 * time.Second)
		assert.InDelta(t, 100, c.State().RowsPerSecond, 0, "nonsense changes nothing")
		w.see(func() { w.settings[domain.SettingRowsPerSecond] = "" })
		time.Sleep(2 * time.Second)
		assert.InDelta(t, 50, c.State().RowsPerSecond, 0, "no setting means the configured rate")
		w.see(func() { w.settings[domain.SettingRowsPerSecond] = "0" })
		time.Sleep(2 * time.Second)
		require.NoError(t, stop())
		assert.Len(t, w.campaigns[sale].rows, 900, "0 is no limit")
	})
}

func TestStoppingEndsTheWaitForTheThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.fill(10)
		stop := w.consumer(t, Config{RowsPerSecond: domain.Rate{PerSecond: 0.001}}).start()
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, stop())
		assert.Zero(t, time.Since(began))
		assert.Len(t, w.campaigns[sale].rows, 1)
		assert.Equal(t, 1, w.committed[0])
	})
}

func TestABatchThatIsTriedAgainPaysTheThrottleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.fill(20)
		w.before = func(call string) error {
			if call == "store" && w.calls[call] <= 10 {
				return errAway
			}
			return nil
		}
		assert.Equal(t, 20, rowsWithin(t, w, Config{RowsPerSecond: domain.Rate{PerSecond: 1}, MaxBackoff: 50 * time.Millisecond}, 21*time.Second))
	})
}

func TestSharesThatMakeNoSenseStillLetRowsPass(t *testing.T) {
	throttle := newThrottle(10, 500, prometheus.NewHistogram(prometheus.HistogramOpts{Name: "w"}))
	for _, share := range [][2]int{{0, 0}, {0, 8}, {9, 8}, {-1, 8}} {
		throttle.setShare(share[0], share[1])
		assert.Positive(t, throttle.bite())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := throttle.wait(ctx, 1000)
		assert.ErrorIs(t, err, context.Canceled)
	}
}
