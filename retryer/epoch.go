package retryer

import (
	"context"
	"errors"
	"fmt"

	"firstcome/domain"
)

// maxRaises is how often a rebuild raises the epoch at most: again when it finds that there was such an epoch before.
const maxRaises = 3

// recurringEpoch says that the topic has records of the epoch to which a rebuild has raised the ledger's, or of a newer one.
type recurringEpoch struct{ highest int64 }

// Error implements error.
func (e recurringEpoch) Error() string {
	return fmt.Sprintf("the topic has records of epoch %d, which the ledger and the gate have lost", e.highest)
}

// rebuildAbove is rebuildSteps, under an epoch that comes after all that the topic shows.
func (r *Retryer) rebuildAbove(ctx context.Context, code string) (campaign domain.Campaign, err error) {
	var recurs recurringEpoch
	for range maxRaises {
		campaign, err = r.rebuildSteps(ctx, code, recurs.highest)
		if !errors.As(err, &recurs) {
			return campaign, err
		}
		r.logger.Error("THE DATABASE LOST EPOCHS: the rebuild begins again above the highest that the topic shows",
			"campaign", code, "highest", recurs.highest, "was", campaign.Epoch)
	}
	return campaign, err
}

// floorOf gives the epoch above which a rebuild has to be: the gate's, which is all that is left when the ledger went back,
// what this process has seen, which is left when Redis lost everything as well, and what the topic showed to the rebuild
// before. A gate that is too far ahead of what this process has seen was edited.
func floorOf(report domain.GateReport, shown int64) int64 {
	floor := max(report.SeenEpoch, shown)
	if report.SeenEpoch > 0 && report.Epoch > report.SeenEpoch+domain.MaxEpochLead {
		return floor
	}
	return max(floor, report.Epoch)
}

// requireNew refuses an epoch of which the topic has records: those who still bring such records would be taken for users
// of the new gate. CodeOvertaken: the newer epoch is that of a newer rebuild.
func (r *Retryer) requireNew(ctx context.Context, campaign domain.Campaign, shown int64) error {
	if shown < campaign.Epoch {
		return nil
	}
	now, err := r.ports.Campaigns.Campaign(ctx, campaign.Code)
	if err != nil {
		return err
	}
	if now.Epoch != campaign.Epoch || now.Fencing != campaign.Fencing {
		return domain.Errorf(domain.CodeOvertaken, "campaign %s is at epoch %d by now", campaign.Code, now.Epoch)
	}
	return recurringEpoch{shown}
}
