package consumer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

const autumn = "autumn"

// newStuckWorld is a world in which the gate of autumn is closed, and its records are of the epoch before.
func newStuckWorld(partitions int) *world {
	w := newWorld(partitions)
	w.campaigns[autumn] = newCampaign(100_000)
	w.campaigns[autumn].epoch, w.campaigns[autumn].closed = 2, true
	return w
}

func (w *world) open(code string) {
	w.campaigns[code].closed, w.campaigns[code].gateEpoch = false, w.campaigns[code].epoch
}

// stuck produces a record of autumn.
func (w *world) stuck(partition int, user domain.UserID) {
	late := winner(user, domain.Slot(user), 1)
	late.Campaign = autumn
	w.produce(partition, domain.Delivery{Winner: late})
}

func TestACampaignWhoseGateStaysClosedHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStuckWorld(2)
		w.stuck(0, 1)
		c := w.consumer(t, Config{})
		began := time.Now()
		stop := c.start()
		time.Sleep(time.Minute)
		assert.Contains(t, c.State().Paused, autumn, "nothing else is there to do")
		for user := domain.UserID(1); user <= 20; user++ {
			w.see(func() { w.admitted(int(user%2), user, domain.Slot(user)) })
			time.Sleep(time.Minute)
			w.see(func() { assert.Len(t, w.campaigns[sale].rows, int(user), "a minute later") })
			waiting := c.State().Waiting
			require.Len(t, waiting, 1, "operators are told that autumn waits, while others get on")
			assert.Equal(t, "campaign autumn", waiting[0].Of)
			assert.Equal(t, 1, waiting[0].Records)
			assert.WithinDuration(t, began, waiting[0].Since, time.Second)
		}
		w.see(func() {
			assert.Equal(t, []int{0, 10}, w.committed, "nothing is committed past the record that waits")
			assert.Empty(t, w.events, "waiting makes no fail events")
			assert.Less(t, w.calls["honour"], 20*60, "the gate is not asked in a hurry")
			w.open(autumn)
		})
		assert.InDelta(t, 1, testutil.ToFloat64(c.metrics.held), 0, "what is stored is not in hand any more")
		time.Sleep(5 * time.Second)
		assert.True(t, w.drained())
		assert.Len(t, w.campaigns[autumn].rows, 1)
		assert.Empty(t, c.State().Paused)
		assert.Empty(t, c.State().Waiting)
		require.NoError(t, stop())
	})
}

// lockedCampaign is a ledger in which somebody holds the lock of one campaign's row.
type lockedCampaign struct {
	*world
	takes time.Duration
}

func (l lockedCampaign) StoreCoupons(ctx context.Context, code string, winners []domain.Winner) ([]domain.StoreResult, error) {
	if code == autumn {
		time.Sleep(l.takes)
		return nil, domain.Errorf(domain.CodeOverloaded, "the lock was not given in time")
	}
	return l.world.StoreCoupons(ctx, code, winners)
}

func TestALockedCampaignTakesABoundedPartOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const locked = 5 * time.Second
		w := newWorld(1)
		w.campaigns[autumn] = newCampaign(10)
		w.stuck(0, 1)
		c := w.consumer(t, Config{})
		c.ports.Coupons = lockedCampaign{w, locked}
		stop := c.start()
		quick := 0
		for user := domain.UserID(1); user <= 200; user++ {
			w.see(func() { w.admitted(0, user, domain.Slot(user)) })
			time.Sleep(time.Second)
			w.see(func() {
				if len(w.campaigns[sale].rows) == int(user) {
					quick++
				}
			})
		}
		assert.Greater(t, quick, 140, "most are stored within a second, all the same")
		time.Sleep(locked + time.Second)
		w.see(func() { assert.Len(t, w.campaigns[sale].rows, 200) })
		require.NoError(t, stop())
	})
}

func TestALedgerThatDoesNothingIsNotAskedForEachCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		for n := range 100 {
			code := string(rune('a'+n/10)) + string(rune('a'+n%10))
			w.campaigns[code] = newCampaign(10)
			one := winner(1, 1, 1)
			one.Campaign = code
			w.produce(0, domain.Delivery{Winner: one})
		}
		down := true
		w.before = func(call string) error {
			if down && call == "store" {
				return errAway
			}
			return nil
		}
		stop := w.consumer(t, Config{}).start()
		time.Sleep(time.Minute)
		w.see(func() {
			assert.Less(t, w.calls["store"], 500)
			down = false
		})
		time.Sleep(10 * time.Second)
		assert.True(t, w.drained())
		require.NoError(t, stop())
	})
}

// However many records of a campaign wait, those of the others come.
func TestACampaignWithManyRecordsThatWaitHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 5 * maxInHand
		w := newStuckWorld(1)
		for user := domain.UserID(1); user <= many; user++ {
			w.stuck(0, user)
			w.campaigns[autumn].gate[user] = domain.Slot(user)
		}
		w.admitted(0, 1, 1)
		c := w.consumer(t, Config{})
		stop := c.start()
		time.Sleep(20 * time.Second)
		w.see(func() { assert.Len(t, w.campaigns[sale].rows, 1, "the other campaign's coupon is stored") })
		assert.LessOrEqual(t, testutil.ToFloat64(c.metrics.held), float64(maxInHand))
		waiting := c.State().Waiting
		require.Len(t, waiting, 1)
		assert.Equal(t, many, waiting[0].Records, "operators hear of all of them")
		w.see(func() {
			assert.Equal(t, []int{0}, w.committed, "nothing is committed past those that wait")
			assert.Empty(t, w.events)
			assert.Zero(t, w.calls["give again"], "they are not read again before they get on")
			w.open(autumn)
		})
		time.Sleep(time.Minute)
		assert.True(t, w.drained())
		require.NoError(t, stop())
		assert.Len(t, w.campaigns[autumn].rows, many)
		assert.Len(t, w.campaigns[sale].rows, 1)
		assert.Empty(t, c.State().Waiting)
	})
}

func TestWhatIsPutBackIsBoundedByWhatTheSourceTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStuckWorld(1)
		for user := domain.UserID(1); user <= 2*maxInHand; user++ {
			w.stuck(0, user)
			w.campaigns[autumn].gate[user] = domain.Slot(user)
		}
		c := w.consumer(t, Config{})
		c.ports.Source = fullShelf{w}
		stop := c.start()
		time.Sleep(20 * time.Second)
		assert.InDelta(t, maxInHand, testutil.ToFloat64(c.metrics.held), 0)
		w.see(func() {
			assert.Equal(t, maxInHand, w.read[0], "what has no room stays on the topic")
			w.open(autumn)
		})
		time.Sleep(time.Minute)
		assert.True(t, w.drained())
		require.NoError(t, stop())
		assert.Len(t, w.campaigns[autumn].rows, 2*maxInHand)
	})
}

// fullShelf is a source that takes nothing back.
type fullShelf struct{ *world }

func (fullShelf) PutBack([]domain.Delivery) int { return 0 }

func TestAConsumerThatDiesWithRecordsInHandLosesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStuckWorld(1)
		w.admitted(0, 1, 1)
		w.stuck(0, 2)
		w.admitted(0, 3, 3)
		stop := w.consumer(t, Config{}).start()
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		assert.Len(t, w.campaigns[sale].rows, 2)
		assert.Equal(t, []int{1}, w.committed)

		w.rejoin()
		w.open(autumn)
		stop = w.consumer(t, Config{}).start()
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		assert.True(t, w.drained())
		assert.Len(t, w.campaigns[sale].rows, 2)
		assert.Len(t, w.campaigns[autumn].rows, 1)
	})
}

func TestWhatWasTakenAwayWithItsPartitionIsNotInHandAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStuckWorld(1)
		w.stuck(0, 1)
		c := w.consumer(t, Config{})
		stop := c.start()
		time.Sleep(time.Minute)
		assert.NotEmpty(t, c.State().Paused)
		w.see(func() { w.given = nil })
		time.Sleep(time.Minute)
		assert.Empty(t, c.State().Paused)
		assert.InDelta(t, 0, testutil.ToFloat64(c.metrics.held), 0)
		w.see(func() { w.admitted(0, 2, 2) })
		time.Sleep(time.Second)
		w.see(func() { assert.Len(t, w.campaigns[sale].rows, 1) })
		require.NoError(t, stop())
	})
}

func TestWhatIsInHandIsKnownAgainByPlaceAndContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		l := w.consumer(t, Config{}).lanes
		var polled []domain.Delivery
		for user := domain.UserID(1); user <= 3; user++ {
			polled = append(polled, w.admitted(0, user, domain.Slot(user)))
		}
		first, fresh := l.take(polled)
		assert.Equal(t, 3, fresh)
		l.failed(first.items[0].in(), errAway, 0)
		l.keep(first, true)

		other := polled[1]
		other.Digest[0]++ // the topic was made anew: another record stands in the same place
		second, fresh := l.take([]domain.Delivery{polled[0], other})
		assert.Equal(t, 1, fresh)
		assert.Same(t, first.items[0], second.items[0])
		assert.NotSame(t, first.items[1], second.items[1])
		l.keep(second, true)

		_, fresh = l.take([]domain.Delivery{polled[2]})
		assert.Equal(t, 1, fresh, "what was not given again is forgotten")
		_, _ = l.take(nil)
		assert.Empty(t, l.troubles, "and so is the trouble of those who are gone")
	})
}
