package operator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// fakeCampaign is one campaign with its history.
type fakeCampaign struct {
	domain.Campaign
	actions []domain.OperatorAction // newest first
	away    error
}

func (f *fakeCampaign) CreateCampaign(_ context.Context, campaign domain.Campaign, _ string) (domain.Campaign, error) {
	f.Campaign = campaign
	return campaign, nil
}

func (f *fakeCampaign) ChangeCampaign(_ context.Context, _ string, change domain.CampaignChange, _ string) (domain.Campaign, error) {
	after, err := f.Apply(change)
	if err == nil {
		f.Campaign = after
	}
	return after, err
}

func (f *fakeCampaign) OperatorActions(context.Context, domain.ActionFilter) ([]domain.OperatorAction, error) {
	return f.actions, f.away
}

func newFakeCampaign() *fakeCampaign {
	return &fakeCampaign{
		Campaign: domain.Campaign{Code: "spring", Quota: 500, EndsAt: domain.NoEnd, State: domain.CampaignPaused, SettingsVersion: 4},
		actions: []domain.OperatorAction{
			{Actor: "bob", Before: `{"quota":500,"state":"open","settings_version":3}`, After: `{"quota":500,"state":"paused","settings_version":4}`},
			{Actor: "ann", Before: `{"quota":100,"state":"open","settings_version":2}`, After: `{"quota":500,"state":"open","settings_version":3}`},
			{Actor: "eve", Before: `{"quota":7,"settings_version":1}`, After: `{"quota":100,"settings_version":2}`},
			{Actor: "old", After: `{"quota":7}`},
		},
	}
}

func TestWhoChangesOldSettingsIsToldWhatOthersChanged(t *testing.T) {
	name := "Spring"
	campaign := newFakeCampaign()
	told := 0
	campaigns := NewCampaigns(campaign, campaign, func(domain.Campaign) { told++ })
	_, err := campaigns.Change(t.Context(), "spring", domain.CampaignChange{Name: &name, IfVersion: 2}, "carl")
	require.True(t, IsLostUpdate(err), "%v", err)
	assert.ErrorContains(t, err, "ann set quota from 100 to 500; bob set state from open to paused")
	assert.NotContains(t, err.Error(), "eve", "that was seen")
	assert.Empty(t, campaign.Name)
	assert.Zero(t, told)

	campaign.away = domain.Errorf(domain.CodeUnavailable, "away")
	_, err = campaigns.Change(t.Context(), "spring", domain.CampaignChange{Name: &name, IfVersion: 2}, "carl")
	assert.True(t, IsLostUpdate(err), "it is refused all the same")

	for _, version := range []int64{4, 0} {
		_, err = campaigns.Change(t.Context(), "spring", domain.CampaignChange{Name: &name, IfVersion: version}, "carl")
		require.NoError(t, err)
		campaign.SettingsVersion = 4
	}
	assert.Equal(t, 2, told)
}
