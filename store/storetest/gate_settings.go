package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// testGateSettingsVersion has a second retryer bring settings that it read before they were changed.
func testGateSettingsVersion(t *testing.T, s *sale) {
	s.campaign.SettingsVersion = 1
	s.openWith(t, 10, holder(1, 1))
	slow := s.newGate(t)
	for name, change := range map[string]func(*domain.Campaign){
		"a pause":        func(c *domain.Campaign) { c.State = domain.CampaignPaused },
		"a later end":    func(c *domain.Campaign) { c.EndsAt = time.Now().Add(time.Hour) },
		"a lower quota":  func(c *domain.Campaign) { c.WantedQuota = 3 },
		"a higher quota": func(c *domain.Campaign) { c.Quota = 20 },
		"the end":        func(c *domain.Campaign) { c.State = domain.CampaignEnded },
		"nothing":        func(*domain.Campaign) {},
	} {
		older := s.campaign
		change(&s.campaign)
		s.campaign.SettingsVersion++
		require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
		applied := s.report(t)
		assert.Equal(t, s.campaign.SettingsVersion, applied.SettingsVersion)
		requireCode(t, domain.CodeOvertaken, slow.ApplySettings(t.Context(), older))
		after := s.report(t)
		applied.ServerTime = after.ServerTime
		assert.Equal(t, applied, after, name)
		require.NoError(t, slow.ApplySettings(t.Context(), s.campaign), "the same once more")
	}
	s.open(t, holder(1, 1))
	assert.Equal(t, s.campaign.SettingsVersion, s.report(t).SettingsVersion, "a rebuild keeps the version")
}

// testGateLowered lowers the quota below the number of holders, whatever the numbers of their slots.
func testGateLowered(t *testing.T, s *sale) {
	var holders []domain.GateWinner
	for user := domain.UserID(1); user <= 5; user++ {
		holders = append(holders, holder(user, domain.Slot(user)))
	}
	s.openWith(t, 5, holders...)
	s.campaign.WantedQuota, s.campaign.SettingsVersion = 3, 1
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	assert.Equal(t, int64(5), s.report(t).Holders(), "nobody loses a slot")
	assert.Equal(t, int64(3), s.report(t).Quota)

	for _, user := range []domain.UserID{2, 3} {
		s.release(t, user, domain.Slot(user))
	}
	_, err := s.Honour(t.Context(), s.campaign.Code, 50)
	requireCode(t, domain.CodeSoldOut, err)
	assert.Equal(t, int64(1), s.report(t).WithoutSlot(), "not even a promise is served")
	s.waitOutALease(t)
	s.requireSoldOut(t, 101, "the holders of slots 1, 4 and 5 are as many as are wished")
	s.open(t, holders[0], holders[3], holders[4], holder(50, domain.SlotOwed))
	s.waitOutALease(t)
	s.requireSoldOut(t, 102, "after a rebuild too")

	s.release(t, 5, 5)
	honoured, err := s.Honour(t.Context(), s.campaign.Code, 50)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(2), honoured.Slot, "the lowest free slot, which is within the wish")
	s.campaign.WantedQuota, s.campaign.SettingsVersion = 0, 2
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	s.waitUntilAdmitted(t, 103)
	s.waitUntilAdmitted(t, 104)
	s.requireSoldOut(t, 105, "the wish was taken back")
	assert.Equal(t, int64(5), s.report(t).Count)
}
