package api

import (
	"context"
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

func viewAttempt(a domain.FailEventAttempt) attemptView {
	return attemptView{
		Number: a.Number, StartedAt: a.StartedAt.UTC(), FinishedAt: instant(a.FinishedAt),
		Outcome: a.Outcome, Error: a.ErrorMessage, Actor: a.Actor,
	}
}

// failEventFilters are the parameters that select fail events.
var failEventFilters = []string{"status", "reason", "campaign", "user_id", "from", "until", "text"}

// failEventFilter reads the parameters that select fail events.
func (q *query) failEventFilter() domain.FailEventFilter {
	filter := domain.FailEventFilter{
		Status: domain.FailStatus(q.oneOf("status", names(domain.FailStatuses)...)),
		Reason: domain.FailReason(q.oneOf("reason", names(domain.FailReasons)...)),
		UserID: q.userID("user_id"), From: q.time("from"), Until: q.time("until"), Text: q.values.Get("text"),
		Campaign: q.campaign(),
	}
	if err := filter.Check(); err != nil && q.err == nil {
		q.err = err
	}
	return filter
}

func names[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}

// failEventPage is a part of the list; next_cursor is there while more may follow.
type failEventPage struct {
	FailEvents []failEventView `json:"fail_events"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

// adminFailEvents answers GET /v1/admin/fail-events with the parameters of failEventFilters, a cursor and a limit,
// newest first.
func (s *Server) adminFailEvents(c *gin.Context) {
	q := newQuery(c, append([]string{"cursor", "limit"}, failEventFilters...)...)
	filter := q.failEventFilter()
	filter.BeforeID, filter.Limit = q.cursor(cursorFailEvents), q.limit()
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	page, err := s.failEvents(c.Request.Context(), filter)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, page)
}

// failEvents gives a page of events. CodeInvalidRequest, CodeUnavailable.
func (s *Server) failEvents(ctx context.Context, filter domain.FailEventFilter) (failEventPage, error) {
	limit := filter.Limit
	filter.Limit = min(limit+1, domain.MaxPage)
	events, err := s.ports.FailEventReader.FailEvents(ctx, filter)
	if err != nil {
		return failEventPage{}, err
	}
	shown, cursor := pageOf(events, limit, filter.Limit, func(event domain.FailEvent) string {
		return encodeCursor(cursorFailEvents, event.ID)
	})
	page := failEventPage{FailEvents: make([]failEventView, len(shown)), NextCursor: cursor}
	for i, event := range shown {
		page.FailEvents[i] = viewFailEvent(event)
	}
	return page, nil
}

// failEventCounts is how many events there are, by status, by reason, and by both. A count that reaches
// CountedUpTo means that many or more.
type failEventCounts struct {
	ByStatus    map[domain.FailStatus]int64 `json:"by_status"`
	ByReason    map[domain.FailReason]int64 `json:"by_reason"`
	Cells       []failEventCell             `json:"cells"`
	CountedUpTo int64                       `json:"counted_up_to"`
}

// failEventCell counts the events of one status and reason.
type failEventCell struct {
	Status domain.FailStatus `json:"status"`
	Reason domain.FailReason `json:"reason"`
	Count  int64             `json:"count"`
}

// adminCountFailEvents answers GET /v1/admin/fail-event-counts?campaign=.
func (s *Server) adminCountFailEvents(c *gin.Context) {
	q := newQuery(c, "campaign")
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	counts, err := s.countFailEvents(c.Request.Context(), q.campaign())
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, counts)
}

// countFailEvents counts the events of a campaign, or of all. CodeUnavailable.
func (s *Server) countFailEvents(ctx context.Context, campaign string) (failEventCounts, error) {
	counts, err := s.ports.FailEventReader.CountFailEvents(ctx, campaign, maxCounted)
	view := failEventCounts{
		ByStatus: byStatus(counts), ByReason: map[domain.FailReason]int64{}, Cells: make([]failEventCell, len(counts)),
		CountedUpTo: maxCounted,
	}
	for _, reason := range domain.FailReasons {
		view.ByReason[reason] = 0
	}
	for i, count := range counts {
		view.Cells[i] = failEventCell(count)
		view.ByReason[count.Reason] = min(view.ByReason[count.Reason]+count.Count, maxCounted)
	}
	return view, err
}

func (s *Server) adminFailEvent(c *gin.Context) {
	id, err := pathID(c)
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
		detail.History[i] = viewAttempt(a)
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

// pathID reads the ID in the path.
func pathID(c *gin.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, domain.Invalid("id", "id must be a positive integer in digits")
	}
	return id, nil
}

// adminRetryFailEvent answers POST /v1/admin/fail-events/{id}/retry, which needs no body.
func (s *Server) adminRetryFailEvent(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	event, err := s.eventSteps.Retry(c.Request.Context(), id, actorOf(c))
	s.answerFailEvent(c, "fail event made due", event, err)
}

// adminDiscardFailEvent answers POST /v1/admin/fail-events/{id}/discard with the body {"reason": "..."}.
func (s *Server) adminDiscardFailEvent(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	var reason string
	if err := s.readObject(c, map[string]any{"reason": &reason}); err != nil {
		s.refuse(c, err)
		return
	}
	event, err := s.eventSteps.Discard(c.Request.Context(), id, reason, actorOf(c))
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
