package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

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
	Campaign    string        `json:"campaign"`
	UserID      domain.UserID `json:"user_id,string"`
	Slot        domain.Slot   `json:"slot,omitempty"`
	Status      string        `json:"status"`
	AdmittedAt  *time.Time    `json:"admitted_at,omitempty"`
	IssuedAt    *time.Time    `json:"issued_at,omitempty"`
	RevokedAt   *time.Time    `json:"revoked_at,omitempty"`
	RevokedSlot domain.Slot   `json:"revoked_slot,omitempty"`
}

func viewCoupon(coupon domain.Coupon) couponView {
	view := couponView{
		Campaign: coupon.Campaign, UserID: coupon.UserID, Slot: coupon.Slot, Status: statusIssued,
		AdmittedAt: instant(coupon.AdmittedAt), IssuedAt: instant(coupon.IssuedAt),
		RevokedAt: instant(coupon.RevokedAt), RevokedSlot: coupon.RevokedSlot,
	}
	if view.RevokedAt != nil {
		view.Status = statusRevoked
	}
	return view
}

// adminCoupons answers GET /v1/admin/coupons?campaign=&cursor=&limit=, in the order in which coupons were stored.
func (s *Server) adminCoupons(c *gin.Context) {
	q := newQuery(c, "campaign", "cursor", "limit")
	campaign, after, limit := q.campaign(), q.cursor(cursorCoupons), q.limit()
	if campaign == "" {
		q.refuse("campaign", "campaign must be given")
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	coupons, next, err := s.ports.CouponReader.Coupons(c.Request.Context(), campaign, after, limit)
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
