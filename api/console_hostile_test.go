package api

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// hostile is what must stay text wherever it stands: in an element, in an attribute, in an address.
const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)><a href="javascript:alert(1)">{{.}}`

// withHostileTexts fills every text that comes from outside: from applicants, other programs, drivers and operators.
func (b *fixture) withHostileTexts() *fixture {
	b.withEvents(2)
	b.ledger.campaigns[0].Name = hostile
	b.ledger.coupons = []domain.Coupon{{Campaign: "spring", UserID: 7, Slot: 1, AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt}}
	for i := range b.ledger.events {
		event := &b.ledger.events[i]
		event.Campaign, event.ErrorMessage, event.Raw, event.Position.Topic = hostile, hostile, []byte(hostile), hostile
		event.Reason, event.LeaseToken = domain.FailReason(hostile), hostile
	}
	b.ledger.attempts = []domain.FailEventAttempt{{Number: 1, Outcome: hostile, ErrorMessage: hostile, Actor: hostile, StartedAt: admissiontest.AdmittedAt}}
	b.ledger.audits = []domain.AuditResult{
		{Campaign: hostile, Error: hostile, DifferencesTotal: 1, FinishedAt: admissiontest.AdmittedAt, Differences: []domain.AuditDifference{
			{Kind: hostile, UserID: 7, Found: []string{hostile}, Missing: []string{hostile}, Detail: hostile},
		}},
	}
	b.operated.actions = []domain.OperatorAction{
		{ID: 2, Actor: hostile, Action: hostile, Target: hostile, Before: hostile, After: `{"name":"</td><script>alert(1)</script>"}`, At: admissiontest.AdmittedAt},
	}
	b.operated.jobs = []domain.BulkJob{
		{ID: 1, BulkOrder: domain.BulkOrder{Action: domain.BulkDiscard, Reason: hostile, Filter: domain.FailEventFilter{Text: hostile}}, Actor: hostile, Status: domain.BulkAbandoned},
	}
	b.operated.beats = []domain.Heartbeat{{
		Process: hostile, Host: hostile, Version: hostile, SeenAt: time.Now(), StartedAt: admissiontest.AdmittedAt,
		Consumer: &domain.ConsumerState{Paused: hostile}, Retryer: &domain.RetryerState{Jobs: []domain.JobState{{Name: hostile, LastError: hostile}}},
	}}
	b.cfg.Version = hostile
	b.cfg.Tokens = []OperatorToken{{Name: hostile, Role: domain.RoleOperator, Hash: sha256.Sum256([]byte(viewerToken))}}
	b.pipeline = func(context.Context) (PipelineView, error) {
		return PipelineView{}, domain.Errorf(domain.CodeConflict, "%s", hostile)
	}
	return b
}

var pageName = regexp.MustCompile(`<body class="([a-z_]+)">`)

// Whatever anybody has written, a page of the console has its own elements and no other's. Every template is looked at.
func TestNoTextBecomesPartOfAPage(t *testing.T) {
	b := newFixture(t).withHostileTexts().start()
	operator := b.logIn(viewerToken)
	typed, escaped := url.Values{}, url.QueryEscape(hostile)
	for _, field := range []string{"code", "name", "quota", "starts_at", "ends_at", "rows_per_second", "text", "campaign", "status", "user_id", "do"} {
		typed.Set(field, hostile)
	}
	bulk := url.Values{"do": {"discard"}, "id": {"1", "2"}, "reason": {hostile}}
	pages := map[string]reply{
		"a campaign that is wrong": operator.post("/console/campaigns", typed),
		"a change that is wrong":   operator.post("/console/campaigns/spring/change", typed),
		"a wrong throttle":         operator.post("/console/pipeline/throttle", typed),
		"a confirmation":           operator.post("/console/fail-events/confirm", url.Values{"do": {"retry-all"}, "text": {hostile}}),
		"a wrong bulk step":        operator.post("/console/fail-events/confirm", typed),
		"what was done":            operator.post("/console/fail-events/bulk", bulk),
		"a wrong login":            b.send(visitor{b: b}, http.MethodPost, "/console/login", url.Values{"token": {hostile}, "next": {hostile}}),
		"a login":                  b.get("/console/login?next=" + escaped),
	}
	for _, path := range []string{
		"/console/", "/console/campaigns/spring", "/console/campaigns/" + url.PathEscape(hostile), "/console/campaigns/spring/change",
		"/console/campaigns/spring/end", "/console/campaigns/spring/coupons", "/console/campaigns/spring/coupons?cursor=" + escaped,
		"/console/campaigns/" + url.PathEscape(hostile) + "/coupons/7/revoke", "/console/campaigns/spring/coupons/" + url.PathEscape(hostile) + "/revoke",
		"/console/fail-events", "/console/fail-events?text=" + escaped + "&status=" + escaped + "&campaign=" + escaped + "&from=" + escaped,
		"/console/fail-events/1", "/console/fail-events/" + url.PathEscape(hostile), "/console/bulk/1", "/console/pipeline",
		"/console/users?user_id=7", "/console/users?user_id=" + escaped, "/console/users?campaign=" + escaped + "&slot=" + escaped,
		"/console/audit", "/console/actions", "/console/actions?actor=" + escaped + "&action=" + escaped, "/c/spring",
	} {
		pages[path] = operator.get(path)
	}
	seen := map[string]bool{}
	for name, got := range pages {
		require.Less(t, got.Code, 500, "%s: %s", name, got.Body)
		page := got.Body.String()
		if found := pageName.FindStringSubmatch(page); found != nil {
			seen[found[1]] = true
		}
		requireOwnElements(t, name, page)
	}
	for name := range consoleTemplates {
		assert.True(t, seen[name], "no page of %s was looked at", name)
	}
	for name, part := range b.server.console.liveParts(t.Context(), nil).Parts {
		requireOwnElements(t, "the live part "+name, part)
	}
	for _, path := range []string{"/console/", "/console/fail-events/1", "/console/pipeline", "/console/audit", "/console/actions"} {
		assert.Contains(t, textIn(t, pages[path].Body.String()), hostile, "%s shows it as it is", path)
	}
}

// requireOwnElements asserts that no text has made an element, an attribute or an address.
func requireOwnElements(t *testing.T, name, page string) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err, name)
	for node := range document.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		require.NotContains(t, []string{"img", "iframe", "object", "style", "base"}, node.Data, name)
		if node.Data == "script" {
			require.Nil(t, node.FirstChild, "%s runs what stands in it", name)
		}
		for _, attribute := range node.Attr {
			require.False(t, strings.HasPrefix(attribute.Key, "on"), "%s: %v", name, attribute)
			require.NotContains(t, attribute.Key, "alert", "%s: a text became an attribute", name)
			if slices.Contains([]string{"href", "src", "action", "hx-get", "data-chart"}, attribute.Key) {
				require.Regexp(t, `^([/#]|$)`, attribute.Val, "%s leads elsewhere", name)
				require.False(t, strings.HasPrefix(attribute.Val, "//"), "%s leads elsewhere", name)
			}
		}
	}
}

func textIn(t *testing.T, page string) string {
	t.Helper()
	document, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	var text strings.Builder
	for node := range document.Descendants() {
		if node.Type == html.TextNode {
			text.WriteString(node.Data)
		}
	}
	return text.String()
}
