package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/admission"
	"firstcome/domain"
)

// usersPage answers "where is user 42's coupon?".
type usersPage struct {
	UserID, Campaign, Slot string
	Errors                 fieldErrors
	Campaigns              []domain.Campaign
	// Asked says that there was a question; then what follows is the answer.
	Asked  bool
	Places []userPlace
	Events []failEventView
	// Away says that some campaign could not be asked about, and why.
	Away string
}

func (p usersPage) errorOf(field string) string { return p.Errors[field] }

// userPlace is where a user stands in one campaign.
type userPlace struct {
	Campaign, Name, UserID, Status string
	Delayed                        bool
	Slot, RevokedSlot              domain.Slot
	winnerTimes
	// Sentence says it in words.
	Sentence string
}

type winnerTimes struct{ AdmittedAt, IssuedAt, RevokedAt any }

// users answers GET /console/users?user_id= or ?campaign=&slot=.
func (k *console) users(c *gin.Context) {
	page := usersPage{
		UserID: strings.TrimSpace(c.Query("user_id")), Campaign: strings.TrimSpace(c.Query("campaign")),
		Slot: strings.TrimSpace(c.Query("slot")), Campaigns: k.server.admission.Campaigns(c.Request.Context()), Errors: fieldErrors{},
	}
	var err error
	switch {
	case page.UserID != "":
		err = k.findUser(c.Request.Context(), &page)
	case page.Slot != "":
		err = k.findSlot(c.Request.Context(), &page)
	}
	if wrong, ofForm := inField(err); ofForm {
		page.Errors, page.Asked = wrong, false
	} else if err != nil {
		k.fail(c, err)
		return
	}
	k.render(c, http.StatusOK, "users", "Users", page)
}

func (k *console) findUser(ctx context.Context, page *usersPage) error {
	user, err := domain.ParseUserID(page.UserID)
	if err != nil {
		return domain.Invalid("user_id", "A number above 0, such as 42.")
	}
	page.Asked = true
	events, err := k.server.ports.FailEventReader.FailEvents(ctx, domain.FailEventFilter{UserID: user, Limit: eventPageLength})
	if err != nil {
		page.Away = harmless(err)
	}
	for _, event := range events {
		page.Events = append(page.Events, viewFailEvent(event))
	}
	k.findPlaces(ctx, page, user)
	return nil
}

// findPlaces asks about every campaign, or the one that was chosen.
func (k *console) findPlaces(ctx context.Context, page *usersPage, user domain.UserID) {
	campaigns, err := k.server.campaignsNewestFirst(ctx)
	if err != nil {
		campaigns = page.Campaigns // as they were read last; what the ledger is asked next says why
	}
	if page.Campaign != "" {
		campaigns = slices.DeleteFunc(slices.Clone(campaigns), func(campaign domain.Campaign) bool { return campaign.Code != page.Campaign })
	}
	found, err := k.server.userStandings(ctx, user, campaigns)
	if err != nil {
		page.Away = harmless(err)
	}
	for _, one := range found {
		if one.err != nil {
			page.Away = one.campaign.Code + ": " + harmless(one.err)
			continue
		}
		page.Places = append(page.Places, *placeOf(one.campaign, one.view))
	}
}

func placeOf(campaign domain.Campaign, view admission.Winner) *userPlace {
	place := &userPlace{
		Campaign: campaign.Code, Name: campaign.Name, UserID: view.UserID.String(), Status: string(view.Status), Delayed: view.Delayed,
		Slot: view.Slot, winnerTimes: winnerTimes{view.AdmittedAt, view.IssuedAt, view.RevokedAt},
	}
	place.Sentence = map[admission.Status]string{
		admission.StatusReserved: "Admitted; Kafka has not confirmed the record yet. The relay sends it again by itself.",
		admission.StatusAccepted: "The record is safe in Kafka, and the coupon is on its way.",
		admission.StatusIssued:   "The coupon is issued.",
		admission.StatusRevoked:  "The coupon was taken back, and the user gets no other one.",
	}[view.Status]
	if view.Delayed {
		place.Sentence = "The record could not be stored yet: see the fail event below."
	}
	return place
}

func (k *console) findSlot(ctx context.Context, page *usersPage) error {
	if page.Campaign == "" {
		return domain.Invalid("campaign", "A slot belongs to a campaign: say which.")
	}
	slot := number(page.Slot)
	if slot < 1 {
		return domain.Invalid("slot", "A number above 0, such as 17.")
	}
	coupon, err := k.server.ports.CouponFinder.CouponBySlot(ctx, page.Campaign, domain.Slot(slot))
	switch domain.CodeOf(err) {
	case "":
		page.Asked, page.UserID = true, coupon.UserID.String()
		campaign, err := k.server.admission.Campaign(ctx, page.Campaign)
		if err != nil {
			return err
		}
		page.Places = []userPlace{*placeOf(campaign, admission.CouponWinner(coupon))}
		return nil
	case domain.CodeNotFound:
		page.Asked = true
		return nil
	case domain.CodeUnknownCampaign:
		return domain.Invalid("campaign", "There is no such campaign.")
	}
	return err
}

// confirmRevoke asks before a coupon is taken back.
func (k *console) confirmRevoke(c *gin.Context) {
	k.askRevoke(c, http.StatusOK, "", "")
}

func (k *console) askRevoke(c *gin.Context, status int, reason, wrong string) {
	code, user := c.Param("code"), c.Param("user_id")
	k.confirm(c, status, confirmation{
		Question: "Revoke the coupon of user " + user + "?",
		Says: []string{
			"User " + user + " loses the coupon of " + code + " and is refused from then on; that can't be taken back. The slot goes to the next new applicant.",
		},
		Action: "/console/campaigns/" + code + "/coupons/" + user + "/revoke", Back: "/console/users?user_id=" + user,
		AsksReason: true, Reason: reason, Error: wrong, Button: "Revoke it", Danger: true,
	})
}

func (k *console) revoke(c *gin.Context) {
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	user, err := domain.ParseUserID(c.Param("user_id"))
	if err != nil {
		k.fail(c, err)
		return
	}
	reason := strings.TrimSpace(fields.Get("reason"))
	_, err = k.server.ports.CouponRevoker.RevokeCoupon(c.Request.Context(), c.Param("code"), user, reason, actorOf(c))
	if wrong, ofForm := inField(err); ofForm {
		text := wrong["reason"]
		if text == "" {
			text = wrong[""]
		}
		k.askRevoke(c, http.StatusUnprocessableEntity, reason, text)
		return
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	k.server.record(c, "coupon revoked", "campaign", c.Param("code"), "user", user)
	c.Redirect(http.StatusSeeOther, "/console/users?user_id="+user.String()+"&note=revoked")
}
