package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/admission"
	"firstcome/domain"
)

// instant is a time that is left out while it is zero.
func instant(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// couponPage is a part of the list; next_cursor is there while more follows.
type couponPage struct {
	Coupons    []couponView `json:"coupons"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

type couponView struct {
	Campaign    string           `json:"campaign"`
	UserID      domain.UserID    `json:"user_id,string"`
	Slot        domain.Slot      `json:"slot,omitempty"`
	Status      admission.Status `json:"status"`
	AdmittedAt  *time.Time       `json:"admitted_at,omitempty"`
	IssuedAt    *time.Time       `json:"issued_at,omitempty"`
	RevokedAt   *time.Time       `json:"revoked_at,omitempty"`
	RevokedSlot domain.Slot      `json:"revoked_slot,omitempty"`
}

func viewCoupon(coupon domain.Coupon) couponView {
	view := couponView{
		Campaign: coupon.Campaign, UserID: coupon.UserID, Slot: coupon.Slot, Status: admission.StatusIssued,
		AdmittedAt: instant(coupon.AdmittedAt), IssuedAt: instant(coupon.IssuedAt),
		RevokedAt: instant(coupon.RevokedAt), RevokedSlot: coupon.RevokedSlot,
	}
	if view.RevokedAt != nil {
		view.Status = admission.StatusRevoked
	}
	return view
}

// adminCoupons answers GET /v1/admin/coupons?campaign=&user_id=&slot=&cursor=&limit=: the coupons of a campaign in the
// order in which they were stored, the one of its slot or its user, or those of a user in all campaigns.
func (s *Server) adminCoupons(c *gin.Context) {
	q := newQuery(c, "campaign", "user_id", "slot", "cursor", "limit")
	search := couponSearch{
		campaign: q.campaign(), user: q.userID("user_id"), slot: q.slot("slot"), after: q.cursor(cursorCoupons), limit: q.limit(),
	}
	switch {
	case search.campaign == "" && search.user == 0:
		q.refuse("campaign", "campaign or user_id must be given")
	case search.slot > 0 && search.campaign == "":
		q.refuse("slot", "a slot is of a campaign, which must be given")
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	coupons, next, err := s.findCoupons(c.Request.Context(), search)
	if err != nil {
		s.refuse(c, err)
		return
	}
	list := couponPage{Coupons: make([]couponView, len(coupons))}
	for i, coupon := range coupons {
		list.Coupons[i] = viewCoupon(coupon)
	}
	if next > 0 {
		list.NextCursor = encodeCursor(cursorCoupons, next)
	}
	c.JSON(http.StatusOK, list)
}

// couponSearch says which coupons to find; zero values don't select.
type couponSearch struct {
	campaign string
	user     domain.UserID
	slot     domain.Slot
	after    int64
	limit    int
}

// findCoupons finds coupons, and the place after which more follow. Nothing found is no error. CodeUnknownCampaign.
func (s *Server) findCoupons(ctx context.Context, search couponSearch) ([]domain.Coupon, int64, error) {
	var coupon domain.Coupon
	var err error
	switch {
	case search.campaign == "":
		coupons, err := s.ports.CouponFinder.CouponsOfUser(ctx, search.user)
		return coupons, 0, err
	case search.slot > 0:
		coupon, err = s.ports.CouponFinder.CouponBySlot(ctx, search.campaign, search.slot)
	case search.user > 0:
		coupon, err = s.ports.CouponReader.FindCoupon(ctx, search.campaign, search.user)
	default:
		return s.ports.CouponReader.Coupons(ctx, search.campaign, search.after, search.limit)
	}
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound, err == nil && search.user > 0 && coupon.UserID != search.user:
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	return []domain.Coupon{coupon}, 0, nil
}

// adminRevokeCoupon answers POST /v1/admin/campaigns/{code}/coupons/{user_id}/revoke with the body {"reason": "..."}. The
// user is refused from then on; the slot goes to the next applicant once the sweep has told the gate, within a second.
func (s *Server) adminRevokeCoupon(c *gin.Context) {
	user, err := domain.ParseUserID(c.Param("user_id"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	var reason string
	if err := s.readObject(c, map[string]any{"reason": &reason}); err != nil {
		s.refuse(c, err)
		return
	}
	coupon, err := s.ports.CouponRevoker.RevokeCoupon(c.Request.Context(), c.Param("code"), user, reason, actorOf(c))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.record(c, "coupon revoked", "campaign", coupon.Campaign, "user_id", coupon.UserID)
	c.JSON(http.StatusOK, viewCoupon(coupon))
}
