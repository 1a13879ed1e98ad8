package retryer

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// audited is a world of which nothing but the reading of the gate's users matters: it hangs for some campaigns.
type audited struct {
	*world
	hangs []string
	saved map[string]domain.AuditResult
}

func (a *audited) VisitFree(ctx context.Context, campaign string, _ func(domain.Slot) error) error {
	if slices.Contains(a.hangs, campaign) {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (a *audited) VisitWinners(context.Context, string, func(domain.GateWinner) error) error {
	return nil
}

func (a *audited) FindWinners(context.Context, string, []domain.UserID) ([]domain.GateWinner, error) {
	return nil, nil
}

func (a *audited) PutBack(context.Context, domain.Winner) (bool, error) { return false, nil }

func (a *audited) FindHolders(context.Context, string, []domain.UserID) ([]domain.Holder, error) {
	return nil, nil
}

func (a *audited) CountUnresolved(context.Context, string) (map[domain.FailStatus]int64, error) {
	return nil, nil
}

func (a *audited) StuckFailEvents(context.Context, string, time.Duration, int) ([]domain.FailEvent, error) {
	return nil, nil
}

func (a *audited) UntoldRevocations(context.Context, string, time.Duration, int) ([]domain.Coupon, error) {
	return nil, nil
}

func (a *audited) MissingKeys(context.Context) ([]string, error) { return nil, nil }

func (a *audited) UnverifiedRun(context.Context) (string, error) { return "", nil }

func (a *audited) MarkVerified(context.Context, string) error { return nil }

func (a *audited) SaveAudit(ctx context.Context, result domain.AuditResult) error {
	a.see(func() { a.saved[result.Campaign] = result })
	return ctx.Err()
}

func (a *audited) LastAudits(context.Context, string) ([]domain.AuditResult, error) { return nil, nil }

func auditedWorld(t *testing.T, codes ...string) (*audited, *Retryer) {
	w, r := opened(t, codes...)
	a := &audited{world: w, saved: map[string]domain.AuditResult{}}
	r.ports.Audit = AuditPorts{Gate: a, Restorer: a, Ledger: a, Verifier: a, Store: a}
	return a, r
}

func (a *audited) savedCampaigns() (codes []string) {
	a.see(func() {
		for code, result := range a.saved {
			if result.Error == "" {
				codes = append(codes, code)
			}
		}
	})
	slices.Sort(codes)
	return codes
}

func TestCampaignsWhoseAuditsHangDelayNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, r := auditedWorld(t, "a", "b", "c", "d", "e", "f")
		a.hangs = []string{"a", "b", "c"}
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- r.auditAll(t.Context()) }()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"d", "e", "f"}, a.savedCampaigns(), "they are audited and kept while three hang")
		err := <-ended
		for _, code := range a.hangs {
			require.ErrorContains(t, err, "campaign "+code)
		}
		assert.Less(t, time.Since(began), 2*shortestAudit, "and what hangs ends")
		assert.NotEmpty(t, a.saved["a"].Error)
	})
}

func TestAnAuditThatHangsKeepsNoOperatorFromAuditingAnotherCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, r := auditedWorld(t, "a", "b")
		a.hangs = []string{"a"}
		ended := make(chan error, 1)
		go func() {
			_, err := r.Audit(t.Context(), []string{"a"}, false)
			ended <- err
		}()
		time.Sleep(time.Second)
		results, err := r.Audit(t.Context(), []string{"b", "b"}, false)
		require.NoError(t, err)
		require.Len(t, results, 1)
		assert.Empty(t, results[0].Error)
		_, err = r.Audit(t.Context(), []string{"a"}, false)
		assert.Equal(t, domain.CodeConflict, domain.CodeOf(err), "%v", err)
		require.NoError(t, <-ended)
	})
}

func TestAnOperatorsTimeThatRunsOutStillGivesTheResultsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, r := auditedWorld(t, "a", "b", "c")
		a.hangs = []string{"a"}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		results, err := r.Audit(ctx, nil, false)
		require.NoError(t, err)
		require.Len(t, results, 3)
		assert.NotEmpty(t, results[0].Error)
		assert.Empty(t, results[1].Error)
		assert.Empty(t, results[2].Error)
	})
}

func TestTheTimeAndThePlaceOfAnAuditGrowWithTheCampaign(t *testing.T) {
	small, largest := domain.Campaign{Quota: 1}, domain.Campaign{Quota: domain.MaxQuota}
	assert.Equal(t, shortestAudit, timeFor(small).Truncate(time.Second))
	assert.Equal(t, auditTimeout, timeFor(largest))
	assert.EqualValues(t, 4, auditPlaces/placeFor(small))
	assert.EqualValues(t, 2, auditPlaces/placeFor(largest))
}
