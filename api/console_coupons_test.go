package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestTheCouponsOfACampaignAreShownPageByPage(t *testing.T) {
	b := newFixture(t).withViewer().withCoupons(couponPageLength + 3)
	b.ledger.coupons[0].UserID = 1<<53 + 1
	revoked := &b.ledger.coupons[1]
	revoked.RevokedAt, revoked.RevokedSlot, revoked.Slot = admissiontest.AdmittedAt, revoked.Slot, domain.NoSlot
	b.start()
	operator, path := b.logIn(testToken), "/console/campaigns/spring/coupons"
	first := operator.get(path).Body.String()
	assert.Contains(t, first, "9007199254740993", "a large number is exact")
	assert.Contains(t, first, "was 12", "the slot that was taken back")
	assert.Equal(t, couponPageLength-1, strings.Count(first, "/revoke"), "one is revoked already")
	next := nextPage(t, first)
	last := operator.get(next).Body.String()
	assert.Equal(t, 3, strings.Count(last, "/revoke"))
	assert.NotContains(t, last, `rel="next"`)
	assert.Contains(t, last, "First page")
	assert.NotContains(t, b.logIn(viewerToken).get(path).Body.String(), "/revoke", "a viewer can't")

	assert.Equal(t, http.StatusNotFound, operator.get(path+"?cursor=x").Code)
	assert.Equal(t, http.StatusNotFound, operator.get("/console/campaigns/nothing/coupons").Code)
	b.ledger.coupons = nil
	assert.Contains(t, operator.get(path).Body.String(), "No coupon yet")
}

// nextPage gives the address to which a page's "next" leads.
func nextPage(t *testing.T, page string) string {
	t.Helper()
	before, _, found := strings.Cut(page, `" rel="next"`)
	require.True(t, found)
	return before[strings.LastIndex(before, `"`)+1:]
}

func TestTheConsolesFilesAreThoseOfTheAPI(t *testing.T) {
	b := newFixture(t).withViewer().withCoupons(3).withEvents(2).start()
	viewer := b.logIn(viewerToken)
	for console, api := range map[string]string{
		"/console/campaigns/spring/coupons.csv":                  "/coupons.csv?campaign=spring",
		"/console/fail-events.csv?status=DEAD&text=refused&x=y":  "/fail-events.csv?status=DEAD&text=refused",
		"/console/fail-events.csv?status=DEAD&text=refused&from": "/fail-events.csv?status=DEAD&text=refused",
	} {
		got := viewer.get(console)
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		assert.Equal(t, "text/csv; charset=utf-8", got.Header().Get("Content-Type"))
		assert.Contains(t, got.Header().Get("Content-Disposition"), "attachment")
		filter := b.ledger.lastFilter
		assert.Equal(t, b.admin(http.MethodGet, api, "").Body.String(), got.Body.String(), console)
		assert.Equal(t, filter, b.ledger.lastFilter)
	}
	for _, path := range []string{"/console/fail-events.csv?status=x", "/console/campaigns/nothing/coupons.csv"} {
		got := viewer.get(path)
		assert.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, got.Code)
		assert.Contains(t, got.Header().Get("Content-Type"), "text/html", "a person reads this")
	}
}

func TestTheCurveOfAllCampaignsIsAnHourAtMost(t *testing.T) {
	b := newFixture(t).start()
	operator := b.logIn(testToken)
	for minutes, status := range map[string]int{"15": 200, "60": 200, "360": 400, "x": 400} {
		assert.Equal(t, status, operator.get("/console/curve?"+url.Values{"minutes": {minutes}}.Encode()).Code, minutes)
	}
	assert.Empty(t, b.operated.lastQuery.Campaign)
	assert.Contains(t, operator.get("/console/").Body.String(), `data-chart="/console/curve"`)
}

func TestAnActionShowsWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct{ before, after, was, is string }{
		"a change": {
			`{"code":"spring","quota":9,"updated_at":"2030-01-01T00:00:00Z"}`, `{"code":"spring","quota":12,"updated_at":"2030-01-02T00:00:00Z"}`,
			`{"quota":9}`, `{"quota":12}`,
		},
		"a new field":  {`{"a":1}`, `{"a":1,"b":"<"}`, "", `{"b":"\u003c"}`},
		"nothing":      {`{"a":1}`, `{"a":1}`, "", ""},
		"a creation":   {"", `{"a":1}`, "", `{"a":1}`},
		"a setting":    {`""`, `"5"`, `""`, `"5"`},
		"null":         {"null", `{"a":1}`, "null", `{"a":1}`},
		"what is text": {"broken", "{", "broken", "{"},
	} {
		was, is := differing(c.before, c.after)
		assert.Equal(t, []string{c.was, c.is}, []string{was, is}, name)
	}
}
