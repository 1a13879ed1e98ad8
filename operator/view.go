package operator

import (
	"time"

	"firstcome/domain"
)

// CampaignView is a campaign as operators see it, in the admin API and in "campaign list --json".
type CampaignView struct {
	Code        string `json:"code"`
	Name        string `json:"name"`
	Quota       int64  `json:"quota"`
	WantedQuota int64  `json:"wanted_quota,omitempty"`
	// HighestSlot is the highest slot that somebody may hold, where that is above the quota.
	HighestSlot int64                `json:"highest_slot,omitempty"`
	StartsAt    time.Time            `json:"starts_at"`
	EndsAt      time.Time            `json:"ends_at"`
	State       domain.CampaignState `json:"state"`
	Epoch       int64                `json:"epoch"`
	// SettingsVersion is raised by each change.
	SettingsVersion int64     `json:"settings_version"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// ViewCampaign shows a campaign.
func ViewCampaign(c domain.Campaign) CampaignView {
	return CampaignView{
		Code: c.Code, Name: c.Name, Quota: c.Quota, WantedQuota: c.WantedQuota, HighestSlot: c.HighestAboveQuota(),
		SettingsVersion: c.SettingsVersion, StartsAt: c.StartsAt.UTC(), EndsAt: c.EndsAt.UTC(), State: c.State, Epoch: c.Epoch,
		CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
}
