package api

import (
	"context"

	"firstcome/domain"
)

// couponStatus says how far a user's application has come. The ledger is asked first, because a row is the last word;
// while it is away the gate alone answers, and knows every winner. CodeNotFound: the user has not won.
// CodeGateClosed: there is no row, and only the gate could tell whether the user was admitted. CodeOutcomeUnknown: only
// a gate that forgets knows the user.
func (s *Server) couponStatus(ctx context.Context, code, userText string) (winnerView, error) {
	user, err := domain.ParseUserID(userText)
	if err != nil {
		return winnerView{}, err
	}
	campaign, err := s.directory.find(ctx, code)
	if err != nil {
		return winnerView{}, err
	}
	timed, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if view, known := s.ledgerStatus(timed, campaign.Code, user); known {
		return view, nil
	}
	return s.gateStatus(timed, campaign, user)
}

// gateStatus says what the gate alone knows of a user. The codes are those of couponStatus.
func (s *Server) gateStatus(ctx context.Context, campaign *knownCampaign, user domain.UserID) (winnerView, error) {
	admission, err := s.lookUp(ctx, campaign, user)
	if err != nil {
		return winnerView{}, err
	}
	view := admittedWinner(admission)
	if s.cfg.VolatileGate && view.Status == statusReserved {
		return winnerView{}, errOnlyReserved
	}
	return view, domain.WaitUntilTold(ctx, admission.TellIn)
}

// ledgerStatus says what the ledger knows of a user: a coupon, or a record that waits to be stored. A ledger that is
// away knows nothing. It has half of the time, so that one which hangs leaves the gate the rest.
func (s *Server) ledgerStatus(ctx context.Context, campaign string, user domain.UserID) (winnerView, bool) {
	half, cancel := context.WithTimeout(ctx, storeTimeout/2)
	defer cancel()
	coupon, err := s.ports.CouponReader.FindCoupon(half, campaign, user)
	if err == nil {
		return couponWinner(coupon), true
	}
	if domain.CodeOf(err) != domain.CodeNotFound {
		return winnerView{}, false
	}
	delayed, err := s.ports.CouponReader.HasUnresolvedFailEvent(half, campaign, user)
	if err != nil || !delayed {
		return winnerView{}, false
	}
	return s.delayedWinner(ctx, campaign, user), true
}

func (s *Server) lookUp(ctx context.Context, known *knownCampaign, user domain.UserID) (domain.Admission, error) {
	admission, err := s.ports.GateReader.Lookup(ctx, known.Code, user)
	notFound := domain.CodeOf(err) == domain.CodeNotFound
	switch {
	case (err == nil || notFound) && known.epoch.isAfter(admission.Epoch):
		return admission, errOutdated
	case notFound:
		return admission, domain.Errorf(domain.CodeNotFound, "this user has no coupon of this campaign")
	}
	return admission, err
}

// delayedWinner tells about a user whose record waits to be stored. No slot is told: the reason may be that it belongs
// to somebody else. The time of the admission is told if the gate knows it.
func (s *Server) delayedWinner(ctx context.Context, campaign string, user domain.UserID) winnerView {
	view := winnerView{Campaign: campaign, UserID: user, Status: statusAccepted, Delayed: true}
	if admission, err := s.ports.GateReader.Lookup(ctx, campaign, user); err == nil {
		view.AdmittedAt = admission.AdmittedAt
	}
	return view
}

func couponWinner(coupon domain.Coupon) winnerView {
	view := winnerView{
		Campaign: coupon.Campaign, UserID: coupon.UserID, Slot: coupon.Slot, Status: statusIssued,
		AdmittedAt: coupon.AdmittedAt, IssuedAt: coupon.IssuedAt,
	}
	if !coupon.RevokedAt.IsZero() {
		view.Status, view.Slot, view.RevokedAt = statusRevoked, domain.NoSlot, coupon.RevokedAt
	}
	return view
}

func admittedWinner(admission domain.Admission) winnerView {
	if admission.Slot == domain.NoSlot {
		return viewOf(&admission, statusRevoked)
	}
	return knownWinner(&admission)
}
