package api

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// couponPageLength is how many coupons a page of the console shows.
const couponPageLength = 50

// couponsPage shows a campaign's coupons in the order in which they were stored.
type couponsPage struct {
	Code, Name string
	Coupons    []couponView
	// Later says that this is not the first page; Next leads to the one that follows.
	Later bool
	Next  string
}

// coupons answers GET /console/campaigns/{code}/coupons?cursor=.
func (k *console) coupons(c *gin.Context) {
	campaign, err := k.server.admission.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		k.fail(c, err)
		return
	}
	page, after := couponsPage{Code: campaign.Code, Name: campaign.Name}, int64(0)
	if cursor := strings.TrimSpace(c.Query("cursor")); cursor != "" {
		page.Later = true
		if after, err = decodeCursor(cursorCoupons, cursor); err != nil {
			k.fail(c, domain.Errorf(domain.CodeNotFound, "This page does not exist; go to the first one."))
			return
		}
	}
	coupons, next, err := k.server.ports.CouponReader.Coupons(c.Request.Context(), campaign.Code, after, couponPageLength)
	if err != nil {
		k.fail(c, err)
		return
	}
	for _, coupon := range coupons {
		page.Coupons = append(page.Coupons, viewCoupon(coupon))
	}
	if next > 0 {
		page.Next = "/console/campaigns/" + campaign.Code + "/coupons?cursor=" + encodeCursor(cursorCoupons, next)
	}
	k.render(c, http.StatusOK, "coupons", "Coupons of "+campaign.Code, page)
}

// exportCoupons answers GET /console/campaigns/{code}/coupons.csv with the file of the admin API.
func (k *console) exportCoupons(c *gin.Context) {
	if err := k.server.exportCoupons(c, c.Param("code")); err != nil {
		k.fail(c, err)
	}
}

// exportFailEvents answers GET /console/fail-events.csv with all that the filter of the address selects.
func (k *console) exportFailEvents(c *gin.Context) {
	filter, errs := filterOf(c.Request.URL.Query()).parse()
	if err := errs.refusal(filterFields...); err != nil {
		k.fail(c, err)
		return
	}
	filter.BeforeID = 0
	if err := k.server.exportFailEvents(c, filter); err != nil {
		k.fail(c, err)
	}
}
