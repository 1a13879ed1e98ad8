package retryer

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"firstcome/domain"
)

const (
	// shortestAudit bounds the audit of a small campaign, and auditTimeout that of the largest, the repair included.
	shortestAudit, auditTimeout = 3 * time.Minute, 30 * time.Minute
	// auditPlaces is how many users this process may hold in memory for all audits under way: two campaigns of the
	// largest quota, so 480 MB (comparison). A small campaign takes the place of smallPlace users, so at most four are
	// audited at a time, and the stores keep most of their time for applicants.
	auditPlaces, smallPlace = 2 * domain.MaxQuota, domain.MaxQuota / 2
	// maxAsked is how many audits that operators asked for are under way or wait in one process.
	maxAsked = 8
	// saveTimeout bounds the write of one result.
	saveTimeout = 10 * time.Second
)

// timeFor is how long a campaign's audit may take: it grows with what there is to read.
func timeFor(campaign domain.Campaign) time.Duration {
	share := float64(min(campaign.HighestSlot(), domain.MaxQuota)) / domain.MaxQuota
	return shortestAudit + time.Duration(share*float64(auditTimeout-shortestAudit))
}

func placeFor(campaign domain.Campaign) int64 {
	return min(max(campaign.HighestSlot(), smallPlace), domain.MaxQuota)
}

// audits shares the places out in the order in which they are asked for: somebody who asks for one campaign waits for
// those that have begun, not for the audit of all.
type audits struct {
	places *semaphore.Weighted
	mu     sync.Mutex
	asked  map[string]bool
}

func newAudits() *audits {
	return &audits{places: semaphore.NewWeighted(auditPlaces), asked: map[string]bool{}}
}

// inPlace runs a campaign's audit when there is a place for it; the time that it may take begins then.
func (a *audits) inPlace(ctx context.Context, campaign domain.Campaign, run func(context.Context) error) error {
	place := placeFor(campaign)
	if err := a.places.Acquire(ctx, place); err != nil {
		return domain.Wrap(domain.CodeUnavailable, err, "it had no turn: the audits of other campaigns did not end in time")
	}
	defer a.places.Release(place)
	ctx, cancel := context.WithTimeout(ctx, timeFor(campaign))
	defer cancel()
	return run(ctx)
}

// ask notes an audit that an operator asks for. It refuses one that is under way already, and one too many.
func (a *audits) ask(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked[what] || len(a.asked) >= maxAsked {
		return false
	}
	a.asked[what] = true
	return true
}

func (a *audits) answered(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asked, what)
}
