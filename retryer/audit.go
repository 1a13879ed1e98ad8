package retryer

import (
	"context"
	"errors"
	"time"

	"firstcome/domain"
)

// auditTimeout bounds the audit of one campaign, its repair included.
const auditTimeout = 30 * time.Minute

// auditOutcome is a result before its differences are cut to what is listed.
type auditOutcome struct {
	result      domain.AuditResult
	differences []domain.AuditDifference
}

// Audit compares, for the campaigns named or for all, what the gate, the pending entries, the topic, the fail events
// and the coupons hold, and with repair mends what can be mended without breaking a promise. It may run during a sale.
// A campaign that can't be audited has a result that says why; the results are kept for LastAudits.
// CodeUnknownCampaign. CodeConflict: somebody else has asked this process for one that is under way. CodeUnavailable: the ledger is away.
func (r *Retryer) Audit(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	if !r.ports.Audit.complete() {
		return nil, domain.Errorf(domain.CodeNotFound, "this process can't audit")
	}
	if !r.askedToAudit.TryLock() {
		return nil, domain.Errorf(domain.CodeConflict, "an audit is under way in this process; its result comes soon")
	}
	defer r.askedToAudit.Unlock()
	return r.auditThese(ctx, campaigns, repair)
}

// auditThese audits one campaign after the other. Between two of them another audit of this process may have its turn, so
// nobody who asks for one campaign waits for the audit of all.
func (r *Retryer) auditThese(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	codes, err := r.auditedCampaigns(ctx, campaigns)
	if err != nil {
		return nil, err
	}
	results := make([]domain.AuditResult, 0, len(codes))
	for _, code := range codes {
		result := r.auditInTurn(ctx, code, repair)
		if err := r.ports.Audit.Store.SaveAudit(ctx, result); err != nil {
			r.logger.Warn("the result of an audit could not be kept", "campaign", code, "error", err)
		}
		results = append(results, result)
	}
	return results, nil
}

func (r *Retryer) auditInTurn(ctx context.Context, code string, repair bool) domain.AuditResult {
	r.auditing.Lock()
	defer r.auditing.Unlock()
	return r.auditCampaign(ctx, code, repair)
}

// LastAudits gives the last result of every campaign that was audited by any process, or of one. CodeUnavailable.
func (r *Retryer) LastAudits(ctx context.Context, campaign string) ([]domain.AuditResult, error) {
	if !r.ports.Audit.complete() {
		return nil, domain.Errorf(domain.CodeNotFound, "this process can't audit")
	}
	return r.ports.Audit.Store.LastAudits(ctx, campaign)
}

func (r *Retryer) auditedCampaigns(ctx context.Context, named []string) ([]string, error) {
	if len(named) > 0 {
		for _, code := range named {
			if _, err := r.ports.Campaigns.Campaign(ctx, code); err != nil {
				return nil, err
			}
		}
		return named, nil
	}
	campaigns, err := r.ports.Campaigns.Campaigns(ctx)
	codes := make([]string, len(campaigns))
	for i, campaign := range campaigns {
		codes[i] = campaign.Code
	}
	return codes, err
}

// auditCampaign never fails: what keeps it from auditing stands in the result.
func (r *Retryer) auditCampaign(ctx context.Context, code string, repair bool) domain.AuditResult {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	started := time.Now().UTC()
	outcome, err := r.auditUntilStill(ctx, code)
	if err == nil && repair && len(outcome.differences) > 0 {
		repairs := r.repair(ctx, outcome)
		outcome, err = r.auditUntilStill(ctx, code)
		outcome.result.Repairs = repairs
	}
	result := outcome.result
	result.Campaign, result.StartedAt, result.FinishedAt = code, started, time.Now().UTC()
	if err != nil {
		r.logger.Warn("a campaign could not be audited", "campaign", code, "error", err)
		result.Error = reasonOf(err)
	}
	if result.Differences == nil {
		result.Differences = []domain.AuditDifference{}
	}
	r.metrics.audited(result)
	return result
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
