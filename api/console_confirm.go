package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// confirmation is a page that asks once more before a step that can't be taken back, or that touches much.
type confirmation struct {
	Question string
	Says     []string
	// Action is where the form is sent, with the hidden fields; Back is where "Cancel" leads.
	Action, Back string
	Hidden       []hiddenField
	AsksReason   bool
	Reason       string
	Button       string
	Danger       bool
	// Nothing says that there is nothing to do, so that no button is shown.
	Nothing bool
	Error   string
}

type hiddenField struct{ Name, Value string }

func (k *console) confirm(c *gin.Context, status int, question confirmation) {
	k.render(c, status, "confirm", question.Question, question)
}

func (k *console) confirmEnd(c *gin.Context) {
	campaign, err := k.server.admission.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		k.fail(c, err)
		return
	}
	page := "/console/campaigns/" + campaign.Code
	k.confirm(c, http.StatusOK, confirmation{
		Question: "End " + campaign.Code + " for good?",
		Says: []string{
			"Nobody is admitted from then on, and an ended campaign can't be opened again.",
			"Anybody who was admitted before still gets a coupon. To stop only for a while, pause it instead.",
		},
		Action: page + "/end", Back: page, Button: "End the campaign", Danger: true,
	})
}
