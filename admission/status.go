package admission

import (
	"context"
	"time"

	"firstcome/domain"
)

// Status says how far a user's application has come. The ledger is asked first, because a row is the last word;
// while it is away the gate alone answers, and knows every winner. CodeNotFound: the user has not won.
// CodeGateClosed: there is no row, and only the gate could tell whether the user was admitted; or the coupon was revoked,
// and only the gate could tell whether it knows. CodeOutcomeUnknown: only a gate that forgets knows the user.
func (s *Service) Status(ctx context.Context, code string, user domain.UserID) (Winner, error) {
	campaign, err := s.directory.find(ctx, code)
	if err != nil {
		return Winner{}, err
	}
	timed, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if view, known, err := s.ledgerStatus(timed, campaign, user); known {
		return view, err
	}
	return s.gateStatus(timed, campaign, user)
}

// GateStatus says what the gate alone knows of a user; for one that has no row. The codes are those of Status.
func (s *Service) GateStatus(ctx context.Context, code string, user domain.UserID) (Winner, error) {
	campaign, err := s.directory.find(ctx, code)
	if err != nil {
		return Winner{}, err
	}
	timed, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.gateStatus(timed, campaign, user)
}

func (s *Service) gateStatus(ctx context.Context, campaign *knownCampaign, user domain.UserID) (Winner, error) {
	admission, err := s.lookUp(ctx, campaign, user)
	if err != nil {
		return Winner{}, err
	}
	view := admittedWinner(admission)
	if s.volatileGate && view.Status == StatusReserved {
		return Winner{}, errOnlyReserved
	}
	return view, domain.WaitUntilTold(ctx, admission.TellIn)
}

// ledgerStatus says what the ledger knows of a user: a coupon, or a record that waits to be stored. A ledger that is
// away knows nothing. It has half of the time, so that one which hangs leaves the gate the rest.
func (s *Service) ledgerStatus(ctx context.Context, campaign *knownCampaign, user domain.UserID) (Winner, bool, error) {
	half, cancel := context.WithTimeout(ctx, storeTimeout/2)
	defer cancel()
	coupon, err := s.coupons.FindCoupon(half, campaign.Code, user)
	if err == nil {
		view, err := s.couponStatus(ctx, campaign, coupon)
		return view, true, err
	}
	if domain.CodeOf(err) != domain.CodeNotFound {
		return Winner{}, false, nil
	}
	delayed, err := s.coupons.HasUnresolvedFailEvent(half, campaign.Code, user)
	if err != nil || !delayed {
		return Winner{}, false, nil
	}
	return s.DelayedStatus(ctx, campaign.Code, user), true, nil
}

// couponStatus tells about a coupon. What operators revoke is revoked for its user once the gate knows: until then the
// gate answers applications with the slot, which after many revocations may be for minutes, and nobody may hear "revoked"
// before. So as long as the ledger does not know that the gate was told, the gate is asked.
func (s *Service) couponStatus(ctx context.Context, campaign *knownCampaign, coupon domain.Coupon) (Winner, error) {
	if coupon.RevokedAt.IsZero() || !coupon.ReleasedAt.IsZero() {
		return CouponWinner(coupon), nil
	}
	view, err := s.gateStatus(ctx, campaign, coupon.UserID)
	if domain.CodeOf(err) == domain.CodeNotFound || err == nil && view.Status == StatusRevoked {
		return CouponWinner(coupon), nil
	}
	if err == nil && !coupon.IssuedAt.IsZero() {
		coupon.Slot, coupon.RevokedAt = coupon.RevokedSlot, time.Time{}
		return CouponWinner(coupon), nil
	}
	return view, err
}

func (s *Service) lookUp(ctx context.Context, known *knownCampaign, user domain.UserID) (domain.Admission, error) {
	admission, err := s.gateReader.Lookup(ctx, known.Code, user)
	notFound := domain.CodeOf(err) == domain.CodeNotFound
	switch {
	case (err == nil || notFound) && known.epoch.isAfter(admission.Epoch):
		return admission, errOutdated
	case notFound:
		return admission, domain.Errorf(domain.CodeNotFound, "this user has no coupon of this campaign")
	}
	return admission, err
}

// DelayedStatus tells about a user whose record waits to be stored. No slot is told: the reason may be that it belongs
// to somebody else. The time of the admission is told if the gate knows it.
func (s *Service) DelayedStatus(ctx context.Context, campaign string, user domain.UserID) Winner {
	view := Winner{Campaign: campaign, UserID: user, Status: StatusAccepted, Delayed: true}
	if admission, err := s.gateReader.Lookup(ctx, campaign, user); err == nil {
		view.AdmittedAt = admission.AdmittedAt
	}
	return view
}

// CouponWinner tells about a coupon of the ledger.
func CouponWinner(coupon domain.Coupon) Winner {
	view := Winner{
		Campaign: coupon.Campaign, UserID: coupon.UserID, Slot: coupon.Slot, Status: StatusIssued,
		AdmittedAt: coupon.AdmittedAt, IssuedAt: coupon.IssuedAt,
	}
	if !coupon.RevokedAt.IsZero() {
		view.Status, view.Slot, view.RevokedAt = StatusRevoked, domain.NoSlot, coupon.RevokedAt
	}
	return view
}

func admittedWinner(admission domain.Admission) Winner {
	if admission.Slot == domain.NoSlot {
		return winnerOf(&admission, StatusRevoked)
	}
	return knownWinner(&admission)
}
