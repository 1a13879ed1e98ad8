package retryer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"firstcome/crashpoint"
)

const (
	releasePage     = 500
	maxReleasePages = 20
)

// releaseRevoked tells the gate of revoked coupons. For each:
//
//  1. Mark the user revoked in the gate and free the slot. A crash leaves it to be done again, which is harmless.
//  2. Note in the ledger that the gate was told.
//
// After a campaign's first failure the rest of its coupons wait for the next sweep; they keep nobody else's waiting.
func (r *Retryer) releaseRevoked(ctx context.Context) error {
	failed := map[string]error{}
	for range maxReleasePages {
		coupons, err := r.ports.Revocations.UnreleasedCoupons(ctx, releasePage, slices.Sorted(maps.Keys(failed))...)
		if err != nil {
			return err
		}
		released := 0
		for _, coupon := range coupons {
			if failed[coupon.Campaign] != nil {
				continue
			}
			err := r.ports.Mender.Release(ctx, coupon.Campaign, coupon.UserID, coupon.RevokedSlot)
			if err == nil {
				crashpoint.Reach(crashpoint.ReleaseTold)
				err = r.ports.Revocations.MarkReleased(ctx, coupon.Campaign, coupon.UserID)
			}
			if err != nil {
				failed[coupon.Campaign] = fmt.Errorf("release in campaign %s: %w", coupon.Campaign, err)
				continue
			}
			crashpoint.Reach(crashpoint.ReleaseMarked)
			released++
		}
		r.metrics.released.Add(float64(released))
		if len(coupons) < releasePage {
			break
		}
	}
	var failures []error
	for _, err := range failed {
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
