package domain

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestALowerQuotaIsGrantedByTheNumberOfHolders(t *testing.T) {
	wished := Campaign{Quota: 5, WantedQuota: 4, SettingsVersion: 7}
	assert.Equal(t, wished, wished.Lowered(SlotUse{Holders: 5, Highest: 5}))
	for name, c := range map[string]struct {
		from  Campaign
		use   SlotUse
		limit int64
	}{
		"no slot above it is held":               {wished, SlotUse{4, 4}, 0},
		"who holds slot 5 keeps it":              {wished, SlotUse{4, 5}, 5},
		"nobody holds any":                       {wished, SlotUse{0, 0}, 0},
		"a slot that never could be is no limit": {wished, SlotUse{4, 500}, 5},
		"the second time":                        {Campaign{Quota: 5, WantedQuota: 4, SlotLimit: 9, SettingsVersion: 7}, SlotUse{4, 8}, 8},
	} {
		want := c.from
		want.Quota, want.WantedQuota, want.SlotLimit, want.SettingsVersion = 4, 0, c.limit, 8
		assert.Equal(t, want, c.from.Lowered(c.use), name)
	}
}

// Whatever operators and the sweep do, a lower quota is never lost and no holder's slot gets out of bounds.
func TestAWishIsGrantedOrTakenBackAndNeverLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		campaign := Campaign{Code: "spring", Quota: 10, StartsAt: NoEnd.AddDate(-5000, 0, 0), EndsAt: NoEnd, State: CampaignOpen}
		use, asked := SlotUse{}, int64(10)
		for range 30 {
			before := campaign
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				asked = rapid.Int64Range(1, 20).Draw(t, "quota")
				changed, err := campaign.Apply(CampaignChange{Quota: &asked})
				require.NoError(t, err)
				campaign = changed
			case 1:
				campaign = campaign.Lowered(use)
			case 2:
				if use.Holders < campaign.EffectiveQuota() {
					use.Holders++
					use.Highest = max(use.Highest, rapid.Int64Range(use.Holders, campaign.EffectiveQuota()).Draw(t, "slot"))
				}
			case 3:
				use.Holders = max(use.Holders-1, 0)
			}
			require.Equal(t, asked, campaign.EffectiveQuota(), "what the operator asked for last")
			require.GreaterOrEqual(t, campaign.HighestSlot(), use.Highest)
			require.LessOrEqual(t, use.Holders, campaign.Quota)
			require.Equal(t, before != campaign, campaign.SettingsVersion > before.SettingsVersion)
		}
	})
}
