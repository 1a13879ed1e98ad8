package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// actionView is what an operator did. Before and After are whatever JSON describes the thing that was changed.
type actionView struct {
	ID     int64           `json:"id,string"`
	Actor  string          `json:"actor"`
	Action string          `json:"action"`
	Target string          `json:"target"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	At     time.Time       `json:"at"`
}

// actionPage is a part of the history, newest first; next_cursor is there while more follows.
type actionPage struct {
	Actions    []actionView `json:"actions"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// adminActions answers GET /v1/admin/actions?actor=&action=&target=&from=&until=&cursor=&limit=.
func (s *Server) adminActions(c *gin.Context) {
	q := newQuery(c, "actor", "action", "target", "from", "until", "cursor", "limit")
	filter := domain.ActionFilter{
		Actor: q.values.Get("actor"), Action: q.values.Get("action"), Target: q.values.Get("target"),
		From: q.time("from"), Until: q.time("until"), BeforeID: q.cursor(cursorActions), Limit: q.limit(),
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	page, err := s.actions(c.Request.Context(), filter)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, page)
}

// actions gives a page of the history. CodeInvalidRequest, CodeUnavailable.
func (s *Server) actions(ctx context.Context, filter domain.ActionFilter) (actionPage, error) {
	limit := filter.Limit
	filter.Limit = min(limit+1, domain.MaxPage)
	actions, err := s.ports.ActionLog.OperatorActions(ctx, filter)
	if err != nil {
		return actionPage{}, err
	}
	shown, cursor := pageOf(actions, limit, filter.Limit, func(a domain.OperatorAction) string {
		return encodeCursor(cursorActions, a.ID)
	})
	page := actionPage{Actions: make([]actionView, len(shown)), NextCursor: cursor}
	for i, a := range shown {
		page.Actions[i] = actionView{
			ID: a.ID, Actor: a.Actor, Action: a.Action, Target: a.Target,
			Before: rawJSON(a.Before), After: rawJSON(a.After), At: a.At.UTC(),
		}
	}
	return page, nil
}

// rawJSON is nil for a text that is empty or no JSON.
func rawJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}

// pageOf cuts a list to limit, given that one more was asked for unless that was domain.MaxPage already, and makes the
// cursor that continues it. Only a full page of domain.MaxPage may be followed by an empty one.
func pageOf[T any](list []T, limit, asked int, cursorAfter func(last T) string) (shown []T, cursor string) {
	shown = list[:min(len(list), limit)]
	if len(list) == asked && len(shown) > 0 {
		cursor = cursorAfter(shown[len(shown)-1])
	}
	return shown, cursor
}

// adminSelf answers GET /v1/admin/operator: whose token it is, and what it allows.
func (s *Server) adminSelf(c *gin.Context) {
	operator := operatorOf(c)
	c.JSON(http.StatusOK, gin.H{"name": operator.Name, "role": operator.Role})
}
