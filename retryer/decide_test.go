package retryer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

var testPolicy = policy{maxAttempts: 10, backoffMin: time.Second, backoffMax: 10 * time.Minute}

func TestTheWaitDoublesUpToTheLongestAndIsSpreadOverItsUpperHalf(t *testing.T) {
	for _, test := range []struct {
		failures        int
		least, greatest time.Duration
	}{
		{1, 500 * time.Millisecond, time.Second},
		{2, time.Second, 2 * time.Second},
		{5, 8 * time.Second, 16 * time.Second},
		{10, 256 * time.Second, 512 * time.Second},
		{11, 5 * time.Minute, 10 * time.Minute},
		{1000, 5 * time.Minute, 10 * time.Minute},
		{1 << 40, 5 * time.Minute, 10 * time.Minute},
	} {
		assert.Equal(t, test.least, testPolicy.backoff(test.failures, 0), "%d failures", test.failures)
		assert.InDelta(t, float64(test.greatest), float64(testPolicy.backoff(test.failures, 0.999999)), float64(time.Millisecond))
	}
}

func TestOnlyTheLastCountedFailureIsTheEnd(t *testing.T) {
	why := domain.Failure{Reason: domain.ReasonRowRefused, Slot: 3, Epoch: 2, Message: "no"}
	for attemptsBefore, dead := range map[int]bool{0: false, 8: false, 9: true, 10: true, 500: true} {
		failure := testPolicy.failed(attemptsBefore, why, 0)
		assert.Equal(t, dead, failure.Dead, "after %d attempts", attemptsBefore)
		assert.False(t, failure.Uncounted)
		assert.Equal(t, domain.Slot(3), failure.Slot)
		assert.Positive(t, failure.NextAttemptIn)
	}
}

func TestWaitingForAStoreIsNeverTheEndAndKeepsWhatTheEventHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := domain.FailEvent{
			Winner: domain.Winner{Slot: domain.Slot(rapid.IntRange(0, 9).Draw(t, "slot")), Epoch: 4},
			Reason: domain.ReasonSlotTaken, Attempts: rapid.IntRange(0, 1_000_000).Draw(t, "attempts"),
		}
		failure := testPolicy.waiting(event, errAway, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		require.False(t, failure.Dead)
		require.True(t, failure.Uncounted)
		require.Equal(t, event.Slot, failure.Slot)
		require.Equal(t, event.Epoch, failure.Epoch)
		require.Equal(t, event.Reason, failure.Reason)
		require.GreaterOrEqual(t, failure.NextAttemptIn, time.Second)
		require.LessOrEqual(t, failure.NextAttemptIn, 2*time.Second)
	})
}

func TestEventsThatNobodyCanStoreAreHopeless(t *testing.T) {
	whole := domain.FailEvent{Reason: domain.ReasonRowRefused, Winner: domain.Winner{Campaign: sale, UserID: 1}}
	assert.Empty(t, hopeless(whole))
	for _, spoil := range []func(*domain.FailEvent){
		func(e *domain.FailEvent) { e.Reason = domain.ReasonUnparsable },
		func(e *domain.FailEvent) { e.UserID = 0 },
		func(e *domain.FailEvent) { e.Campaign = "" },
	} {
		event := whole
		spoil(&event)
		assert.NotEmpty(t, hopeless(event))
		assert.True(t, testPolicy.hopelessFailure(event, "x").Dead)
	}
}

func TestErrorTextsAreBoundedAndReadable(t *testing.T) {
	failure := testPolicy.waiting(domain.FailEvent{}, errors.New(strings.Repeat("ä", 5000)), 0)
	assert.LessOrEqual(t, len(failure.Message), domain.MaxErrorMessageBytes)
	assert.Equal(t, strings.ToValidUTF8(failure.Message, ""), failure.Message)
}
