package retryer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

const (
	// releasePage is how many revocations are read together.
	releasePage     = 500
	maxReleasePages = 20
)

// releaseTurn is what one run does for one campaign at most.
type releaseTurn struct {
	coupons int
	time    time.Duration
}

var (
	// fairTurn is for the job: after a page that is one campaign's alone, the others come.
	fairTurn = releaseTurn{releasePage, 2 * time.Second}
	// wholeTurn is for who wants as much as possible done at once.
	wholeTurn = releaseTurn{maxReleasePages * releasePage, auditTimeout}
)

// releaseRevoked tells the gate of revoked coupons. For each:
//
//  1. Mark the user revoked in the gate and free the slot. A crash leaves it to be done again, which is harmless.
//  2. Note in the ledger that the gate was told, if the ledger still has that gate's epoch. It may be one that was replaced:
//     the new one is told by the next run.
//
// After a campaign's first failure, or when its turn is over, the rest of its coupons wait for the next run; they keep
// nobody else's waiting.
func (r *Retryer) releaseRevoked(ctx context.Context, limit releaseTurn) error {
	turns := map[string]*releasing{}
	over := func() (codes []string) {
		for _, code := range slices.Sorted(maps.Keys(turns)) {
			if turns[code].isOver() {
				codes = append(codes, code)
			}
		}
		return codes
	}
	for range maxReleasePages {
		coupons, err := r.ports.Revocations.UnreleasedCoupons(ctx, releasePage, over()...)
		if err != nil {
			return err
		}
		for _, coupon := range coupons {
			turn := turns[coupon.Campaign]
			if turn == nil {
				turn = &releasing{limit: limit}
				turns[coupon.Campaign] = turn
			}
			if !turn.isOver() {
				turn.count(r.release(ctx, coupon))
			}
		}
		if len(coupons) < releasePage {
			break
		}
	}
	var failures []error
	for code, turn := range turns {
		if turn.failed != nil {
			failures = append(failures, fmt.Errorf("release in campaign %s: %w", code, turn.failed))
		}
	}
	return errors.Join(failures...)
}

// releasing is what one run did for one campaign.
type releasing struct {
	limit    releaseTurn
	released int
	took     time.Duration
	failed   error
}

func (t *releasing) isOver() bool {
	return t.failed != nil || t.released >= t.limit.coupons || t.took >= t.limit.time
}

func (t *releasing) count(took time.Duration, err error) {
	t.took += took
	if t.failed = err; err == nil {
		t.released++
	}
}

// release releases one coupon, and says how long that took.
func (r *Retryer) release(ctx context.Context, coupon domain.Coupon) (time.Duration, error) {
	began := time.Now()
	epoch, err := r.ports.Mender.Release(ctx, coupon.Campaign, coupon.UserID, coupon.RevokedSlot)
	if err != nil {
		return time.Since(began), err
	}
	crashpoint.Reach(crashpoint.ReleaseTold)
	if err := r.ports.Revocations.MarkReleased(ctx, coupon.Campaign, coupon.UserID, epoch); err != nil {
		return time.Since(began), err
	}
	crashpoint.Reach(crashpoint.ReleaseMarked)
	r.metrics.released.Inc()
	return time.Since(began), nil
}
