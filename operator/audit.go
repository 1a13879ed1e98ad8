package operator

import (
	"context"

	"firstcome/domain"
)

// Auditor compares the gate, the topic and the ledger.
type Auditor interface {
	// Audit audits the campaigns named, or all, and with repair mends what can be mended without breaking a promise.
	// CodeUnknownCampaign. CodeConflict: the same audit, or too many others, are under way in
	// this process.
	Audit(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error)
	// LastAudits gives the last result of every campaign that was audited, or of one.
	LastAudits(ctx context.Context, campaign string) ([]domain.AuditResult, error)
}

// ActionRecorder keeps what operators did; part of domain.ActionLog.
type ActionRecorder interface {
	RecordAction(ctx context.Context, action domain.OperatorAction) error
}

// Audits are the audits that operators ask for.
type Audits struct {
	auditor Auditor
	history ActionRecorder
}

// NewAudits makes them. A nil auditor is that of a process which can't audit.
func NewAudits(auditor Auditor, history ActionRecorder) *Audits {
	return &Audits{auditor: auditor, history: history}
}

// Possible says whether this process can audit.
func (a *Audits) Possible() bool { return a.auditor != nil }

var errNoAuditor = domain.Errorf(domain.CodeNotFound, "this process can't audit; ask one with the role retryer")

// AuditOrder says what to audit.
type AuditOrder struct {
	// Campaigns are the codes; none stands for all campaigns.
	Campaigns []string
	// Repair mends what can be mended without breaking a promise.
	Repair bool
}

// Run audits now, for the operator of this name, and ends with ctx.
//
//  1. What is about to run is recorded: a repair changes things. Crash: the history names an audit that did not run.
//  2. The audit runs. Crash: it has mended some things and not others; the next one goes on.
//
// CodeNotFound: this process can't audit. CodeUnavailable: it can't be recorded, and did not run. CodeUnknownCampaign and
// CodeConflict as Auditor says.
func (a *Audits) Run(ctx context.Context, order AuditOrder, actor string) ([]domain.AuditResult, error) {
	if a.auditor == nil {
		return nil, errNoAuditor
	}
	for _, target := range order.targets() {
		err := a.history.RecordAction(ctx, domain.OperatorAction{Actor: actor, Action: order.verb(), Target: target})
		if err != nil {
			return nil, err
		}
	}
	return a.auditor.Audit(ctx, order.Campaigns, order.Repair)
}

func (o AuditOrder) verb() string {
	if o.Repair {
		return "repair"
	}
	return "audit"
}

// targets has a line of its own for each campaign, so that the history of one shows its audits.
func (o AuditOrder) targets() []string {
	if len(o.Campaigns) == 0 {
		return []string{"all campaigns"}
	}
	targets := make([]string, len(o.Campaigns))
	for i, campaign := range o.Campaigns {
		targets[i] = "campaign " + campaign
	}
	return targets
}

// Last gives the last result of every campaign that was audited, or of one. CodeNotFound: this process can't audit.
// CodeUnavailable.
func (a *Audits) Last(ctx context.Context, campaign string) ([]domain.AuditResult, error) {
	if a.auditor == nil {
		return nil, errNoAuditor
	}
	return a.auditor.LastAudits(ctx, campaign)
}
