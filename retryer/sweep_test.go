package retryer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func TestWhatAGateNeedsIsDecidedByComparingItWithItsRow(t *testing.T) {
	campaign := domain.Campaign{
		Code: sale, Quota: 100, StartsAt: start, EndsAt: domain.NoEnd, State: domain.CampaignOpen, Epoch: 3,
	}
	report := domain.GateReport{
		Quota: 100, StartsAt: start, EndsAt: domain.NoEnd, State: domain.CampaignOpen, Epoch: 3,
	}
	for name, test := range map[string]struct {
		change func(*domain.Campaign, *domain.GateReport)
		want   action
	}{
		"nothing":                {func(*domain.Campaign, *domain.GateReport) {}, leaveAlone},
		"never opened":           {func(c *domain.Campaign, r *domain.GateReport) { c.Epoch, r.Epoch = 0, 0 }, rebuild},
		"closed":                 {func(_ *domain.Campaign, r *domain.GateReport) { r.Closed = "run-id" }, rebuild},
		"gate behind":            {func(_ *domain.Campaign, r *domain.GateReport) { r.Epoch = 2 }, rebuild},
		"gate ahead":             {func(_ *domain.Campaign, r *domain.GateReport) { r.Epoch = 4 }, rebuild},
		"quota lowered":          {func(c *domain.Campaign, _ *domain.GateReport) { c.WantedQuota = 50 }, applySettings},
		"gate's quota is higher": {func(_ *domain.Campaign, r *domain.GateReport) { r.Quota = 101 }, applySettings},
		"the holders fit":        {func(c *domain.Campaign, r *domain.GateReport) { c.WantedQuota, r.Quota, r.Count = 50, 50, 50 }, lowerQuota},
		"they fit by their number": {func(c *domain.Campaign, r *domain.GateReport) {
			c.WantedQuota, r.Quota, r.Count, r.Free = 50, 50, 60, 10
		}, lowerQuota},
		"one holder too many": {func(c *domain.Campaign, r *domain.GateReport) {
			c.WantedQuota, r.Quota, r.Count = 50, 50, 51
		}, leaveAlone},
		"an older version":                     {func(c *domain.Campaign, _ *domain.GateReport) { c.SettingsVersion = 1 }, applySettings},
		"a version that nobody knows any more": {func(_ *domain.Campaign, r *domain.GateReport) { r.SettingsVersion = 1 }, rebuild},
		"quota raised":                         {func(c *domain.Campaign, _ *domain.GateReport) { c.Quota = 101 }, applySettings},
		"paused":                               {func(c *domain.Campaign, _ *domain.GateReport) { c.State = domain.CampaignPaused }, applySettings},
		"starts later":                         {func(c *domain.Campaign, _ *domain.GateReport) { c.StartsAt = start.Add(time.Hour) }, applySettings},
		"ends earlier":                         {func(c *domain.Campaign, _ *domain.GateReport) { c.EndsAt = start.Add(time.Hour) }, applySettings},
		"less than a millisecond": {func(c *domain.Campaign, _ *domain.GateReport) {
			c.StartsAt = start.Add(500 * time.Microsecond)
		}, leaveAlone},
	} {
		c, r := campaign, report
		test.change(&c, &r)
		got, why := decideSweep(c, r)
		assert.Equal(t, test.want, got, name)
		assert.Equal(t, test.want == leaveAlone, why == "", name)
	}
}

func TestOneCampaignsFailureKeepsNoOtherFromBeingSwept(t *testing.T) {
	for _, broken := range []string{"inspect", "ledger begin", "gate begin", "visit", "open", "campaign"} {
		w := newWorld("a", "b", "c")
		w.before = func(call, campaign string) error {
			if call == broken && campaign == "b" {
				return errAway
			}
			return nil
		}
		require.Error(t, w.retryer(t, Config{}).SweepOnce(t.Context()), broken)
		assert.True(t, w.gates["a"].open, broken)
		assert.True(t, w.gates["c"].open, broken)
		assert.False(t, w.gates["b"].open, broken)
	}
}

func TestTheSweepBringsSettingsToTheGate(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].State, w.ledger[sale].Quota = domain.CampaignPaused, 200
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.Equal(t, domain.CampaignPaused, w.gates[sale].state)
	assert.Equal(t, int64(200), w.gates[sale].quota)
	assert.Equal(t, int64(1), w.gates[sale].epoch, "without a rebuild")
	assert.InDelta(t, 1, testutil.ToFloat64(r.metrics.gateOpen.WithLabelValues(sale)), 0)
}

func TestAClosedGateIsRebuiltByTheNextSweep(t *testing.T) {
	w, r := opened(t, sale)
	w.gates[sale].open = false
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.True(t, w.gates[sale].open)
	assert.Equal(t, int64(2), w.gates[sale].epoch)
	assert.InDelta(t, 2, testutil.ToFloat64(r.metrics.rebuilds.WithLabelValues(rebuildOpened)), 0)
}

func TestALedgerThatWasRestoredCatchesUpWithItsGate(t *testing.T) {
	w, r := opened(t, sale)
	w.gates[sale].epoch = 7
	for range 10 {
		require.NoError(t, r.SweepOnce(t.Context()))
	}
	assert.True(t, w.gates[sale].open)
	assert.Equal(t, w.ledger[sale].Epoch, w.gates[sale].epoch)
	assert.GreaterOrEqual(t, w.gates[sale].epoch, int64(7))
}

func (w *world) revoke(code string, user domain.UserID, slot domain.Slot) {
	w.ledger[code].coupons[user] = domain.Coupon{Campaign: code, UserID: user, RevokedSlot: slot, RevokedAt: start}
	w.gates[code].users[user] = domain.GateWinner{UserID: user, Slot: slot}
}

func TestRevokedCouponsAreReleasedAndThenNoted(t *testing.T) {
	w, r := opened(t, sale)
	w.revoke(sale, 7, 3)
	w.before = func(call, _ string) error {
		if call == "mark released" {
			assert.Equal(t, domain.NoSlot, w.slotOf(sale, 7), "the gate is told first")
		}
		return nil
	}
	require.NoError(t, r.SweepOnce(t.Context()))
	assert.True(t, w.ledger[sale].released[7])
}

// TestARevocationThatAnOldGateWasToldIsToldToTheNewOne: the campaign is rebuilt elsewhere, from what the ledger had before
// the revocation, while this retryer still has a connection to the old primary.
func TestARevocationThatAnOldGateWasToldIsToldToTheNewOne(t *testing.T) {
	w, r := opened(t, sale)
	w.revoke(sale, 7, 3)
	rebuilt := *w.gates[sale]
	rebuilt.epoch, rebuilt.users = 2, map[domain.UserID]domain.GateWinner{7: {UserID: 7, Slot: 3}}
	w.before = func(call, _ string) error {
		if call == "mark released" {
			w.gates[sale], w.ledger[sale].Epoch = &rebuilt, 2
		}
		return nil
	}
	require.Equal(t, domain.CodeOvertaken, domain.CodeOf(r.releaseRevoked(t.Context(), fairTurn)))
	assert.Empty(t, w.ledger[sale].released)
	require.NoError(t, r.releaseRevoked(t.Context(), fairTurn))
	assert.True(t, w.ledger[sale].released[7])
	assert.Equal(t, domain.NoSlot, w.slotOf(sale, 7), "the new gate was told")
}

func TestAClosedGateKeepsNoOtherCampaignsCouponsFromBeingReleased(t *testing.T) {
	w, r := opened(t, "a", "b")
	for user := domain.UserID(1); user <= releasePage+10; user++ {
		w.revoke("a", user, domain.Slot(user)) // more than a page, and all of it before the other campaign's
	}
	for user := domain.UserID(1); user <= 10; user++ {
		w.revoke("b", user, domain.Slot(user))
	}
	w.before = func(call, campaign string) error {
		if call == "release" && campaign == "a" {
			return errClosed
		}
		return nil
	}
	require.Error(t, r.releaseRevoked(t.Context(), fairTurn))
	assert.Empty(t, w.ledger["a"].released)
	assert.Len(t, w.ledger["b"].released, 10)
	assert.Equal(t, 11, w.calls["release"], "a closed gate is asked once")
}

func TestManyRevokedCouponsAreReleasedPageByPage(t *testing.T) {
	w, r := opened(t, sale)
	for user := domain.UserID(1); user <= 2*releasePage+1; user++ {
		w.revoke(sale, user, domain.Slot(user))
	}
	require.NoError(t, r.releaseRevoked(t.Context(), wholeTurn))
	assert.Len(t, w.ledger[sale].released, 2*releasePage+1)
}

func TestALongRebuildHoldsUpNeitherTheSweepNorOtherRebuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, "a", "b", "c", "d")
		r := w.retryer(t, Config{ConcurrentRebuilds: 2})
		stuck := make(chan struct{})
		w.before = func(call, campaign string) error {
			if call == "visit" && campaign == "a" {
				<-stuck
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		w.see(func() {
			for _, code := range []string{"a", "b", "c"} {
				w.gates[code].open = false
			}
			w.ledger["d"].State = domain.CampaignPaused
		})
		time.Sleep(5 * time.Second)
		w.see(func() {
			assert.False(t, w.gates["a"].open)
			assert.True(t, w.gates["b"].open)
			assert.True(t, w.gates["c"].open)
			assert.Equal(t, domain.CampaignPaused, w.gates["d"].state)
			assert.Equal(t, int64(2), w.ledger["a"].Epoch, "the rebuild that is under way is not begun again")
		})
		assert.Equal(t, domain.CodeConflict, domain.CodeOf(r.Rebuild(ctx, "a")))
		cancel()
		synctest.Wait()
		assert.Empty(t, ended, "a rebuild under way is waited for")
		close(stuck)
		require.NoError(t, <-ended)
	})
}

func TestAllGatesAreRebuiltThoughFewReadCouponsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		campaigns := codes(3 * couponReaders)
		w := newWorld(campaigns...)
		var now, most atomic.Int64
		w.before = func(call, _ string) error {
			if call == "visit" {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				time.Sleep(time.Second)
			}
			return nil
		}
		require.NoError(t, w.retryer(t, Config{}).SweepOnce(t.Context()))
		assert.Equal(t, int64(couponReaders), most.Load())
		for _, code := range campaigns {
			assert.True(t, w.gates[code].open, code)
		}
	})
}

// sweepers runs the sweeps of several processes over one world for a while.
func sweepers(t *testing.T, w *world, count int, d time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range count {
		r := w.retryer(t, Config{})
		group.Go(func() {
			for ctx.Err() == nil {
				_ = r.sweepInBackground(ctx)
				time.Sleep(r.cfg.SweepEvery)
			}
			r.slots.wait()
		})
	}
	time.Sleep(d)
	return func() {
		cancel()
		group.Wait()
	}
}

func TestManyRetryersDoNotKeepEachOtherFromRebuilding(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond, 5 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(sale)
			w.before = func(call, _ string) error {
				if call == "visit" {
					time.Sleep(takes)
				}
				return nil
			}
			stop := sweepers(t, w, 3, 10*time.Minute)
			w.see(func() {
				assert.True(t, w.gates[sale].open, "rebuild of %v", takes)
				assert.Equal(t, w.ledger[sale].Epoch, w.gates[sale].epoch)
				w.gates[sale].open = false // Redis is lost once more.
			})
			time.Sleep(10 * time.Minute)
			w.see(func() {
				assert.True(t, w.gates[sale].open, "rebuild of %v", takes)
				assert.Less(t, w.ledger[sale].Epoch, int64(20))
			})
			stop()
		})
	}
}

func TestARebuildOfAProcessThatDiedIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		stop := sweepers(t, w, 1, 2*time.Second)
		defer stop()
		w.see(func() {
			w.ledger[sale].Epoch++ // Another process has begun, and dies.
			w.gates[sale].open = false
		})
		time.Sleep(10 * time.Second)
		w.see(func() { assert.False(t, w.gates[sale].open, "it is given its time") })
		time.Sleep(10 * time.Second)
		w.see(func() { assert.True(t, w.gates[sale].open) })
	})
}

func TestAFailingRebuildIsNotTriedInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(sale)
		broken := true
		w.before = func(call, _ string) error {
			if broken && call == "visit" {
				return errAway
			}
			return nil
		}
		stop := sweepers(t, w, 1, 10*time.Minute)
		defer stop()
		w.see(func() {
			assert.InDelta(t, 25, w.calls["visit"], 10)
			broken = false
		})
		time.Sleep(31 * time.Second)
		w.see(func() { assert.True(t, w.gates[sale].open) })
	})
}

func TestPatienceWithOthersHasItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWatch(15 * time.Second)
		now := start
		epoch := int64(1)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				epoch++
				w.raised(sale, epoch)
			case 1:
				epoch++ // by somebody else
			case 2:
				w.failed(sale, now)
			case 3:
				w.mayRebuild(sale, epoch, now)
			}
			now = now.Add(time.Second)
		}
		w.mayRebuild(sale, epoch, now)
		require.True(t, w.mayRebuild(sale, epoch, now.Add(15*time.Second<<maxDoublings)))
		w.open(sale, epoch)
		require.True(t, w.mayRebuild(sale, epoch, now), "a gate that was open until now is rebuilt at once")
	})
}

func TestGaugesAreBoundedInNumber(t *testing.T) {
	w := newWorld(sale)
	r := w.retryer(t, Config{})
	for i := range 3 * maxLabelledCampaigns {
		r.metrics.gate(string(rune('a'+i)), domain.GateReport{})
	}
	assert.Equal(t, maxLabelledCampaigns, testutil.CollectAndCount(r.metrics.gateOpen))
}
