package retryer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func codes(count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("c-%05d", i)
	}
	return all
}

func TestEveryCampaignIsLookedAtInItsTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count, share := rapid.IntRange(1, 40).Draw(t, "campaigns"), rapid.IntRange(1, 12).Draw(t, "share")
		r := newRounds(share)
		var campaigns []domain.Campaign
		for _, code := range codes(count) {
			campaigns = append(campaigns, domain.Campaign{Code: code})
			r.settle(campaigns[len(campaigns)-1])
		}
		busy := rapid.SliceOfDistinct(rapid.IntRange(0, count-1), rapid.ID[int]).Draw(t, "unsettled")
		seen := map[string]bool{}
		for range (count + share - 1) / share {
			for _, i := range busy {
				r.unsettle(campaigns[i].Code)
			}
			now, others := r.begin(campaigns)
			require.Len(t, append(now, others...), count)
			require.LessOrEqual(t, len(now), share+len(busy))
			for _, campaign := range now {
				seen[campaign.Code] = true
			}
			for _, i := range busy {
				require.Contains(t, now, campaigns[i], "there was something to do")
			}
		}
		require.Len(t, seen, count)
	})
}

func TestAChangedCampaignIsLookedAtAtOnce(t *testing.T) {
	r := newRounds(1)
	campaigns := []domain.Campaign{{Code: "a"}, {Code: "b"}, {Code: "c"}}
	for _, campaign := range campaigns {
		r.settle(campaign)
	}
	now, _ := r.begin(campaigns)
	require.Len(t, now, 1)
	campaigns[2].Quota++
	campaigns = append(campaigns, domain.Campaign{Code: "new"})
	now, _ = r.begin(campaigns)
	assert.Subset(t, now, campaigns[2:])
}

// settled is a world whose gates are open and were looked at.
func settled(t *testing.T, count int) (*world, *Retryer) {
	t.Helper()
	w, r := opened(t, codes(count)...)
	require.NoError(t, r.sweepInBackground(t.Context()))
	_, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	w.see(func() { clear(w.calls) })
	return w, r
}

func TestASweepLooksAtAShareOfTheGatesThatWereInLine(t *testing.T) {
	w, r := settled(t, sweepShare+50)
	require.NoError(t, r.sweepInBackground(t.Context()))
	w.see(func() { assert.Equal(t, sweepShare, w.calls["inspect"]) })
}

func TestAGateLostAloneIsRebuiltInItsTurn(t *testing.T) {
	w, r := settled(t, 2*sweepShare)
	last := codes(2 * sweepShare)[2*sweepShare-1]
	w.gates[last].open = false
	for range 2 {
		require.NoError(t, r.sweepInBackground(t.Context()))
		r.slots.wait()
	}
	assert.True(t, w.gates[last].open)
}

func TestASweepThatFindsOneLostGateLooksAtAll(t *testing.T) {
	w, r := settled(t, sweepShare+50)
	for _, g := range w.gates {
		g.open = false
	}
	require.NoError(t, r.sweepInBackground(t.Context()))
	r.slots.wait()
	for code, g := range w.gates {
		require.True(t, g.open, code)
		require.Equal(t, w.ledger[code].Epoch, g.epoch, code)
	}
}

func TestAGateThatWasRebuiltWhileItWaitedIsLeftAlone(t *testing.T) {
	w, r := settled(t, 2)
	w.gates["c-00000"].open, w.gates["c-00001"].open = false, false
	r.slots = newRebuildSlots(1)
	require.True(t, r.slots.take("c-00000"))
	require.NoError(t, r.sweepInBackground(t.Context()), "the other waits for room")
	w.gates["c-00001"].open = true
	epoch := w.ledger["c-00001"].Epoch
	r.slots.leave("c-00000")
	r.slots.wait()
	assert.Equal(t, epoch, w.ledger["c-00001"].Epoch)
	assert.True(t, r.slots.take("c-00000"), "nobody holds a place any more")
	r.slots.leave("c-00000")
}

func TestGatesAtWhichPeopleApplyAreRebuiltBeforeTheOthers(t *testing.T) {
	slots := newRebuildSlots(1)
	require.True(t, slots.take("first"))
	order := []string{}
	for _, code := range []string{"over-1", "running-1", "over-2", "running-2"} {
		later := func() {
			defer slots.leave(code)
			order = append(order, code)
		}
		require.False(t, slots.takeOrWait(code, strings.HasPrefix(code, "running"), later))
		require.False(t, slots.takeOrWait(code, true, later), "it waits once")
	}
	slots.leave("first")
	slots.wait()
	assert.Equal(t, []string{"running-1", "running-2", "over-1", "over-2"}, order)

	now := time.Now()
	running := domain.Campaign{State: domain.CampaignOpen, StartsAt: now, EndsAt: now.Add(1)}
	assert.True(t, isRunning(running, now))
	assert.False(t, isRunning(running, now.Add(1)), "it is over")
	assert.False(t, isRunning(running, now.Add(-1)), "it has not begun")
	running.State = domain.CampaignPaused
	assert.False(t, isRunning(running, now))
}

func TestTheRelayLooksAtAShareOfWhatHasNothingPending(t *testing.T) {
	w, r := settled(t, relayShare+50)
	_, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	w.see(func() { assert.Equal(t, relayShare, w.calls["inspect"]) })
}

func TestWhatAProcessLeftPendingIsSentEverywhereAtOnce(t *testing.T) {
	w, r := settled(t, relayShare+50)
	for _, code := range codes(relayShare + 50) {
		w.await(code, 1, time.Minute)
	}
	sent, err := r.relayOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, relayShare+50, sent)
}
