package retryer

import (
	"context"
	"errors"
	"time"

	"firstcome/domain"
)

// leastCompareWait and longestCompareWait bound the wait after a comparison that failed, which doubles each time.
const leastCompareWait, longestCompareWait = 10 * time.Second, 10 * time.Minute

// verifyOnce compares everything once after this process has started, and again whenever the database server is another
// one or was restarted, since it may lack what was committed last: a winner that the gate knows and the ledger does not is
// put back at once, and not after the hour of the next audit. The steps:
//
//  1. Ask the ledger under which run of its server it was last compared.
//  2. Audit every campaign, and mend what can be mended without breaking a promise. A crash leaves the run unverified,
//     and the next process begins again.
//  3. Note the run in the ledger, if the server still has it.
func (r *Retryer) verifyOnce(ctx context.Context) error {
	run, err := r.ports.Audit.Verifier.UnverifiedRun(ctx)
	if err != nil || run == "" && r.verified {
		return err
	}
	if !r.verifyPace.isDue(time.Now()) {
		return nil
	}
	if run != "" {
		r.logger.Warn("the database server is another one, or was restarted: what it holds is compared with the gates and "+
			"the topic, and winners that it lost are put back", "run", run)
	}
	if err := r.compareAll(ctx, &r.verifyPace); err != nil {
		return err
	}
	r.verified = true
	if run == "" {
		return nil
	}
	err = r.ports.Audit.Verifier.MarkVerified(ctx, run)
	if domain.CodeOf(err) == domain.CodeConflict {
		return nil // The next look finds the new run.
	}
	return err
}

// pacing puts off what failed, each time for longer. One job touches it.
type pacing struct {
	at   time.Time
	wait time.Duration
}

func (p *pacing) isDue(now time.Time) bool { return !now.Before(p.at) }

func (p *pacing) ended(err error, now time.Time) {
	if err == nil {
		*p = pacing{}
		return
	}
	p.wait = min(max(2*p.wait, leastCompareWait), longestCompareWait)
	p.at = now.Add(p.wait)
}

// compareAll is auditAll for a job that goes on until all was compared and no winner is lost any more.
func (r *Retryer) compareAll(ctx context.Context, pace *pacing) error {
	err := r.auditAll(ctx)
	pace.ended(err, time.Now())
	return err
}

// mended logs what an audit that nobody asked for has mended and what is left. A winner who is still lost is a failure.
func (r *Retryer) mended(result domain.AuditResult) error {
	if len(result.Repairs) > 0 {
		r.logger.Error("THE AUDIT FOUND DIFFERENCES AND MENDED WHAT IT COULD", "campaign", result.Campaign,
			"steps", len(result.Repairs), "first", result.Repairs[0].Detail)
	}
	switch {
	case result.Error != "":
		return domain.Errorf(domain.CodeUnavailable, "campaign %s: %s", result.Campaign, result.Error)
	case !result.Clean():
		r.logger.Error("THE AUDIT FOUND DIFFERENCES: run firstcome audit", "campaign", result.Campaign,
			"differences", result.DifferencesTotal, "first", result.Differences[:min(len(result.Differences), 1)])
	}
	if hasKind(result.Differences, domain.AuditWinnerLost) {
		return domain.Errorf(domain.CodeConflict, "campaign %s: some lost winners were not put back yet", result.Campaign)
	}
	return nil
}

// auditAll is the audit of all campaigns that nobody asked for. It mends as an operator's --repair does, because that
// breaks no promise, and a winner who is lost loses more with each hour.
func (r *Retryer) auditAll(ctx context.Context) error {
	results, err := r.auditThese(ctx, nil, true)
	if err != nil {
		return err
	}
	var failures []error
	for _, result := range results {
		failures = append(failures, r.mended(result))
	}
	return errors.Join(failures...)
}
