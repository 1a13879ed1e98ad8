package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// A process refuses from memory for up to a second: so long nobody may tell a user who has become known meanwhile.
const memoryLease = time.Second

func testGateToldLater(t *testing.T, s *sale) {
	s.openWith(t, 1, holder(1, 1))
	assert.Zero(t, s.admit(t, 1).TellIn, "nobody was refused before the first epoch")
	first := s.honourToldIn(t, 2)
	assert.Greater(t, first, memoryLease, "another process may say that it is sold out")
	for name, tellIn := range map[string]time.Duration{
		"asked again": s.admit(t, 2).TellIn, "another one": s.admit(t, 1).TellIn, "honoured again": s.honourToldIn(t, 2),
		"looked up": s.lookUpToldIn(t, 2),
	} {
		assert.Positive(t, tellIn, name)
		assert.LessOrEqual(t, tellIn, first, name)
	}
	s.waitUntilTold(t, 2)
	assert.Zero(t, s.honourToldIn(t, 2), "who is known is known in every memory since")

	// A rebuild may make users known that the gate before it refused.
	s.openWith(t, 9, holder(1, 1), holder(3, 3))
	assert.Positive(t, s.admit(t, 3).TellIn)
	s.waitUntilTold(t, 3)
	s.waitUntilAdmitted(t, 4)
	assert.Zero(t, s.honourToldIn(t, 5), "nobody is refused from memory while the gate admits")
	paused := s.campaign
	paused.State = domain.CampaignPaused
	require.NoError(t, s.ApplySettings(t.Context(), paused))
	assert.Greater(t, s.honourToldIn(t, 6), memoryLease, "another process may say that it is paused")
}

// testGateAnswersNameTheEpoch has each answer of an open gate say of which epoch it is.
func testGateAnswersNameTheEpoch(t *testing.T, s *sale) {
	s.open(t)
	s.openWith(t, 1, holder(1, 1), holder(2, domain.NoSlot))
	decisions := make([]domain.Decision, 3)
	require.NoError(t, s.AdmitAll(t.Context(), s.campaign.Code, []domain.UserID{1, 2, 3}, decisions))
	for i, decision := range decisions {
		assert.Equal(t, s.campaign.Epoch, decision.Epoch, "user %d", i+1)
	}
	for user := domain.UserID(1); user <= 3; user++ {
		found, err := s.Lookup(t.Context(), s.campaign.Code, user)
		assert.Equal(t, user == 3, domain.CodeOf(err) == domain.CodeNotFound)
		assert.Equal(t, s.campaign.Epoch, found.Epoch, "user %d", user)
	}
}

func (s *sale) honourToldIn(t *testing.T, user domain.UserID) time.Duration {
	t.Helper()
	decisions := make([]domain.Decision, 1)
	require.NoError(t, s.HonourAll(t.Context(), s.campaign.Code, []domain.UserID{user}, decisions))
	return decisions[0].TellIn
}

func (s *sale) lookUpToldIn(t *testing.T, user domain.UserID) time.Duration {
	t.Helper()
	found, err := s.Lookup(t.Context(), s.campaign.Code, user)
	require.NoError(t, err)
	return found.TellIn
}

func (s *sale) waitUntilTold(t *testing.T, user domain.UserID) {
	t.Helper()
	require.Eventually(t, func() bool { return s.admit(t, user).TellIn == 0 }, 10*time.Second, 10*time.Millisecond)
}
