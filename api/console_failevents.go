package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// eventPageLength is how many fail events a page of the console shows.
const eventPageLength = 50

// eventFilter is what an operator looks for: the texts of the address, which can be sent to a colleague.
type eventFilter struct {
	Status, Reason, Campaign, UserID, From, Until, Text, Cursor string
}

// Fields are the parameters in the order in which they stand in an address.
func (f eventFilter) Fields() []hiddenField {
	return []hiddenField{
		{"status", f.Status}, {"reason", f.Reason}, {"campaign", f.Campaign}, {"user_id", f.UserID},
		{"from", f.From}, {"until", f.Until}, {"text", f.Text},
	}
}

// filterFields are the names of the filter's fields, in order.
var filterFields = []string{"status", "reason", "campaign", "user_id", "from", "until", "text", "cursor"}

// Query writes the filter as an address; what is empty is left out, and so is the place in the list.
func (f eventFilter) Query() string {
	values := url.Values{}
	for _, field := range f.Fields() {
		if field.Value != "" {
			values.Set(field.Name, field.Value)
		}
	}
	return values.Encode()
}

// With gives the address of the list with another status.
func (f eventFilter) With(status string) string {
	f.Status = status
	return "/console/fail-events?" + f.Query()
}

// Empty says that nothing is filtered.
func (f eventFilter) Empty() bool { return f.Query() == "" }

func filterOf(values url.Values) eventFilter {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	return eventFilter{
		Status: text("status"), Reason: text("reason"), Campaign: text("campaign"), UserID: text("user_id"),
		From: text("from"), Until: text("until"), Text: text("text"), Cursor: text("cursor"),
	}
}

// parse gives the ledger's filter, or says what is wrong in which field.
func (f eventFilter) parse() (domain.FailEventFilter, fieldErrors) {
	errs := fieldErrors{}
	filter := domain.FailEventFilter{
		Status: domain.FailStatus(f.Status), Reason: domain.FailReason(f.Reason), Campaign: f.Campaign, Text: f.Text,
	}
	if f.UserID != "" {
		user, err := domain.ParseUserID(f.UserID)
		if filter.UserID = user; err != nil {
			errs["user_id"] = "A number above 0, such as 42."
		}
	}
	if at := readTime(f.From, "from", errs); at != nil {
		filter.From = *at
	}
	if at := readTime(f.Until, "until", errs); at != nil {
		filter.Until = *at
	}
	if f.Cursor != "" {
		before, err := decodeCursor(cursorFailEvents, f.Cursor)
		if filter.BeforeID = before; err != nil {
			errs["cursor"] = "This page does not exist; go to the first one."
		}
	}
	errs.add(filter.Check())
	return filter, errs
}

// eventsPage is what the list of fail events shows.
type eventsPage struct {
	Filter    eventFilter
	Errors    []fieldError
	Events    []failEventView
	Next      string
	Tabs      []statusTab
	Reasons   []domain.FailReason
	Campaigns []domain.Campaign
	// Open says that some filter in addition to the status is set, so that its fields are shown.
	Open bool
}

// statusTab leads to the events of a status, and says how many there are.
type statusTab struct {
	Name, Status, Address, Count string
	Here                         bool
}

// failEvents answers GET /console/fail-events. A script that changes the filter gets the list alone, and the address
// that stands for it.
func (k *console) failEvents(c *gin.Context) {
	page := eventsPage{Filter: filterOf(c.Request.URL.Query()), Reasons: domain.FailReasons, Campaigns: k.server.admission.Campaigns(c.Request.Context())}
	filter, errs := page.Filter.parse()
	page.Errors, page.Open = errs.inOrder(filterFields...), page.Filter.With("") != "/console/fail-events?"
	if len(errs) == 0 {
		filter.Limit = eventPageLength
		list, err := k.server.failEvents(c.Request.Context(), filter)
		if err != nil {
			k.fail(c, err)
			return
		}
		page.Events = list.FailEvents
		if list.NextCursor != "" {
			page.Next = "/console/fail-events?" + page.Filter.Query() + "&cursor=" + list.NextCursor
		}
		counts, err := k.server.ports.FailEventReader.CountFailEvents(c.Request.Context(), page.Filter.Campaign, maxCounted)
		if err != nil {
			k.fail(c, err)
			return
		}
		page.Tabs = tabsOf(page.Filter, counts)
	}
	if c.GetHeader("HX-Request") != "" {
		c.Header("HX-Push-Url", "/console/fail-events?"+page.Filter.Query())
		k.fragment(c, "fail_events", "events", page)
		return
	}
	k.render(c, http.StatusOK, "fail_events", "Fail events", page)
}

func tabsOf(filter eventFilter, counts []domain.FailEventCount) []statusTab {
	sums, capped := map[domain.FailStatus]int64{}, map[domain.FailStatus]bool{}
	for _, count := range counts {
		if filter.Reason != "" && filter.Reason != string(count.Reason) {
			continue
		}
		sums[count.Status] += count.Count
		capped[count.Status] = capped[count.Status] || count.Count >= maxCounted
	}
	tabs := []statusTab{{Name: "All", Address: filter.With(""), Here: filter.Status == ""}}
	for _, status := range domain.FailStatuses {
		tab := statusTab{
			Name: string(status), Status: string(status), Address: filter.With(string(status)),
			Here: filter.Status == string(status), Count: grouped(digits(sums[status])),
		}
		if capped[status] {
			tab.Count += "+"
		}
		tabs = append(tabs, tab)
	}
	return tabs
}

// reasonsInWords say what a reason means and what may help.
var reasonsInWords = map[domain.FailReason]string{
	domain.ReasonUnparsable:      "The record holds no user ID that could be read. Nobody was promised anything by it: look at who wrote it to the topic, then discard it.",
	domain.ReasonUnknownCampaign: "The record names a campaign that does not exist. Create it and retry, or discard the record.",
	domain.ReasonRecordRefused:   "Kafka refused the record, so the coupon is stored from this event. Look at the topic's max.message.bytes.",
	domain.ReasonRowRefused:      "The database refused the row. The error says why; when that is mended, retry.",
	domain.ReasonSlotTaken:       "Another user's coupon has the slot. A retry asks the gate for another one, while one is free.",
	domain.ReasonOverQuota:       "The slot is above the campaign's quota. Raise the quota and retry, or discard.",
	domain.ReasonNoSlotLeft:      "The gate was rebuilt, and no slot is left for this user. Raise the quota, or discard; a slot that gets free is taken by a retry.",
}

// eventPage is what the page of one fail event shows.
type eventPage struct {
	failEventView
	Meaning  string
	Raw, Hex string
	RawBytes int
	History  []attemptView
	// CanChange says that it is neither being processed nor resolved.
	CanChange bool
}

func (k *console) failEvent(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	event, attempts, err := k.server.ports.FailEventReader.FailEvent(c.Request.Context(), id)
	if err != nil {
		k.fail(c, err)
		return
	}
	page := eventPage{
		failEventView: viewFailEvent(event), Meaning: reasonsInWords[event.Reason], RawBytes: len(event.Raw),
		Raw: printable(event.Raw), Hex: base64.StdEncoding.EncodeToString(event.Raw),
		CanChange: event.DiscardedAt.IsZero() && (event.Status == domain.FailStatusFail || event.Status == domain.FailStatusDead),
	}
	for _, attempt := range attempts {
		page.History = append(page.History, viewAttempt(attempt))
	}
	k.render(c, http.StatusOK, "fail_event", "Fail event "+digits(id), page)
}

func (k *console) retryEvent(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		_, err = k.server.eventSteps.Retry(c.Request.Context(), id, actorOf(c))
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	k.server.record(c, "fail event made due", "fail_event", id)
	c.Redirect(http.StatusSeeOther, "/console/fail-events/"+digits(id)+"?note=retried")
}

func (k *console) confirmDiscard(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	k.askDiscard(c, http.StatusOK, id, "", "")
}

func (k *console) askDiscard(c *gin.Context, status int, id int64, reason, wrong string) {
	page := "/console/fail-events/" + digits(id)
	k.confirm(c, status, confirmation{
		Question: "Discard fail event " + digits(id) + "?",
		Says: []string{
			"Its user gets no coupon, and no later one either: a late copy of the record must not bring them back. A slot that it holds goes to the next new applicant.",
		},
		Action: page + "/discard", Back: page, AsksReason: true, Reason: reason, Error: wrong, Button: "Discard it", Danger: true,
	})
}

func (k *console) discardEvent(c *gin.Context) {
	id, err := pathID(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	reason := strings.TrimSpace(fields.Get("reason"))
	_, err = k.server.eventSteps.Discard(c.Request.Context(), id, reason, actorOf(c))
	if wrong, ofForm := inField(err); ofForm && wrong["reason"] != "" {
		k.askDiscard(c, http.StatusUnprocessableEntity, id, reason, wrong["reason"])
		return
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	k.server.record(c, "fail event discarded", "fail_event", id)
	c.Redirect(http.StatusSeeOther, "/console/fail-events/"+digits(id)+"?note=discarded")
}

func number(text string) int64 {
	value, _ := strconv.ParseInt(text, 10, 64)
	return value
}
