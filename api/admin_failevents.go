package api

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

type failEventView struct {
	ID         int64             `json:"id,string"`
	Campaign   string            `json:"campaign,omitempty"`
	UserID     string            `json:"user_id,omitempty"`
	Slot       domain.Slot       `json:"slot,omitempty"`
	Epoch      int64             `json:"epoch"`
	AdmittedAt *time.Time        `json:"admitted_at,omitempty"`
	Status     domain.FailStatus `json:"status"`
	Reason     domain.FailReason `json:"reason"`
	Error      string            `json:"error_message"`
	Attempts   int               `json:"attempts"`
	// NextAttemptAt is there while the event is FAIL, LeaseUntil while it is PROCESSING.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	LeaseUntil    *time.Time `json:"lease_until,omitempty"`
	DiscardedAt   *time.Time `json:"discarded_at,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	Topic         string     `json:"topic"`
	Partition     int32      `json:"partition"`
	Offset        int64      `json:"offset,string"`
}

func viewFailEvent(event domain.FailEvent) failEventView {
	view := failEventView{
		ID: event.ID, Campaign: event.Campaign, Slot: max(event.Slot, domain.NoSlot), Epoch: event.Epoch,
		AdmittedAt: instant(event.AdmittedAt), Status: event.Status, Reason: event.Reason, Error: event.ErrorMessage,
		Attempts: event.Attempts, DiscardedAt: instant(event.DiscardedAt),
		CreatedAt: event.CreatedAt.UTC(), UpdatedAt: event.UpdatedAt.UTC(),
		Topic: event.Position.Topic, Partition: event.Position.Partition, Offset: event.Position.Offset,
	}
	if event.UserID > 0 {
		view.UserID = event.UserID.String()
	}
	switch event.Status {
	case domain.FailStatusFail:
		view.NextAttemptAt = instant(event.NextAttemptAt)
	case domain.FailStatusProcessing:
		view.LeaseUntil = instant(event.LeaseUntil)
	}
	return view
}

// failEventDetail adds the record as it came and every attempt at storing it, oldest first.
type failEventDetail struct {
	failEventView
	RawBase64 string        `json:"raw_base64"`
	RawText   string        `json:"raw_text"`
	History   []attemptView `json:"attempt_history"`
}

type attemptView struct {
	Number     int        `json:"number"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Outcome    string     `json:"outcome"`
	Error      string     `json:"error_message"`
	Actor      string     `json:"actor"`
}

// adminFailEvents answers GET /v1/admin/fail-events?status=&reason=&campaign=&user_id=&cursor=&limit=, newest first.
func (s *Server) adminFailEvents(c *gin.Context) {
	q := newQuery(c, "status", "reason", "campaign", "user_id", "cursor", "limit")
	limit := q.limit()
	filter := domain.FailEventFilter{
		Status: domain.FailStatus(q.oneOf("status", "FAIL", "PROCESSING", "SUCCESS", "DEAD")),
		Reason: domain.FailReason(q.oneOf("reason", "UNPARSABLE", "UNKNOWN_CAMPAIGN", "ROW_REFUSED", "SLOT_TAKEN",
			"OVER_QUOTA", "NO_SLOT_LEFT")),
		Campaign: q.campaign(), UserID: q.userID("user_id"), BeforeID: q.cursor(cursorFailEvents), Limit: min(limit+1, domain.MaxPage),
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	events, err := s.ports.FailEventReader.FailEvents(c.Request.Context(), filter)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, pageOfFailEvents(events, limit, filter.Limit))
}

// failEventPage is a part of the list; next_cursor is there while more may follow.
type failEventPage struct {
	FailEvents []failEventView `json:"fail_events"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// pageOfFailEvents makes a page of at most limit events. The ledger was asked for one more, which tells whether another
// page follows; only a page of domain.MaxPage leaves no room for that, and may be followed by an empty one.
func pageOfFailEvents(events []domain.FailEvent, limit, asked int) failEventPage {
	full := len(events) == asked
	events = events[:min(len(events), limit)]
	list := failEventPage{FailEvents: make([]failEventView, len(events))}
	for i, event := range events {
		list.FailEvents[i] = viewFailEvent(event)
	}
	if full {
		list.NextCursor = encodeCursor(cursorFailEvents, events[len(events)-1].ID)
	}
	return list
}

func (s *Server) adminFailEvent(c *gin.Context) {
	id, err := failEventID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	event, attempts, err := s.ports.FailEventReader.FailEvent(c.Request.Context(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	detail := failEventDetail{
		failEventView: viewFailEvent(event), RawBase64: base64.StdEncoding.EncodeToString(event.Raw),
		RawText: printable(event.Raw), History: make([]attemptView, len(attempts)),
	}
	for i, a := range attempts {
		detail.History[i] = attemptView{
			Number: a.Number, StartedAt: a.StartedAt.UTC(), FinishedAt: instant(a.FinishedAt),
			Outcome: a.Outcome, Error: a.ErrorMessage, Actor: a.Actor,
		}
	}
	c.JSON(http.StatusOK, detail)
}

// printable shows bytes as text; whatever can't be seen becomes U+FFFD.
func printable(raw []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, string(raw))
}

func failEventID(c *gin.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, domain.Invalid("id", "id must be a positive integer in digits")
	}
	return id, nil
}

// adminRetryFailEvent answers POST /v1/admin/fail-events/{id}/retry, which needs no body.
func (s *Server) adminRetryFailEvent(c *gin.Context) {
	id, err := failEventID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	event, err := s.ports.FailEventOperator.RetryFailEvent(c.Request.Context(), id, actorOf(c))
	s.answerFailEvent(c, "fail event made due", event, err)
}

// adminDiscardFailEvent answers POST /v1/admin/fail-events/{id}/discard with the body {"reason": "..."}.
func (s *Server) adminDiscardFailEvent(c *gin.Context) {
	id, err := failEventID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	var reason string
	if err := s.readObject(c, map[string]any{"reason": &reason}); err != nil {
		s.refuse(c, err)
		return
	}
	if strings.TrimSpace(reason) == "" {
		s.refuse(c, domain.Invalid("reason", "reason must say why the event is given up"))
		return
	}
	event, err := s.ports.FailEventOperator.DiscardFailEvent(c.Request.Context(), id, reason, actorOf(c))
	s.answerFailEvent(c, "fail event discarded", event, err)
}

func (s *Server) answerFailEvent(c *gin.Context, action string, event domain.FailEvent, err error) {
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.record(c, action, "fail_event", event.ID)
	c.JSON(http.StatusOK, viewFailEvent(event))
}
