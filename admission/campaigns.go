package admission

import (
	"context"
	"slices"
	"strings"

	"firstcome/domain"
)

// Campaign gives a campaign, as it was read within the last second or so. CodeUnknownCampaign. CodeUnavailable: the
// campaigns could not be read, so nobody knows whether there is such a campaign.
func (s *Service) Campaign(ctx context.Context, code string) (domain.Campaign, error) {
	known, err := s.directory.find(ctx, code)
	if err != nil {
		return domain.Campaign{}, err
	}
	return known.Campaign, nil
}

// Campaigns gives all campaigns, in the order of their codes; none when they were never read and can't be read now.
func (s *Service) Campaigns(ctx context.Context) []domain.Campaign {
	if !s.directory.loaded() {
		_ = s.directory.refresh(ctx) // what depends on it says that the ledger is away
	}
	known := s.directory.current.Load()
	if known == nil {
		return nil
	}
	campaigns := make([]domain.Campaign, 0, len(*known))
	for _, campaign := range *known {
		campaigns = append(campaigns, campaign.Campaign)
	}
	slices.SortFunc(campaigns, func(a, b domain.Campaign) int { return strings.Compare(a.Code, b.Code) })
	return campaigns
}

// CampaignsRead says that the campaigns were read at least once: before that nobody can be admitted.
func (s *Service) CampaignsRead() bool { return s.directory.loaded() }

// CampaignChanged brings in what an operator has just changed through this process, before the next reading would.
func (s *Service) CampaignChanged(campaign domain.Campaign) { s.directory.put(campaign) }
