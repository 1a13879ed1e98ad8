package api

import (
	"bytes"
	"context"
	"encoding/json"
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
	Actions               []actionLine
	Next                  string
}

// actionLine is an action with what differs between before and after; the whole of both is shown on hover.
type actionLine struct {
	domain.OperatorAction
	Was, Is string
}

// differing leaves out of two JSON objects what is the same in both; other texts stay as they are.
func differing(before, after string) (was, is string) {
	var old, changed map[string]json.RawMessage
	if json.Unmarshal([]byte(before), &old) != nil || json.Unmarshal([]byte(after), &changed) != nil || old == nil || changed == nil {
		return before, after
	}
	for name, value := range old {
		if bytes.Equal(value, changed[name]) {
			delete(old, name)
			delete(changed, name)
		}
	}
	delete(old, "updated_at") // which stands beside it as the time of the action
	delete(changed, "updated_at")
	return compact(old), compact(changed)
}

// compact is empty for an object without fields.
func compact(object map[string]json.RawMessage) string {
	if len(object) == 0 {
		return ""
	}
	text, _ := json.Marshal(object) // what was JSON is JSON
	return string(text)
}

// Filtered says that something is left out.
func (p actionsPage) Filtered() bool { return p.Actor+p.Action+p.Target != "" }

func (k *console) actionLines(ctx context.Context, filter domain.ActionFilter) ([]actionLine, error) {
	actions, err := k.server.ports.ActionLog.OperatorActions(ctx, filter)
	lines := make([]actionLine, len(actions))
	for i, action := range actions {
		lines[i].OperatorAction = action
		lines[i].Was, lines[i].Is = differing(action.Before, action.After)
	}
	return lines, err
}

func (k *console) actions(c *gin.Context) {
	text := func(name string) string { return strings.TrimSpace(c.Query(name)) }
	page := actionsPage{Actor: text("actor"), Action: text("action"), Target: text("target")}
	filter := domain.ActionFilter{Actor: page.Actor, Action: page.Action, Target: page.Target, Limit: actionPageLength + 1}
	var err error
	if cursor := text("cursor"); cursor != "" {
		filter.BeforeID, err = decodeCursor(cursorActions, cursor)
	}
	if err == nil {
		page.Actions, err = k.actionLines(c.Request.Context(), filter)
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
