package retryer

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"firstcome/domain"
)

// campaignsAtOnce is how many campaigns a job looks at at the same time, so that one that is slow keeps only one in so many
// places from the others.
const campaignsAtOnce = 8

// eachCampaign runs something for every campaign and returns when that is done. One campaign's failure keeps no other
// from its turn; the error joins them all and names the campaigns.
func eachCampaign(
	ctx context.Context, campaigns []domain.Campaign, run func(context.Context, domain.Campaign) error,
) error {
	var group errgroup.Group
	group.SetLimit(campaignsAtOnce)
	failures := make([]error, len(campaigns))
	for i, campaign := range campaigns {
		group.Go(func() error {
			if err := run(ctx, campaign); err != nil {
				failures[i] = fmt.Errorf("campaign %s: %w", campaign.Code, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the failures are collected by campaign
	return errors.Join(failures...)
}
