package api

import (
	"cmp"
	"context"
	"slices"

	"firstcome/admission"
	"firstcome/domain"
)

// standing is where a user stands in one campaign, or why that can't be told.
type standing struct {
	campaign domain.Campaign
	view     admission.Winner
	err      error
}

// userRecord is what the ledger holds of a user, by campaign.
type userRecord struct {
	coupons map[string]domain.Coupon
	// waiting has the campaigns of the user's unresolved fail events.
	waiting map[string]bool
	// cut says that there may be more than this: the ledger lists no more at once.
	cut bool
}

// userStandings says where a user stands in these campaigns, leaving out those that know nothing of the user. The ledger is
// asked once for all of them, and the gate of each campaign in which the user has no coupon, so that a winner whose coupon
// is still on its way is found. The error says that the ledger could not be asked; then the gates alone have answered, and
// nobody knows what else there is. A campaign that ctx left no time for has an error of its own.
func (s *Server) userStandings(ctx context.Context, user domain.UserID, campaigns []domain.Campaign) ([]standing, error) {
	record, err := s.userRecord(ctx, user)
	found := make([]standing, len(campaigns))
	aFewAtATime(len(campaigns), func(i int) {
		found[i].campaign = campaigns[i]
		found[i].view, found[i].err = s.standingIn(ctx, campaigns[i].Code, user, record)
	})
	return slices.DeleteFunc(found, func(one standing) bool { return domain.CodeOf(one.err) == domain.CodeNotFound }), err
}

func (s *Server) standingIn(ctx context.Context, code string, user domain.UserID, record userRecord) (admission.Winner, error) {
	if coupon, ok := record.coupons[code]; ok {
		return admission.CouponWinner(coupon), nil
	}
	if record.cut {
		return s.admission.Status(ctx, code, user)
	}
	if record.waiting[code] {
		timed, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		return s.admission.DelayedStatus(timed, code, user), nil
	}
	return s.admission.GateStatus(ctx, code, user)
}

// userRecord asks the ledger for all that it holds of a user. CodeUnavailable.
func (s *Server) userRecord(ctx context.Context, user domain.UserID) (userRecord, error) {
	record := userRecord{coupons: map[string]domain.Coupon{}, waiting: map[string]bool{}}
	timed, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	coupons, err := s.ports.CouponFinder.CouponsOfUser(timed, user)
	if err != nil {
		return record, err
	}
	for _, coupon := range coupons {
		record.coupons[coupon.Campaign] = coupon
	}
	events, err := s.ports.FailEventReader.FailEvents(timed, domain.FailEventFilter{UserID: user, Limit: domain.MaxPage})
	if err != nil {
		return record, err
	}
	for _, event := range events {
		if event.Unresolved() {
			record.waiting[event.Campaign] = true
		}
	}
	record.cut = len(coupons) == domain.MaxPage || len(events) == domain.MaxPage
	return record, nil
}

// campaignsNewestFirst gives all campaigns as they are now. CodeUnavailable: they can't be read.
func (s *Server) campaignsNewestFirst(ctx context.Context) ([]domain.Campaign, error) {
	campaigns, err := s.ports.CampaignReader.Campaigns(ctx)
	slices.SortFunc(campaigns, func(a, b domain.Campaign) int { return cmp.Compare(b.ID, a.ID) })
	return campaigns, err
}
