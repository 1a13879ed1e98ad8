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

// maxUserEvents bounds the fail events that are shown of one user.
const maxUserEvents = 20

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

// user looks for a user in all campaigns, and among the fail events. CodeUnavailable.
func (s *Server) user(ctx context.Context, user domain.UserID) (userView, error) {
	view := userView{UserID: user, Campaigns: []userCampaignView{}}
	campaigns, err := s.campaignsNewestFirst(ctx)
	if err != nil {
		return view, err
	}
	standings, err := s.userStandings(ctx, user, campaigns)
	if err != nil {
		return view, err
	}
	for _, one := range standings {
		shown := userCampaignView{Campaign: one.campaign.Code}
		if one.err != nil {
			shown.Error = harmless(one.err)
		} else {
			shown.Standing = appendWinner(nil, &one.view)
		}
		view.Campaigns = append(view.Campaigns, shown)
	}
	page, err := s.failEvents(ctx, domain.FailEventFilter{UserID: user, Limit: maxUserEvents})
	view.FailEvents = page.FailEvents
	return view, err
}
