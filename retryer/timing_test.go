package retryer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// runFor runs all jobs for a while, as a process does, and gives the moments of each call since the beginning.
func runFor(t *testing.T, w *world, cfg Config, d time.Duration) map[string][]time.Duration {
	t.Helper()
	r := w.retryer(t, cfg)
	began := time.Now()
	moments := map[string][]time.Duration{}
	before := w.before
	w.before = func(call, campaign string) error {
		w.see(func() { moments[call] = append(moments[call], time.Since(began)) })
		if before != nil {
			return before(call, campaign)
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	time.Sleep(d)
	cancel()
	require.NoError(t, <-ended)
	w.before = before
	return moments
}

func TestEachJobRunsAtItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		// Something is always due to be sent: the relay looks at it each time.
		w.before = func(call, _ string) error {
			if call == "publish" {
				return errAway
			}
			return nil
		}
		w.await(sale, 1, time.Hour)
		cfg := Config{
			RetryEvery: 700 * time.Millisecond, RescueEvery: 5 * time.Second, PurgeEvery: 20 * time.Second,
			RelayEvery: 1300 * time.Millisecond, SweepEvery: 400 * time.Millisecond,
		}
		moments := runFor(t, w, cfg, 59*time.Second)
		for call, every := range map[string]time.Duration{
			"claim": cfg.RetryEvery, "rescue": cfg.RescueEvery, "pending": cfg.RelayEvery, "unreleased": cfg.SweepEvery,
		} {
			assert.Len(t, moments[call], int(59*time.Second/every), call)
			for i, moment := range moments[call] {
				require.Equal(t, time.Duration(i+1)*every, moment, "%s number %d", call, i+1)
			}
		}
		assert.Equal(t, cfg.PurgeEvery, moments["purge"][0])
		assert.Equal(t, 2*cfg.PurgeEvery, moments["purge"][len(moments["purge"])-1])
	})
}

func TestAFailedEventIsTriedAgainAfterItsBackoffAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		w.refused[7] = true
		w.hold(7, 3)
		w.fail(refusedEvent(7, 3, 1))
		cfg := Config{RetryEvery: 100 * time.Millisecond, BackoffMin: time.Second, BackoffMax: 20 * time.Second, MaxAttempts: 9}
		attempts := runFor(t, w, cfg, 10*time.Minute)["store"]
		longest := []int{1, 2, 4, 8, 16, 20, 20, 20}
		require.Len(t, attempts, 1+len(longest), "after the last one the event is dead")
		for i, seconds := range longest {
			waited, longest := attempts[i+1]-attempts[i], time.Duration(seconds)*time.Second
			assert.GreaterOrEqual(t, waited, longest/2, "after failure %d", i+1)
			assert.LessOrEqual(t, waited, longest+cfg.RetryEvery, "after failure %d: the next run comes upon it", i+1)
		}
	})
}

func TestWhatFailedTogetherIsNotDueTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		const events = 60
		for user := domain.UserID(1); user <= events; user++ {
			w.refused[user] = true
			w.hold(user, domain.Slot(user))
			w.fail(refusedEvent(user, domain.Slot(user), 1))
		}
		count, err := r.retryOnce(t.Context())
		require.NoError(t, err)
		require.Equal(t, retryCount{endFailed: events}, count)
		var early int
		moments := map[time.Duration]bool{}
		for _, event := range w.events {
			wait := time.Until(event.NextAttemptAt)
			require.GreaterOrEqual(t, wait, r.cfg.BackoffMin/2)
			require.LessOrEqual(t, wait, r.cfg.BackoffMin)
			moments[wait] = true
			if wait < r.cfg.BackoffMin*3/4 {
				early++
			}
		}
		assert.Greater(t, len(moments), events/2, "they are spread")
		assert.Greater(t, early, events/10, "over all of the span")
		assert.Less(t, early, events*9/10)
	})
}

func TestAnEventThatAStoreKeptWaitingIsDueTwoSecondsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		w.before = func(call, _ string) error {
			if call == "store" {
				return errAway
			}
			return nil
		}
		w.hold(7, 3)
		id := w.fail(refusedEvent(7, 3, 1))
		const every = 100 * time.Millisecond
		attempts := runFor(t, w, Config{RetryEvery: every}, time.Minute)["store"]
		require.Greater(t, len(attempts), 28, "it does not wait longer each time")
		for i := range attempts[1:] {
			waited := attempts[i+1] - attempts[i]
			assert.GreaterOrEqual(t, waited, giveBackAfter/2)
			assert.LessOrEqual(t, waited, giveBackAfter+every)
		}
		assert.Zero(t, w.events[id].Attempts)
	})
}

// TestALeaseEndsWhenItSays: nobody touches a dead retryer's event before its lease is over, and the first rescue after
// that makes it due at once.
func TestALeaseEndsWhenItSays(t *testing.T) {
	for _, lease := range []time.Duration{7 * time.Second, 30 * time.Second} {
		t.Run(lease.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := opened(t, sale)
				w.hold(7, 3)
				id := w.fail(refusedEvent(7, 3, 1))
				_, err := w.ClaimFailEvents(t.Context(), 1, lease, time.Hour)
				require.NoError(t, err)
				const rescueEvery = 5 * time.Second
				stored := runFor(t, w, Config{RescueEvery: rescueEvery}, time.Minute)["store"]
				require.Len(t, stored, 1)
				rescue := lease.Truncate(rescueEvery) + rescueEvery
				assert.GreaterOrEqual(t, stored[0], rescue)
				assert.LessOrEqual(t, stored[0], rescue+time.Second, "by the next run of the retries")
				assert.Equal(t, domain.FailStatusSuccess, w.events[id].Status)
			})
		})
	}
}
