package storetest

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerFailEventTests = map[string]func(*testing.T, Ledger){
	"AFailEventSurvivesAsItWasRecorded":           testEventRoundTrip,
	"ARecordIsOneEvent":                           testEventTwice,
	"AnotherRecordAtTheSamePositionIsKept":        testEventAtTheSamePosition,
	"AnEventWithASlotIsOfItsEpoch":                testEventEpoch,
	"AnEventOfRubbishIsKept":                      testEventRubbish,
	"AMessageOfAnyBytesIsKeptWithinItsLimit":      testEventMessages,
	"AnEventWithoutAUserIsNobodysUnresolvedEvent": testEventWithoutUser,
}

func testEventRoundTrip(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	given := failEvent(winner(campaign, largestUser, 7), 1<<62)
	given.NextAttemptAt = moment.Add(time.Hour)
	given.Raw = []byte{0, 0xff, '\'', '\\', '"', 0x1a}
	stored := record(t, ledger, given)
	assertRecent(t, stored.CreatedAt)
	want := given
	want.ID, want.CreatedAt, want.UpdatedAt = stored.ID, stored.CreatedAt, stored.UpdatedAt
	assert.Equal(t, want, stored)
	read, attempts := current(t, ledger, stored.ID)
	assert.Equal(t, want, read)
	assert.Empty(t, attempts)
	_, _, err := ledger.FailEvent(t.Context(), stored.ID+1)
	requireCode(t, domain.CodeNotFound, err)
	unresolved, err := ledger.HasUnresolvedFailEvent(t.Context(), "spring", largestUser)
	require.NoError(t, err)
	assert.True(t, unresolved)
	for campaign, user := range map[string]domain.UserID{"spring": 1, "autumn": largestUser} {
		unresolved, err = ledger.HasUnresolvedFailEvent(t.Context(), campaign, user)
		require.NoError(t, err)
		assert.False(t, unresolved)
	}
}

func testEventTwice(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	given := failEvent(winner(campaign, 11, 1), 5)
	first := record(t, ledger, given)
	given.Slot, given.Reason, given.ErrorMessage = domain.NoSlot, domain.ReasonNoSlotLeft, "the second time"
	assert.Equal(t, first, record(t, ledger, given), "a redelivery is one event, and the first one stays")
	given.Position.Partition++
	assert.NotEqual(t, first.ID, record(t, ledger, given).ID)
}

// testEventAtTheSamePosition is what comes after a topic was made anew, or lost the end of its log.
func testEventAtTheSamePosition(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 10)
	waits := func(user domain.UserID) bool {
		unresolved, err := ledger.HasUnresolvedFailEvent(t.Context(), "spring", user)
		require.NoError(t, err)
		return unresolved
	}
	for user := range domain.UserID(3) {
		event := failEvent(winner(campaign, user+1, domain.NoSlot), 5)
		event.Raw = []byte("the same value")
		require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
		assert.True(t, waits(user+1), "another user's record stood there before, and this one is swallowed")
	}
	unreadable := failEvent(domain.Winner{}, 6)
	for n := range byte(2) {
		unreadable.Digest[0] = n
		require.NoError(t, ledger.RecordFailEvent(t.Context(), unreadable))
		require.NoError(t, ledger.RecordFailEvent(t.Context(), unreadable))
	}
	events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: domain.MaxPage})
	require.NoError(t, err)
	assert.Len(t, events, 5, "each record is one event, those that nobody can read too")
}

func testEventEpoch(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 10)
	rebuild(t, ledger, "spring")
	stale := failEvent(winner(before, 11, 1), 1)
	requireCode(t, domain.CodeEpochChanged, ledger.RecordFailEvent(t.Context(), stale))
	ghost := failEvent(winner(domain.Campaign{Code: "ghost", Epoch: 1}, 11, 1), 2)
	requireCode(t, domain.CodeEpochChanged, ledger.RecordFailEvent(t.Context(), ghost))
	events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, events)
	stale.Slot = domain.NoSlot
	require.NoError(t, ledger.RecordFailEvent(t.Context(), stale), "an event without a slot takes nobody's")
	ghost.Slot = domain.SlotOwed
	stored := record(t, ledger, ghost)
	assert.Equal(t, "ghost", stored.Campaign, "the operator sees which campaign the record named")
	assert.Equal(t, domain.NoSlot, stored.Slot)
}

func testEventRubbish(t *testing.T, ledger Ledger) {
	rubbish := domain.FailEvent{
		Winner: domain.Winner{Campaign: strings.Repeat("\xff☃\x00", 1000), Epoch: -1, AdmittedAt: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)},
		Reason: domain.ReasonUnparsable, Raw: []byte(strings.Repeat("x", domain.MaxRawBytes+1)), Position: position(1),
	}
	stored := record(t, ledger, rubbish)
	assert.Len(t, stored.Raw, domain.MaxRawBytes)
	assert.Equal(t, domain.FailStatusFail, stored.Status)
	assert.True(t, utf8.ValidString(stored.Campaign))
	assert.True(t, stored.AdmittedAt.IsZero())
	assertRecent(t, stored.NextAttemptAt)
	empty := record(t, ledger, domain.FailEvent{Reason: domain.ReasonUnparsable, Position: position(2)})
	assert.Empty(t, empty.Raw)
}

func testEventMessages(t *testing.T, ledger Ledger) {
	for i, message := range []string{
		strings.Repeat("ü", domain.MaxErrorMessageBytes), "\xff\xfe" + strings.Repeat("🎟", domain.MaxErrorMessageBytes),
		"a\x00b", "", "quoted ' \" \\ `",
	} {
		event := failEvent(domain.Winner{}, int64(i))
		event.ErrorMessage = message
		stored := record(t, ledger, event).ErrorMessage
		assert.True(t, utf8.ValidString(stored))
		assert.LessOrEqual(t, len(stored), domain.MaxErrorMessageBytes)
		if len(message) > domain.MaxErrorMessageBytes {
			assert.Greater(t, len(stored), domain.MaxErrorMessageBytes-utf8.UTFMax, "no more is cut than needed")
		} else if !strings.ContainsRune(message, 0) {
			assert.Equal(t, message, stored)
		}
	}
}

func testEventWithoutUser(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 10)
	event := failEvent(domain.Winner{Campaign: "spring"}, 1)
	event.Reason = domain.ReasonUnparsable
	record(t, ledger, event)
	assert.Empty(t, holders(t, ledger, "spring"))
	counts, err := ledger.Count(t.Context(), "spring")
	require.NoError(t, err)
	assert.Zero(t, counts)
}
