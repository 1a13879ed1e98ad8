package retryer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// lostCoupons is a world whose database and Redis have lost everything of some campaigns: of each, the topic's oldest records
// say that user 1 was told slot 7, and its newest that user 2 was told slot 8. Reading all records takes so long.
func lostCoupons(t *testing.T, takes time.Duration, cfg Config, lost ...string) (*world, *Retryer) {
	t.Helper()
	w := newWorld(append(lost, sale)...)
	told := func(user domain.UserID, slot domain.Slot) {
		for _, code := range lost {
			winner := promise(user, slot, 1, at(int(user)))
			winner.Campaign = code
			w.stored = append(w.stored, domain.Delivery{Winner: winner})
		}
	}
	told(1, 7)
	for range lookBack - len(lost) {
		w.stored = append(w.stored, domain.Delivery{External: true})
	}
	told(2, 8)
	w.slowFor("stored all", "", takes)
	r := w.retryer(t, cfg)
	return w, r
}

func (w *world) requireTold(t *testing.T, codes ...string) {
	t.Helper()
	w.see(func() {
		for _, code := range codes {
			require.True(t, w.gates[code].open, code)
			assert.Equal(t, domain.Slot(7), w.slotOf(code, 1), code)
			assert.Equal(t, domain.Slot(8), w.slotOf(code, 2), code)
		}
	})
}

// running runs the retryer for so long.
func running(t *testing.T, r *Retryer, period time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	time.Sleep(period)
	cancel()
	require.NoError(t, <-ended)
}

func TestCampaignsThatLostCouponsShareAReadingOfTheTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := codes(100)
		w, r := lostCoupons(t, time.Minute, Config{}, lost...)
		running(t, r, 2*time.Minute+10*time.Second)
		w.requireTold(t, lost...)
		assert.LessOrEqual(t, w.calls["stored all"], 2, "the first began alone")
	})
}

func TestNoOtherGateWaitsForAReadingOfTheWholeTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := lostCoupons(t, time.Hour, Config{}, codes(40)...)
		running(t, r, 3*time.Second)
		w.see(func() {
			assert.True(t, w.gates[sale].open)
			assert.False(t, w.gates["c-00000"].open)
		})
	})
}

func TestAReadingThatTakesLongerThanARebuildMayStillOpensTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := lostCoupons(t, 25*time.Minute, Config{RebuildTimeout: 10 * time.Minute}, "a", "b")
		running(t, r, 51*time.Minute)
		w.requireTold(t, "a", "b")
	})
}

// foundBy asks for all records of a campaign.
func foundBy(ctx context.Context, s *searches, campaign string) ([]domain.UserID, error) {
	users := map[domain.UserID]bool{}
	err := s.all(ctx, domain.Campaign{Code: campaign, Quota: 100}, func(winner domain.Winner) { users[winner.UserID] = true })
	return slices.Sorted(maps.Keys(users)), err
}

func TestWhoComesBackFindsWhatWasReadMeanwhileAndWhatCameSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowStored{}
		reader.commit("a", 1, 2)
		reader.commit("b", 3)
		s := newSearches(reader)
		ctx, end := context.WithTimeout(t.Context(), time.Second/2)
		_, err := foundBy(ctx, s, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		end()
		time.Sleep(time.Minute)
		reader.commit("a", 4)
		found, err := foundBy(t.Context(), s, "a")
		require.NoError(t, err)
		assert.Equal(t, []domain.UserID{1, 2, 4}, found)
		assert.Equal(t, 2, reader.readings)
		assert.Equal(t, 4, reader.shown, "three, then what came since")

		time.Sleep(keepFound)
		synctest.Wait()
		assert.Empty(t, s.byCampaign, "it is given back after a while")
		assert.Zero(t, s.held)
		found, err = foundBy(t.Context(), s, "b")
		require.NoError(t, err)
		assert.Equal(t, []domain.UserID{3}, found)
		s.forget("b")
		assert.Empty(t, s.byCampaign, "and when the gate is open")
		assert.Zero(t, s.held)
	})
}

// One campaign is too large for the bound, and has a reading alone. Of the others two fit at a time.
func TestWhatAReadingHoldsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowStored{}
		s := newSearches(reader)
		s.maxFound = 10
		all := map[string][]domain.UserID{}
		for user := domain.UserID(1); user <= 5; user++ {
			for _, campaign := range []string{"a", "b", "c"} {
				reader.commit(campaign, user)
				all[campaign] = append(all[campaign], user)
			}
		}
		for user := domain.UserID(1); user <= 30; user++ {
			reader.commit("huge", user)
			all["huge"] = append(all["huge"], user)
		}
		var asking sync.WaitGroup
		began := time.Now()
		for _, campaign := range []string{"huge", "a", "b", "c"} {
			asking.Go(func() {
				found, err := foundBy(t.Context(), s, campaign)
				assert.NoError(t, err)
				assert.Equal(t, all[campaign], found, campaign)
				s.forget(campaign)
			})
			synctest.Wait()
		}
		asking.Wait()
		assert.Zero(t, s.held)
		assert.LessOrEqual(t, time.Since(began), 6*time.Second, "each reading serves somebody")
	})
}

func TestAReadingThatPanicsIsTheErrorOfThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowStored{panics: true}
		s := newSearches(reader)
		_, err := foundBy(t.Context(), s, "a")
		assert.Equal(t, domain.CodeInternal, domain.CodeOf(err))
		reader.panics = false
		_, err = foundBy(t.Context(), s, "a")
		require.NoError(t, err, "who asks next has it read anew")
		s.forget("a")
	})
}

// endless reads until its context ends.
type endless struct{}

func (endless) ReadStored(ctx context.Context, _ domain.StoredPart, _ func(domain.Delivery) error) (domain.StoredRead, error) {
	<-ctx.Done()
	return domain.StoredRead{}, ctx.Err()
}

func TestAReadingEndsWithItsLimitAndWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearches(endless{})
		began := time.Now()
		_, err := foundBy(t.Context(), s, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, searchLimit, time.Since(began))

		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		_, err = foundBy(ctx, s, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.stop()
		assert.Empty(t, s.byCampaign)
	})
}

func TestWhoWaitsAsideLeavesThePlaceToOthersAndComesBackFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots, order := newRebuildSlots(1), make(chan string, 3)
		over := make(chan struct{})
		require.True(t, slots.take("waits"))
		go func() {
			defer slots.leave("waits")
			assert.NoError(t, slots.aside(1, func() error { <-over; return nil }))
			order <- "waits"
		}()
		synctest.Wait()
		require.False(t, slots.take("waits"), "it is being rebuilt")
		require.True(t, slots.take("second"))
		for _, code := range []string{"third", "fourth"} {
			require.False(t, slots.takeOrWait(code, false, func() { defer slots.leave(code); order <- code }))
		}
		close(over)
		synctest.Wait()
		assert.Empty(t, order, "nobody has more places than there are")
		slots.leave("second")
		slots.wait()
		assert.Equal(t, []string{"waits", "third", "fourth"}, []string{<-order, <-order, <-order})
		assert.Zero(t, slots.held)
	})
}

func TestWhoHoldsTooMuchKeepsThePlaceWhileItWaits(t *testing.T) {
	slots := newRebuildSlots(1)
	require.True(t, slots.take("a"))
	require.NoError(t, slots.aside(maxAside+1, func() error {
		assert.False(t, slots.take("b"))
		return nil
	}))
	require.NoError(t, slots.aside(maxAside, func() error {
		require.True(t, slots.take("b"))
		slots.leave("b")
		return nil
	}))
	slots.leave("a")
	slots.wait()
}

// After a total loss of Redis each rebuild waits until every process knows of its epoch.
func TestLostGatesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(codes(maxAside / leastAside)...)
		for _, l := range w.ledger {
			l.Epoch = 1
		}
		w.unsure = true
		running(t, w.retryer(t, Config{}), 500*time.Millisecond+epochSpread+100*time.Millisecond)
		w.see(func() {
			for code, g := range w.gates {
				require.True(t, g.open, code)
			}
		})
	})
}
