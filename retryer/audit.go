package retryer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"firstcome/domain"
)

// auditOutcome is a result before its differences are cut to what is listed.
type auditOutcome struct {
	result      domain.AuditResult
	differences []domain.AuditDifference
}

// Audit compares, for the campaigns named or for all, what the gate, the pending entries, the topic, the fail events
// and the coupons hold, and with repair mends what can be mended without breaking a promise. It may run during a sale.
// A campaign that can't be audited has a result that says why; the results are kept for LastAudits.
// CodeUnknownCampaign. CodeConflict: somebody else has asked this process for the same one, or for maxAsked others, and
// that is under way. CodeUnavailable: the ledger is away.
func (r *Retryer) Audit(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	if !r.ports.Audit.complete() {
		return nil, domain.Errorf(domain.CodeNotFound, "this process can't audit")
	}
	asked := strings.Join(campaigns, " ")
	if !r.audits.ask(asked) {
		return nil, domain.Errorf(domain.CodeConflict, "an audit is under way in this process; its result comes soon")
	}
	defer r.audits.answered(asked)
	return r.auditThese(ctx, campaigns, repair)
}

// auditThese audits a few campaigns side by side, each with a time of its own: one that hangs delays no other, as long as
// fewer hang than have a place (auditPlaces).
func (r *Retryer) auditThese(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	audited, err := r.auditedCampaigns(ctx, campaigns)
	if err != nil {
		return nil, err
	}
	results := make([]domain.AuditResult, len(audited))
	places := map[string]int{}
	for i, campaign := range audited {
		places[campaign.Code] = i
	}
	_ = eachCampaign(ctx, audited, func(ctx context.Context, campaign domain.Campaign) error {
		result := r.auditCampaign(ctx, campaign, repair)
		results[places[campaign.Code]] = result
		ctx, cancel := context.WithTimeout(ctx, saveTimeout)
		defer cancel()
		if err := r.ports.Audit.Store.SaveAudit(ctx, result); err != nil {
			r.logger.Warn("the result of an audit could not be kept", "campaign", campaign.Code, "error", err)
		}
		return nil
	})
	return results, nil
}

// LastAudits gives the last result of every campaign that was audited by any process, or of one. CodeUnavailable.
func (r *Retryer) LastAudits(ctx context.Context, campaign string) ([]domain.AuditResult, error) {
	if !r.ports.Audit.complete() {
		return nil, domain.Errorf(domain.CodeNotFound, "this process can't audit")
	}
	return r.ports.Audit.Store.LastAudits(ctx, campaign)
}

// auditedCampaigns gives the campaigns named, each once, or all.
func (r *Retryer) auditedCampaigns(ctx context.Context, named []string) ([]domain.Campaign, error) {
	if len(named) == 0 {
		return r.ports.Campaigns.Campaigns(ctx)
	}
	var campaigns []domain.Campaign
	for i, code := range named {
		if slices.Contains(named[:i], code) {
			continue
		}
		campaign, err := r.ports.Campaigns.Campaign(ctx, code)
		if err != nil {
			return nil, err
		}
		campaigns = append(campaigns, campaign)
	}
	return campaigns, nil
}

// auditCampaign never fails: what keeps it from auditing stands in the result.
func (r *Retryer) auditCampaign(ctx context.Context, campaign domain.Campaign, repair bool) domain.AuditResult {
	started := time.Now().UTC()
	var outcome auditOutcome
	err := r.audits.inPlace(ctx, campaign, func(ctx context.Context) (err error) {
		outcome, err = r.auditAndMend(ctx, campaign.Code, repair)
		return err
	})
	result := outcome.result
	result.Campaign, result.StartedAt, result.FinishedAt = campaign.Code, started, time.Now().UTC()
	if err != nil {
		r.logger.Warn("a campaign could not be audited", "campaign", campaign.Code, "error", err)
		result.Error = reasonOf(err)
	}
	if result.Differences == nil {
		result.Differences = []domain.AuditDifference{}
	}
	r.metrics.audited(result)
	return result
}

func (r *Retryer) auditAndMend(ctx context.Context, code string, repair bool) (auditOutcome, error) {
	outcome, err := r.auditUntilStill(ctx, code)
	if err != nil || !repair || len(outcome.differences) == 0 {
		return outcome, err
	}
	repairs := r.repair(ctx, outcome)
	outcome, err = r.auditUntilStill(ctx, code)
	outcome.result.Repairs = repairs
	return outcome, err
}

// reasonOf is what an operator reads; what a driver said is in the log.
func reasonOf(err error) string {
	coded, isCoded := errors.AsType[*domain.Error](err)
	switch {
	case errors.Is(err, errGateMoved):
		return err.Error()
	case isCoded:
		return string(coded.Code) + ": " + coded.Message
	}
	return "it did not end in time, or failed; the log says why"
}

// auditUntilStill audits until the gate was not rebuilt meanwhile, a bounded number of times.
func (r *Retryer) auditUntilStill(ctx context.Context, code string) (auditOutcome, error) {
	var outcome auditOutcome
	err := errGateMoved
	for range auditStarts {
		outcome, err = r.auditOnce(ctx, code)
		if !errors.Is(err, errGateMoved) {
			break
		}
	}
	return outcome, err
}
