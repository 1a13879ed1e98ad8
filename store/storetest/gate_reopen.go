package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// reopenPatience is far more than the lease of two seconds.
const reopenPatience = 15 * time.Second

func testGateReopen(t *testing.T, s *sale) {
	s.openWith(t, 1)
	s.admit(t, 1)
	s.campaign.Quota = 2
	raised := time.Now()
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	assert.Equal(t, int64(1), s.report(t).Remaining())
	_, err := s.Admit(t.Context(), s.campaign.Code, 2)
	requireCode(t, domain.CodeSoldOut, err)
	assert.False(t, s.admit(t, 1).New, "a known winner does not wait")

	s.waitUntilAdmitted(t, 2)
	assert.GreaterOrEqual(t, time.Since(raised), time.Second, "longer than a sold-out flag lives")

	freed := time.Now()
	s.release(t, 2, 2)
	_, err = s.Admit(t.Context(), s.campaign.Code, 3)
	requireCode(t, domain.CodeSoldOut, err)
	s.open(t, holder(1, 1), holder(2, domain.NoSlot))
	_, err = s.Admit(t.Context(), s.campaign.Code, 3)
	requireCode(t, domain.CodeSoldOut, err)
	s.waitUntilAdmitted(t, 3)
	assert.GreaterOrEqual(t, time.Since(freed), time.Second)
}

func (s *sale) waitUntilAdmitted(t *testing.T, user domain.UserID) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := s.Admit(t.Context(), s.campaign.Code, user)
		return err == nil
	}, reopenPatience, 20*time.Millisecond)
}

// requireReopening requires that users who are new to the gate hear the code until the lease is over, counted from since,
// while the winner 1 and anybody who is honoured get their slots; and that then they are admitted.
func (s *sale) requireReopening(t *testing.T, code domain.Code, since time.Time) {
	t.Helper()
	for _, decision := range s.admitAll(t, 301, 302) {
		requireCode(t, code, decision.Err)
	}
	assert.False(t, s.admit(t, 1).New, "a known winner does not wait")
	honoured, err := s.Honour(t.Context(), s.campaign.Code, 400)
	require.NoError(t, err, "a promise does not wait")
	assert.True(t, honoured.New)
	s.waitUntilAdmitted(t, 301)
	assert.GreaterOrEqual(t, time.Since(since), time.Second, "longer than a refusal from memory lives")
}

func testGateLetGoOn(t *testing.T, s *sale) {
	running := s.campaign
	for name, c := range map[string]struct {
		stop func(*domain.Campaign)
		code domain.Code
	}{
		"paused":      {func(c *domain.Campaign) { c.State = domain.CampaignPaused }, domain.CodePaused},
		"not started": {func(c *domain.Campaign) { c.StartsAt = time.Now().Add(time.Hour) }, domain.CodeNotStarted},
		"over":        {func(c *domain.Campaign) { c.EndsAt = time.Now().Add(-time.Minute) }, domain.CodeEnded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSale(t, s.newGate)
			s.campaign.StartsAt, s.campaign.EndsAt = running.StartsAt, running.EndsAt
			c.stop(&s.campaign)
			s.open(t, holder(1, 1))
			_, err := s.Admit(t.Context(), s.campaign.Code, 301)
			requireCode(t, c.code, err)

			s.campaign.State, s.campaign.StartsAt, s.campaign.EndsAt = running.State, running.StartsAt, running.EndsAt
			letGoOn := time.Now()
			require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
			require.NoError(t, s.ApplySettings(t.Context(), s.campaign)) // again: nothing is forgotten
			if c.code == domain.CodeNotStarted {
				_, err := s.Admit(t.Context(), s.campaign.Code, 301)
				var refusal *domain.Error
				require.ErrorAs(t, err, &refusal)
				assert.LessOrEqual(t, refusal.RetryAfter, 2*time.Second, "until the lease is over")
			}
			s.requireReopening(t, c.code, letGoOn)
		})
	}
}

func testGatePlannedStart(t *testing.T, s *sale) {
	s.campaign.StartsAt = s.report(t).ServerTime.Add(500 * time.Millisecond)
	s.openWith(t, 5, holder(1, 1))
	s.campaign.Quota = 6
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign), "whatever else is changed before")
	s.campaign.EndsAt = s.campaign.StartsAt.Add(time.Hour)
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	require.Eventually(t, func() bool {
		return !s.report(t).ServerTime.Before(s.campaign.StartsAt)
	}, reopenPatience, 5*time.Millisecond)
	assert.True(t, s.admit(t, 2).New)

	// A start that comes a little sooner than planned comes no later than it was planned.
	s.campaign.StartsAt = s.report(t).ServerTime.Add(800 * time.Millisecond)
	planned := s.campaign.StartsAt
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	s.campaign.StartsAt = planned.Add(-700 * time.Millisecond)
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	require.Eventually(t, func() bool { return !s.report(t).ServerTime.Before(planned) }, reopenPatience, 5*time.Millisecond)
	assert.True(t, s.admit(t, 3).New)
}

func testGateRebuildReopens(t *testing.T, s *sale) {
	s.campaign.State = domain.CampaignPaused
	s.open(t, holder(1, 1))
	s.campaign.State = domain.CampaignOpen
	rebuilt := time.Now()
	s.open(t, holder(1, 1))
	s.requireReopening(t, domain.CodePaused, rebuilt)

	s.campaign.Quota++ // of a gate that was open and whole nobody was refused
	s.open(t, holder(1, 1))
	assert.True(t, s.admit(t, 500).New)
}

// testGateRebuildUnsure rebuilds a gate that was closed, so that nobody knows what it last said to anybody.
func testGateRebuildUnsure(t *testing.T, s *sale) {
	s.openWith(t, 5)
	winner := s.admit(t, 1)
	require.NoError(t, s.Dispute(t.Context(), winner.Winner))
	rebuilt := time.Now()
	s.open(t, holder(1, 1))
	assert.Empty(t, s.report(t).Closed)
	s.requireReopening(t, domain.CodeGateClosed, rebuilt)

	closed := s.admit(t, 1)
	require.NoError(t, s.Dispute(t.Context(), closed.Winner))
	s.openWith(t, 1, holder(1, 1))
	_, err := s.Admit(t.Context(), s.campaign.Code, 600)
	requireCode(t, domain.CodeSoldOut, err)
}
