package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// maxBulkAtOnce bounds the bulk jobs that one process works on.
const maxBulkAtOnce = 4

// bulkView is a bulk job. Its progress is Done of Matched; events that somebody else came to first are in neither.
type bulkView struct {
	ID         int64             `json:"id,string"`
	Action     domain.BulkAction `json:"action"`
	Reason     string            `json:"reason,omitempty"`
	Filter     bulkFilterView    `json:"filter"`
	Actor      string            `json:"actor"`
	Status     domain.BulkStatus `json:"status"`
	Matched    int64             `json:"matched"`
	Done       int64             `json:"done"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	FinishedAt *time.Time        `json:"finished_at,omitempty"`
}

// bulkFilterView is the filter of a bulk order; what is left out selects everything.
type bulkFilterView struct {
	Status   domain.FailStatus `json:"status,omitempty"`
	Reason   domain.FailReason `json:"reason,omitempty"`
	Campaign string            `json:"campaign,omitempty"`
	UserID   string            `json:"user_id,omitempty"`
	From     *time.Time        `json:"from,omitempty"`
	Until    *time.Time        `json:"until,omitempty"`
	Text     string            `json:"text,omitempty"`
}

func viewBulk(job domain.BulkJob) bulkView {
	view := bulkView{
		ID: job.ID, Action: job.Action, Reason: job.Reason, Actor: job.Actor, Status: job.Status,
		Matched: job.Matched, Done: job.Done, CreatedAt: job.CreatedAt.UTC(), UpdatedAt: job.UpdatedAt.UTC(),
		FinishedAt: instant(job.FinishedAt),
		Filter: bulkFilterView{
			Status: job.Filter.Status, Reason: job.Filter.Reason, Campaign: job.Filter.Campaign, Text: job.Filter.Text,
			From: instant(job.Filter.From), Until: instant(job.Filter.Until),
		},
	}
	if job.Filter.UserID > 0 {
		view.Filter.UserID = job.Filter.UserID.String()
	}
	return view
}

// bulkCountView is the answer of a dry run. A Matched of Limit means that many or more; one job takes no more than that.
type bulkCountView struct {
	DryRun  bool  `json:"dry_run"`
	Matched int64 `json:"matched"`
	Limit   int64 `json:"limit"`
}

// adminStartBulk answers POST /v1/admin/bulk-jobs with {"action": "retry" or "discard", "reason": "...", "filter":
// {...}, "dry_run": true}. A dry run only counts: 200. Else the job is begun: 202, and its progress is asked for at the
// Location.
func (s *Server) adminStartBulk(c *gin.Context) {
	order, dryRun, err := s.readBulkOrder(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	if dryRun {
		s.answerDryRun(c, order)
		return
	}
	job, err := s.startBulk(c.Request.Context(), order, actorOf(c))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.answerBulk(c, job)
}

func (s *Server) answerBulk(c *gin.Context, job domain.BulkJob) {
	s.record(c, "bulk job begun", "bulk_job", job.ID, "action", job.Action)
	c.Header("Location", "/v1/admin/bulk-jobs/"+strconv.FormatInt(job.ID, 10))
	c.JSON(http.StatusAccepted, viewBulk(job))
}

func (s *Server) answerDryRun(c *gin.Context, order domain.BulkOrder) {
	matched, err := s.ports.BulkReader.CountBulk(c.Request.Context(), order, domain.MaxBulkEvents)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, bulkCountView{DryRun: true, Matched: matched, Limit: domain.MaxBulkEvents})
}

func (s *Server) readBulkOrder(c *gin.Context) (order domain.BulkOrder, dryRun bool, err error) {
	var filter json.RawMessage
	err = s.readObject(c, map[string]any{
		"action": &order.Action, "reason": &order.Reason, "filter": &filter, "dry_run": &dryRun,
	})
	if err != nil {
		return order, dryRun, err
	}
	if filter == nil {
		return order, dryRun, domain.Invalid("filter", "filter must be there; an empty object selects everything")
	}
	if order.Filter, err = decodeBulkFilter(filter); err != nil {
		return order, dryRun, err
	}
	if err := order.Filter.Check(); err != nil {
		return order, dryRun, err
	}
	return order, dryRun, order.Check()
}

func decodeBulkFilter(raw []byte) (domain.FailEventFilter, error) {
	var filter domain.FailEventFilter
	var user string
	var from, until *time.Time
	err := decodeObject(raw, map[string]any{
		"status": &filter.Status, "reason": &filter.Reason, "campaign": &filter.Campaign, "user_id": &user,
		"from": &from, "until": &until, "text": &filter.Text,
	})
	if err != nil {
		return filter, err
	}
	if filter.Campaign != "" {
		if err := domain.CheckCampaignCode(filter.Campaign); err != nil {
			return filter, domain.Invalid("campaign", "campaign is no campaign code")
		}
	}
	if user != "" {
		if filter.UserID, err = domain.ParseUserID(user); err != nil {
			return filter, err
		}
	}
	if from != nil {
		filter.From = from.UTC()
	}
	if until != nil {
		filter.Until = until.UTC()
	}
	return filter, nil
}

// startBulk makes a bulk job and has this process work on it. CodeOverloaded: it works on as many as it may.
func (s *Server) startBulk(ctx context.Context, order domain.BulkOrder, actor string) (domain.BulkJob, error) {
	return s.work(func() (domain.BulkJob, error) { return s.ports.BulkRunner.StartBulk(ctx, order, actor) })
}

// resumeBulk takes up a job whose process is gone. CodeNotFound, CodeConflict, CodeOverloaded.
func (s *Server) resumeBulk(ctx context.Context, id int64, actor string) (domain.BulkJob, error) {
	return s.work(func() (domain.BulkJob, error) { return s.ports.BulkRunner.TakeBulk(ctx, id, actor) })
}

// work gets a job and works on it in the background, step by step, until it is done, somebody else has taken it up, or
// the server is closed. A crash, a close and a database that stays away for longer than the lease leave an abandoned job,
// which goes on where it stopped once an operator resumes it.
func (s *Server) work(get func() (domain.BulkJob, error)) (domain.BulkJob, error) {
	select {
	case s.bulkPlaces <- struct{}{}:
	default:
		return domain.BulkJob{}, domain.Errorf(domain.CodeOverloaded, "this process works on %d bulk jobs already", maxBulkAtOnce)
	}
	job, err := get()
	if err != nil {
		<-s.bulkPlaces
		return job, err
	}
	s.running.Go(func() {
		defer func() { <-s.bulkPlaces }()
		s.finishBulk(s.background, job)
	})
	return job, nil
}

// bulkPause is how long a step waits that failed because the database was away.
const bulkPause = time.Second

func (s *Server) finishBulk(ctx context.Context, job domain.BulkJob) {
	patience := time.Now().Add(domain.BulkLease)
	for job.Status == domain.BulkRunning && ctx.Err() == nil {
		next, err := s.ports.BulkRunner.StepBulk(ctx, job)
		switch {
		case err == nil:
			crashpoint.Reach(crashpoint.APIBulkStepped)
			job, patience = next, time.Now().Add(domain.BulkLease)
			continue
		case !domain.IsTransient(err) || time.Now().After(patience):
			s.logger.Warn("a bulk job was left", "bulk_job", job.ID, "done", job.Done, "error", err)
			return
		}
		select {
		case <-time.After(bulkPause):
		case <-ctx.Done():
		}
	}
	if job.Status == domain.BulkDone {
		s.logger.Info("a bulk job is done", "bulk_job", job.ID, "done", job.Done, "matched", job.Matched)
	}
}

// adminResumeBulk answers POST /v1/admin/bulk-jobs/{id}/resume.
func (s *Server) adminResumeBulk(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	job, err := s.resumeBulk(c.Request.Context(), id, actorOf(c))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.answerBulk(c, job)
}

// adminBulkJob answers GET /v1/admin/bulk-jobs/{id}.
func (s *Server) adminBulkJob(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	job, err := s.ports.BulkReader.BulkJob(c.Request.Context(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, viewBulk(job))
}

// bulkPage is a part of the list of jobs, newest first; next_cursor is there while more follows.
type bulkPage struct {
	BulkJobs   []bulkView `json:"bulk_jobs"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

// adminBulkJobs answers GET /v1/admin/bulk-jobs?cursor=&limit=.
func (s *Server) adminBulkJobs(c *gin.Context) {
	q := newQuery(c, "cursor", "limit")
	before, limit := q.cursor(cursorBulk), q.limit()
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	asked := min(limit+1, domain.MaxPage)
	jobs, err := s.ports.BulkReader.BulkJobs(c.Request.Context(), before, asked)
	if err != nil {
		s.refuse(c, err)
		return
	}
	shown, cursor := pageOf(jobs, limit, asked, func(job domain.BulkJob) string { return encodeCursor(cursorBulk, job.ID) })
	page := bulkPage{BulkJobs: make([]bulkView, len(shown)), NextCursor: cursor}
	for i, job := range shown {
		page.BulkJobs[i] = viewBulk(job)
	}
	c.JSON(http.StatusOK, page)
}
