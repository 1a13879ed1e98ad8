package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func testGateDispute(t *testing.T, s *sale) {
	s.campaign.Epoch = 4
	s.open(t)
	s.waitUntilAdmitted(t, 1)
	winner := s.admit(t, 1).Winner
	for name, change := range map[string]func(*domain.Winner){
		"another slot":   func(w *domain.Winner) { w.Slot++ },
		"another user":   func(w *domain.Winner) { w.UserID++ },
		"an older epoch": func(w *domain.Winner) { w.Epoch-- },
	} {
		harmless := winner
		change(&harmless)
		require.NoError(t, s.Dispute(t.Context(), harmless))
		require.Empty(t, s.report(t).Closed, name)
	}
	require.NoError(t, s.Dispute(t.Context(), winner))
	require.Equal(t, "closed", s.report(t).Closed)
	_, err := domain.Admit(t.Context(), s.newGate(t), s.campaign.Code, 2)
	requireCode(t, domain.CodeGateClosed, err)

	s.open(t, holder(2, 1))
	require.NoError(t, s.Dispute(t.Context(), winner))
	assert.Empty(t, s.report(t).Closed, "the rebuild has put it right")
}

func testGateSettings(t *testing.T, s *sale) {
	s.openWith(t, 2)
	s.admit(t, 1)
	stale := s.campaign
	s.campaign.Quota, s.campaign.State = 4, domain.CampaignPaused
	s.campaign.SettingsVersion++
	s.campaign.StartsAt, s.campaign.EndsAt = time.UnixMilli(1_600_000_000_000).UTC(), time.UnixMilli(4_000_000_000_000).UTC()
	other := s.campaign
	other.Epoch++
	requireCode(t, domain.CodeEpochChanged, s.ApplySettings(t.Context(), other))
	assert.Equal(t, int64(2), s.report(t).Quota)

	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	report := s.report(t)
	assert.Equal(t, int64(4), report.Quota)
	assert.Equal(t, domain.CampaignPaused, report.State)
	assert.Equal(t, s.campaign.StartsAt, report.StartsAt)
	assert.Equal(t, s.campaign.EndsAt, report.EndsAt)

	requireCode(t, domain.CodeOvertaken, s.ApplySettings(t.Context(), stale))
	assert.Equal(t, report.State, s.report(t).State, "refused as a whole")
	assert.Equal(t, int64(4), s.report(t).Quota)

	s.campaign.State = domain.CampaignOpen
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	s.waitUntilAdmitted(t, 2)
	assert.Equal(t, domain.Slot(2), s.admit(t, 2).Slot)
	s.campaign.Quota = 5
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	assert.Equal(t, domain.Slot(3), s.admit(t, 3).Slot, "it was not sold out: nobody waits")
}

func testGateRelease(t *testing.T, s *sale) {
	s.openWith(t, 3)
	s.admit(t, 1)
	s.admit(t, 2)
	for range 2 {
		s.release(t, 1, 1)
		report := s.report(t)
		require.Empty(t, report.Closed)
		assert.Equal(t, int64(1), report.Free, "freed once")
		assert.Equal(t, int64(1), report.Revoked)
		assert.Equal(t, int64(1), report.Winners)
	}
	_, err := s.Admit(t.Context(), s.campaign.Code, 1)
	requireCode(t, domain.CodeRevoked, err)
	assert.Equal(t, domain.Slot(1), s.admit(t, 3).Slot)
	s.release(t, 1, 1)
	assert.Equal(t, domain.Slot(1), s.admit(t, 3).Slot, "the slot is another user's by now")
	assert.Zero(t, s.report(t).Free)

	for _, slot := range []domain.Slot{3, domain.NoSlot} {
		user := 50 + domain.UserID(slot)
		s.release(t, user, slot)
		_, err = s.Admit(t.Context(), s.campaign.Code, user)
		requireCode(t, domain.CodeRevoked, err)
	}
	assert.Equal(t, domain.Slot(3), s.admit(t, 4).Slot, "revoking an unknown user frees nothing")
	assert.Empty(t, s.report(t).Closed)
}

func testGateReleaseContradiction(t *testing.T, s *sale) {
	s.open(t)
	s.admit(t, 1)
	_, err := s.Release(t.Context(), s.campaign.Code, 1, 2)
	requireCode(t, domain.CodeGateClosed, err)
	require.NotEmpty(t, s.report(t).Closed)
	_, err = s.Admit(t.Context(), s.campaign.Code, 2)
	requireCode(t, domain.CodeGateClosed, err)
}
