package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// bulkRequest is what an operator wants to do to many fail events: to those of the IDs, or to all that match the filter.
type bulkRequest struct {
	action domain.BulkAction
	all    bool
	ids    []int64
	filter eventFilter
	reason string
}

// readBulk reads the form of the list, or that of the confirmation. CodeInvalidRequest.
func readBulk(c *gin.Context) (bulkRequest, error) {
	fields, err := readForm(c)
	if err != nil {
		return bulkRequest{}, err
	}
	action, all := strings.CutSuffix(fields.Get("do"), "-all")
	request := bulkRequest{
		action: domain.BulkAction(action), all: all, filter: filterOf(fields), reason: strings.TrimSpace(fields.Get("reason")),
	}
	if request.action != domain.BulkRetry && request.action != domain.BulkDiscard {
		return request, domain.Invalid("do", "A bulk step is retry or discard.")
	}
	if all {
		return request, nil
	}
	for _, text := range fields["id"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < 1 {
			return request, domain.Invalid("id", "The number of an event is a positive integer.")
		}
		request.ids = append(request.ids, id)
	}
	if len(request.ids) == 0 || len(request.ids) > domain.MaxPage {
		return request, domain.Invalid("id", "Select 1 to %d events first.", domain.MaxPage)
	}
	return request, nil
}

// order gives what the ledger is asked to do.
func (r bulkRequest) order() (domain.BulkOrder, error) {
	filter, errs := r.filter.parse()
	if err := errs.refusal(filterFields...); err != nil {
		return domain.BulkOrder{}, err
	}
	filter.BeforeID = 0
	return domain.BulkOrder{Action: r.action, Reason: r.reason, Filter: filter}, nil
}

func (r bulkRequest) hidden() []hiddenField {
	hidden := []hiddenField{{"do", string(r.action)}}
	if r.all {
		hidden[0].Value += "-all"
		return append(hidden, r.filter.Fields()...)
	}
	for _, id := range r.ids {
		hidden = append(hidden, hiddenField{"id", digits(id)})
	}
	return hidden
}

// back is the list from which the request came.
func (r bulkRequest) back() string { return "/console/fail-events?" + r.filter.Query() }

// confirmBulk asks once more, and says how many events it is about.
func (k *console) confirmBulk(c *gin.Context) {
	request, err := readBulk(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	k.askBulk(c, http.StatusOK, request, "")
}

func (k *console) askBulk(c *gin.Context, status int, request bulkRequest, wrong string) {
	count, err := k.countBulk(c.Request.Context(), request)
	if err != nil {
		k.fail(c, err)
		return
	}
	verb, says := "Retry", "Each becomes due now, and a retryer takes it up."
	if request.action == domain.BulkDiscard {
		verb, says = "Discard", "Their users get no coupon, and no later one either. Slots that they hold go to the next new applicants. That can't be taken back."
	}
	events := counted(count, "fail event")
	question := confirmation{
		Question: verb + " " + events + "?", Says: []string{says}, Action: "/console/fail-events/bulk", Back: request.back(),
		Hidden: request.hidden(), AsksReason: request.action == domain.BulkDiscard, Reason: request.reason, Error: wrong,
		Button: verb + " " + events, Danger: request.action == domain.BulkDiscard,
	}
	if request.all {
		question.Says = append([]string{"All that match: " + inWords(request.filter) + "."}, question.Says...)
	}
	if count == domain.MaxBulkEvents {
		question.Says = append(question.Says, "There may be more; one step takes no more than that, the newest first.")
	}
	if count == 0 {
		question.Question, question.Nothing, question.AsksReason = "Nothing to "+strings.ToLower(verb), true, false
		question.Says = append(question.Says[:max(len(question.Says)-1, 0)], "No event that waits or was given up matches: what succeeded, is being tried or was discarded is left alone.")
	}
	k.confirm(c, status, question)
}

func (k *console) countBulk(ctx context.Context, request bulkRequest) (int64, error) {
	if !request.all {
		return int64(len(request.ids)), nil
	}
	order, err := request.order()
	if err != nil {
		return 0, err
	}
	if order.Action = domain.BulkRetry; order.Reason != "" {
		order.Reason = "" // both actions select the same events, and a retry needs no reason yet
	}
	return k.server.ports.BulkReader.CountBulk(ctx, order, domain.MaxBulkEvents)
}

// inWords says what a filter selects.
func inWords(filter eventFilter) string {
	var parts []string
	for _, field := range filter.Fields() {
		if field.Value != "" {
			parts = append(parts, strings.ReplaceAll(field.Name, "_", " ")+" “"+field.Value+"”")
		}
	}
	if len(parts) == 0 {
		return "every event, as no filter is set"
	}
	return strings.Join(parts, ", ")
}

// bulkResult is what became of events that were selected one by one.
type bulkResult struct {
	Action   domain.BulkAction
	Done     int
	Refusals []hiddenField // the event, and why it was passed over
	Back     string
}

// startBulk begins what was confirmed. Selected events are handled at once, all that match a filter by a job, whose
// page says how far it is.
func (k *console) startBulk(c *gin.Context) {
	request, err := readBulk(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	if request.action == domain.BulkDiscard {
		if wrong, ofForm := inField(domain.CheckDiscardReason(request.reason)); ofForm {
			k.askBulk(c, http.StatusUnprocessableEntity, request, wrong["reason"])
			return
		}
	}
	if !request.all {
		k.render(c, http.StatusOK, "bulk_result", "Done", k.handleSelected(c, request))
		return
	}
	order, err := request.order()
	if err == nil {
		var job domain.BulkJob
		if job, err = k.server.startBulk(c.Request.Context(), order, actorOf(c)); err == nil {
			k.server.record(c, "bulk job begun", "job", job.ID, "action", job.Action, "matched", job.Matched)
			c.Redirect(http.StatusSeeOther, "/console/bulk/"+digits(job.ID))
			return
		}
	}
	k.fail(c, err)
}

func (k *console) handleSelected(c *gin.Context, request bulkRequest) bulkResult {
	result := bulkResult{Action: request.action, Back: "/console/fail-events"}
	operator := k.server.ports.FailEventOperator
	for _, id := range request.ids {
		var err error
		if request.action == domain.BulkRetry {
			_, err = operator.RetryFailEvent(c.Request.Context(), id, actorOf(c))
		} else {
			_, err = operator.DiscardFailEvent(c.Request.Context(), id, request.reason, actorOf(c))
		}
		if err != nil {
			result.Refusals = append(result.Refusals, hiddenField{digits(id), harmless(err)})
			continue
		}
		result.Done++
	}
	k.server.record(c, "selected fail events: "+string(request.action), "done", result.Done, "passed_over", len(result.Refusals))
	return result
}

// bulkJobPage is the page of one job.
type bulkJobPage struct {
	domain.BulkJob
	Filter eventFilter
}

// InWords says what the job selects.
func (p bulkJobPage) InWords() string { return inWords(p.Filter) }

// PassedOver counts the events that somebody else came to first; known when the job is done.
func (p bulkJobPage) PassedOver() int64 { return p.Matched - p.Done }

// Lists leads to the events that match now.
func (p bulkJobPage) Lists() string { return "/console/fail-events?" + p.Filter.Query() }

func (k *console) bulkJob(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	job, err := k.server.ports.BulkReader.BulkJob(c.Request.Context(), id)
	if err != nil {
		k.fail(c, err)
		return
	}
	page := bulkJobPage{BulkJob: job, Filter: textOf(job.Filter)}
	if c.GetHeader("HX-Request") != "" {
		k.fragment(c, "bulk_job", "progress", page)
		return
	}
	k.render(c, http.StatusOK, "bulk_job", "Bulk "+string(job.Action), page)
}

// textOf writes a filter as an operator would have typed it.
func textOf(filter domain.FailEventFilter) eventFilter {
	values := url.Values{}
	if filter.UserID != 0 {
		values.Set("user_id", filter.UserID.String())
	}
	if !filter.From.IsZero() {
		values.Set("from", filter.From.UTC().Format(time.RFC3339Nano))
	}
	if !filter.Until.IsZero() {
		values.Set("until", filter.Until.UTC().Format(time.RFC3339Nano))
	}
	text := filterOf(values)
	text.Status, text.Reason = string(filter.Status), string(filter.Reason)
	text.Campaign, text.Text = filter.Campaign, filter.Text
	return text
}

// resumeBulk takes an abandoned job up.
func (k *console) resumeBulk(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		_, err = k.server.resumeBulk(c.Request.Context(), id, actorOf(c))
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/console/bulk/"+digits(id))
}
