package retryer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// slowFor makes every call of one name for one campaign take so long.
func (w *world) slowFor(slow, code string, takes time.Duration) {
	w.before = func(call, campaign string) error {
		if call == slow && campaign == code {
			time.Sleep(takes)
		}
		return nil
	}
}

func TestACampaignWhoseGateAnswersSlowlyKeepsNoOtherGateClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b", "c")
		w.slowFor("inspect", "a", time.Minute)
		r := w.retryer(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(2 * time.Second)
		w.see(func() {
			assert.True(t, w.gates["b"].open)
			assert.True(t, w.gates["c"].open)
		})
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestAHugeBacklogOfOneCampaignKeepsNoOtherFromTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, "a", "b")
		for range maxRelayPages * relayPage {
			w.await("a", 1, time.Minute)
		}
		w.await("b", 1, time.Minute)
		w.slowFor("publish", "a", 100*time.Millisecond) // for each winner: 2 s for a page
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			w.see(func() { assert.Empty(t, w.gates["b"].pending) })
		}()
		sent, err := r.relayOnce(t.Context())
		require.NoError(t, err)
		assert.Less(t, time.Since(began), relayTurn+3*time.Second, "the run ends, and the next one looks at all campaigns again")
		assert.Equal(t, 3*relayPage+1, sent, "each run gets on")
	})
}

func TestManyRevocationsOfOneCampaignKeepNoOtherWaiting(t *testing.T) {
	w, r := opened(t, "a", "b")
	for user := domain.UserID(1); user <= 3*releasePage; user++ {
		w.revoke("a", user, domain.Slot(user))
	}
	w.revoke("b", 1, 1)
	require.NoError(t, r.releaseRevoked(t.Context(), fairTurn))
	assert.Len(t, w.ledger["a"].released, releasePage, "a's turn is over")
	assert.Len(t, w.ledger["b"].released, 1)
	require.NoError(t, r.releaseRevoked(t.Context(), wholeTurn))
	assert.Len(t, w.ledger["a"].released, 3*releasePage)
}

func TestASlowReleaseKeepsNoGateClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "b")
		w.slowFor("release", "a", 5*time.Minute)
		r := w.retryer(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(2 * time.Second)
		w.see(func() { w.revoke("a", 1, 1) })
		time.Sleep(2 * time.Second)
		w.see(func() { w.gates["b"].open = false })
		time.Sleep(2 * time.Second)
		w.see(func() { assert.True(t, w.gates["b"].open) })
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestALockedCampaignKeepsNoOtherEventWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, "a", "b")
		for user := domain.UserID(1); user <= 50; user++ {
			w.failEventOf("a", user)
		}
		w.failEventOf("b", 1)
		w.before = func(call, campaign string) error {
			if call == "store" && campaign == "a" {
				time.Sleep(5 * time.Second)
				return errAway
			}
			return nil
		}
		began := time.Now()
		count, err := r.retryOnce(t.Context())
		require.NoError(t, err, fmt.Sprint(count))
		assert.Equal(t, 1, count[endStored])
		assert.Equal(t, 50, count[endWaiting], "and no attempt of theirs is used up")
		assert.Less(t, time.Since(began), 10*time.Second)
	})
}

// failEventOf is a due event that keeps its user's slot.
func (w *world) failEventOf(code string, user domain.UserID) {
	won := promise(user, domain.Slot(user), 1, start)
	won.Campaign = code
	w.fail(domain.FailEvent{Winner: won, Status: domain.FailStatusFail, Reason: domain.ReasonRowRefused})
}
