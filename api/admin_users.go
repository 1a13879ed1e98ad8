package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// userView is where a user stands in every campaign.
type userView struct {
	UserID    domain.UserID      `json:"user_id,string"`
	Campaigns []userCampaignView `json:"campaigns"`
	// FailEvents are the user's newest, up to maxUserEvents.
	FailEvents []failEventView `json:"fail_events"`
}

// userCampaignView is where a user stands in one campaign in which they have a place, or in which that can't be told.
type userCampaignView struct {
	Campaign string `json:"campaign"`
	// Standing is what the user would be told now; Error says why that can't be told.
	Standing json.RawMessage `json:"standing,omitempty"`
	Error    string          `json:"error,omitempty"`
}

const (
	// maxUserEvents bounds the fail events that are shown of one user.
	maxUserEvents = 20
	// maxUserCampaigns bounds the campaigns in which a user is looked for: the newest ones.
	maxUserCampaigns = 100
)

// adminUser answers GET /v1/admin/users/{user_id}: where is this user's coupon?
func (s *Server) adminUser(c *gin.Context) {
	user, err := domain.ParseUserID(c.Param("user_id"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	view, err := s.user(c.Request.Context(), user)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, view)
}

// user looks for a user in the newest campaigns, and among the fail events. CodeUnavailable.
func (s *Server) user(ctx context.Context, user domain.UserID) (userView, error) {
	view := userView{UserID: user, Campaigns: []userCampaignView{}}
	campaigns, err := s.ports.CampaignReader.Campaigns(ctx)
	if err != nil {
		return view, err
	}
	for i := range min(len(campaigns), maxUserCampaigns) {
		code := campaigns[len(campaigns)-1-i].Code
		standing, err := s.couponStatus(ctx, code, user.String())
		switch {
		case err == nil:
			view.Campaigns = append(view.Campaigns, userCampaignView{Campaign: code, Standing: standing.appendTo(nil)})
		case domain.CodeOf(err) != domain.CodeNotFound:
			view.Campaigns = append(view.Campaigns, userCampaignView{Campaign: code, Error: harmless(err)})
		}
	}
	page, err := s.failEvents(ctx, domain.FailEventFilter{UserID: user, Limit: maxUserEvents})
	view.FailEvents = page.FailEvents
	return view, err
}
