package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// actionPageLength is how many actions a page shows.
const actionPageLength = 50

// actionsPage shows who did what.
type actionsPage struct {
	Actor, Action, Target string
	Errors                fieldErrors
	Actions               []domain.OperatorAction
	Next                  string
}

// Filtered says that something is left out.
func (p actionsPage) Filtered() bool { return p.Actor+p.Action+p.Target != "" }

func (k *console) actions(c *gin.Context) {
	text := func(name string) string { return strings.TrimSpace(c.Query(name)) }
	page := actionsPage{Actor: text("actor"), Action: text("action"), Target: text("target")}
	filter := domain.ActionFilter{Actor: page.Actor, Action: page.Action, Target: page.Target, Limit: actionPageLength + 1}
	var err error
	if cursor := text("cursor"); cursor != "" {
		filter.BeforeID, err = decodeCursor(cursorActions, cursor)
	}
	if err == nil {
		page.Actions, err = k.server.ports.ActionLog.OperatorActions(c.Request.Context(), filter)
	}
	if wrong, ofForm := inField(err); ofForm {
		page.Errors = wrong
	} else if err != nil {
		k.fail(c, err)
		return
	}
	if len(page.Actions) > actionPageLength {
		page.Actions = page.Actions[:actionPageLength]
		values := url.Values{"cursor": {encodeCursor(cursorActions, page.Actions[actionPageLength-1].ID)}}
		for name, value := range map[string]string{"actor": page.Actor, "action": page.Action, "target": page.Target} {
			if value != "" {
				values.Set(name, value)
			}
		}
		page.Next = "/console/actions?" + values.Encode()
	}
	k.render(c, http.StatusOK, "actions", "Actions", page)
}
