package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func testWake(t *testing.T, ledger Ledger) {
	spring, autumn := openCampaign(t, ledger, "spring", 10), openCampaign(t, ledger, "autumn", 10)
	later := time.Now().Add(time.Hour)
	waiting := func(campaign domain.Campaign, user domain.UserID, change func(*domain.FailEvent)) {
		event := failEvent(winner(campaign, user, domain.NoSlot), int64(user))
		event.Reason, event.NextAttemptAt = domain.ReasonNoSlotLeft, later
		event.AdmittedAt = spring.StartsAt.Add(-time.Duration(user) * time.Minute) // the higher the user, the earlier
		change(&event)
		record(t, ledger, event)
	}
	same := func(*domain.FailEvent) {}
	for _, user := range []domain.UserID{11, 13, 12, 14} {
		waiting(spring, user, same)
	}
	waiting(spring, 15, func(e *domain.FailEvent) { e.Reason = domain.ReasonRowRefused })
	waiting(spring, 16, func(e *domain.FailEvent) { e.Status = domain.FailStatusDead })
	waiting(autumn, 17, same)
	waiting(spring, 18, func(e *domain.FailEvent) { e.NextAttemptAt = time.Now().Add(-time.Hour) })

	woken, err := ledger.WakeFailEvents(t.Context(), "spring", 2)
	require.NoError(t, err)
	assert.Equal(t, 2, woken)
	var due []domain.UserID
	claimed, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	for _, event := range claimed {
		due = append(due, event.UserID)
	}
	assert.Equal(t, []domain.UserID{18, 14, 13}, due, "what was due stays first; then those who were admitted first")

	woken, err = ledger.WakeFailEvents(t.Context(), "spring", 10)
	require.NoError(t, err)
	assert.Equal(t, 2, woken, "what is being processed is left alone")
	woken, err = ledger.WakeFailEvents(t.Context(), "spring", 10)
	require.NoError(t, err)
	assert.Zero(t, woken, "it is due already")
	woken, err = ledger.WakeFailEvents(t.Context(), "nowhere", 10)
	require.NoError(t, err)
	assert.Zero(t, woken)
	for _, limit := range []int{0, domain.MaxPage + 1} {
		_, err = ledger.WakeFailEvents(t.Context(), "spring", limit)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
}
