//go:build browser

package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// TestTheOperatorsDay does in a browser what an operator does on the day of a sale on which the database goes away.
func TestTheOperatorsDay(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	b := openBrowser(t, s.baseURL)

	logIn(b)
	campaign := createsCampaign(s, b)
	watchesApplications(s, b, campaign)
	sees42(s, b, campaign)
	listsCoupons(b, campaign)
	sitsOutAnOutage(s, b, campaign)
	seesTheCurve(b)
	refused := failsSome(s, campaign, 52)
	findsByTextAndRetries(b, refused[0])
	discardsOne(s, b, refused[1])
	retriesInBulk(s, b, campaign, 50)
	looksAtPoison(s, b)
	pausesAndResumes(s, b, campaign)
	throttles(b)
	audits(b, campaign)
	appliesOnThePage(b, campaign)
	looksAtTheRest(b, campaign)
	b.requireNoFault()
}

func logIn(b *browser) {
	b.t.Helper()
	b.open("/console/pipeline")
	b.picture("login")
	b.fill("#token", "wrong")
	b.press(button("/console/login"))
	b.sees("#token-error", "not known", false)
	b.fill("#token", testToken)
	b.press(button("/console/login"))
	b.sees("h1", "Pipeline", false)
}

func createsCampaign(s *system, b *browser) string {
	b.t.Helper()
	code := newCode("day")
	b.open("/console/campaigns/new")
	b.fill("#code", code)
	b.fill("#name", "Spring sale <b>")
	b.fill("#quota", "many")
	b.press(button("/console/campaigns"))
	b.sees("#quota-hint", "whole number", false)
	b.picture("campaign-form")
	b.fill("#quota", "1,300")
	b.press(button("/console/campaigns"))
	b.sees("#messages", "created", false)
	require.Equal(b.t, "Spring sale <b>", b.text("h1"))
	s.eventually("the gate opens", func() bool { return s.must(http.MethodGet, "/v1/campaigns/"+code, nil).text("gate") == "open" })
	return code
}

// watchesApplications sees 1,000 of them come in on a page that is never loaded anew.
func watchesApplications(s *system, b *browser, campaign string) {
	b.t.Helper()
	place := fmt.Sprintf(`[data-live="campaign.%s"]`, campaign)
	b.openUntil("/console/", place) // a page that is older than the campaign would load itself anew
	b.do("mark the page", chromedp.Evaluate("window.before = true", nil))
	first := int64(1)
	for _, last := range []int64{100, 400, 1000} {
		applyAll(s, campaign, first, last)
		first = last + 1
		b.eventually(fmt.Sprintf("%d applications", last), func() bool {
			return b.figure(place, "Applied") == int(last) && b.figure(place, "Issued") == int(last)
		}, false)
	}
	var same bool
	b.ask("window.before === true", &same)
	require.True(b.t, same)
	b.eventually("the rest", func() bool { return b.figure(place, "Remaining") == 300 }, false)
	b.click("#live button")
	b.sees("#live", "Paused", false)
	applyAll(s, campaign, 1001, 1010)
	s.settle(campaign)
	require.Equal(b.t, 1000, b.figure(place, "Applied"), "a page that is paused stays as it is")
	b.click("#live button")
	b.eventually("it goes on", func() bool { return b.figure(place, "Applied") == 1010 }, false)
}

// applyAll applies for users one after the other, some at a time.
func applyAll(s *system, campaign string, first, last int64) {
	const clients = 8
	var applying sync.WaitGroup
	for client := range int64(clients) {
		applying.Go(func() {
			for user := first + client; user <= last; user += clients {
				got, err := s.call(http.MethodPost, "/v1/campaigns/"+campaign+"/apply", map[string]any{"user_id": user})
				if !assert.NoError(s.t, err) || !assert.Less(s.t, got.status, 300, "%v", got.body) {
					return
				}
				pass(s.t, 10*time.Millisecond) // people don't all come within one second
			}
		})
	}
	applying.Wait()
}

func sees42(s *system, b *browser, campaign string) {
	b.t.Helper()
	slot := s.must(http.MethodGet, "/v1/campaigns/"+campaign+"/coupons/42", nil).number("slot")
	b.open("/console/users")
	b.fill("#user_id", "42")
	b.press("form:has(#user_id) button")
	b.sees("main", "User 42 in Spring sale", true)
	b.sees("main", "The coupon is issued.", true)
	require.Equal(b.t, int(slot), b.figure("main", "Slot"))
	b.picture("users")
}

func listsCoupons(b *browser, campaign string) {
	b.t.Helper()
	b.open("/console/campaigns/" + campaign)
	b.press(`a[href$="/coupons"]`)
	b.sees(".pages", "50 coupons", false)
	b.press(`a[rel="next"]`)
	b.sees(".pages", "First page", false)
	b.picture("coupons")
	var lines int
	b.do("the file", chromedp.Evaluate(fmt.Sprintf(
		`fetch("/console/campaigns/%s/coupons.csv").then((r) => r.text()).then((t) => t.trim().split("\n").length)`, campaign), &lines, awaited))
	require.Equal(b.t, 1011, lines, "a header and 1,010 coupons")
}

// sitsOutAnOutage sees what waits and why, and that it drains.
func sitsOutAnOutage(s *system, b *browser, campaign string) {
	b.t.Helper()
	s.env.stopDatabase()
	applyAll(s, campaign, 1011, 1100)
	b.openUntil("/console/pipeline", `[data-live="pipeline"]`)
	b.eventually("the lag", func() bool { return b.figure(`[data-live="pipeline"]`, "Lag") >= 90 }, false)
	b.eventually("the lag of each partition", func() bool {
		var sum int
		b.ask(`[...document.querySelectorAll("[data-live=partitions] tbody td:last-child")].reduce((sum, cell) => sum + Number(cell.textContent), 0)`, &sum)
		return sum >= 90
	}, false)
	b.eventually("the reason", func() bool {
		alerts := strings.ToLower(b.text("#alerts"))
		return strings.Contains(alerts, "the database does not answer") || strings.Contains(alerts, "stores nothing")
	}, false)
	b.eventually("the curve of it", func() bool { return wholeNumber(b.text("[data-chart] .legend")) >= 90 }, false)
	b.picture("outage")
	s.env.startDatabase()
	b.eventually("the lag is gone", func() bool { return b.figure(`[data-live="pipeline"]`, "Lag") == 0 }, false)
	b.eventually("nothing is wrong any more", func() bool { return b.text("#alerts") == "" }, false)
	s.settle(campaign)
}

// seesTheCurve looks at the home page when the steps in which the applications came are over.
func seesTheCurve(b *browser) {
	b.t.Helper()
	b.open("/console/")
	b.eventually("a curve above 0", func() bool {
		var label string
		b.ask(`document.querySelector("[data-chart] .plot")?.getAttribute("aria-label") ?? ""`, &label)
		return aboveZero.MatchString(label)
	}, false)
	b.picture("home")
}

// aboveZero finds what a chart says to those who don't see it.
var aboveZero = regexp.MustCompile(`Admitted: now \S+, highest [1-9]`)

// failsSome has the database refuse users until their events are dead, and then take them; it gives the users.
func failsSome(s *system, campaign string, count int) []int64 {
	s.t.Helper()
	users := make([]int64, count)
	for i := range users {
		users[i] = 700_001 + int64(i)
	}
	execute(s, fmt.Sprintf(`CREATE TRIGGER refuse_some BEFORE INSERT ON coupon FOR EACH ROW
		IF NEW.user_id BETWEEN %d AND %d AND NEW.slot IS NOT NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is refused'; END IF`,
		users[0], users[count-1]))
	applyAll(s, campaign, users[0], users[count-1])
	s.eventually("all of them are dead", func() bool {
		dead := 0
		for _, event := range s.failEvents(campaign) {
			if event["status"] == "DEAD" {
				dead++
			}
		}
		return dead == count
	})
	execute(s, "DROP TRIGGER refuse_some")
	return users
}

func execute(s *system, statement string) {
	s.t.Helper()
	database, err := sql.Open("mysql", s.env.at.dsn)
	require.NoError(s.t, err)
	defer func() { _ = database.Close() }()
	_, err = database.ExecContext(s.t.Context(), statement)
	require.NoError(s.t, err)
}

func findsByTextAndRetries(b *browser, user int64) {
	b.t.Helper()
	b.open("/console/fail-events")
	b.picture("fail-events")
	b.fill("#text", fmt.Sprint(user))
	b.eventually("one event is left", func() bool {
		var rows int
		b.ask("document.querySelectorAll('#events tbody tr').length", &rows)
		return rows == 1
	}, false)
	b.eventually("what is filtered stands in the address", func() bool {
		return strings.Contains(b.address(), fmt.Sprintf("text=%d", user))
	}, false)
	b.press("#events tbody a")
	b.sees("#error", "this user is refused", false)
	b.picture("fail-event")
	b.press("form[action$='/retry'] button")
	b.sees("main .sub", "SUCCESS", true)
	b.sees(".timeline", "RETRY", true)
}

func discardsOne(s *system, b *browser, user int64) {
	b.t.Helper()
	b.open(fmt.Sprintf("/console/fail-events?status=DEAD&user_id=%d", user))
	b.press("#events tbody a")
	b.press("a[href$='/discard']")
	b.picture("confirm")
	b.fill("#reason", `asked for it, "<b>twice</b>"`)
	b.press("form.card button")
	b.sees("main .sub", "discarded", true)
	b.sees(".timeline", `"<b>twice</b>"`, true)
	got := s.must(http.MethodGet, fmt.Sprintf("/v1/admin/fail-events?user_id=%d", user), nil)
	require.Contains(b.t, fmt.Sprint(got.body), "discarded_at")
}

func retriesInBulk(s *system, b *browser, campaign string, count int) {
	b.t.Helper()
	b.open("/console/fail-events?status=DEAD&campaign=" + campaign)
	b.press("button[value='retry-all']")
	b.sees("h1", fmt.Sprintf("Retry %d fail events?", count), false)
	b.press("form.card button")
	b.sees("#progress", fmt.Sprintf("%d of %d events", count, count), false)
	b.sees("#progress", "Done", false)
	b.picture("bulk")
	s.eventually("all of them have a coupon", func() bool { return len(s.coupons(campaign)) == 1100+count+2 })
}

// looksAtPoison has the ledger and the topic hold what must not be believed to be HTML.
func looksAtPoison(s *system, b *browser) {
	b.t.Helper()
	nasty := `<script>alert("poison")</script><img src=x onerror="alert('poison')">'"` + "`</pre></textarea>&lt;"
	long := nasty + strings.Repeat("0123456789abcdef", 4096)
	s.env.produce(b.t, []byte(long))
	ledger, err := openLedger(s.env.config, s.env.at, instruments{registry: newRegistry(), logger: s.env.config.logger()})
	require.NoError(b.t, err)
	defer func() { _ = ledger.Close() }()
	require.NoError(b.t, ledger.RecordFailEvent(b.t.Context(), domain.FailEvent{
		Status: domain.FailStatusDead, Reason: domain.ReasonUnparsable, ErrorMessage: long, Raw: []byte(long),
		Position: domain.RecordPosition{Topic: `<script>alert("topic")</script>`, Partition: 1, Offset: 1},
	}))
	var events []map[string]any
	s.eventually("both are there", func() bool {
		events = nil
		for _, event := range s.failEvents("") {
			if event["reason"] == "UNPARSABLE" {
				events = append(events, event)
			}
		}
		return len(events) == 2
	})
	b.requireHarmless("/console/fail-events?reason=UNPARSABLE", "#events", nasty)
	b.picture("poison-list")
	for _, event := range events {
		b.requireHarmless("/console/fail-events/"+fmt.Sprint(event["id"]), "#raw", nasty)
	}
	b.requireHarmless("/console/fail-events?text=%3Cscript%3Ealert%28%221%22%29%3C%2Fscript%3E", "#events", "No event matches")
	b.picture("nothing-found")
	b.requireNoFault()
}

func pausesAndResumes(s *system, b *browser, campaign string) {
	b.t.Helper()
	page := "/console/campaigns/" + campaign
	b.open(page)
	b.press(button(page + "/pause"))
	b.sees("main .sub", "paused", true)
	// The gate follows with the retryer's next sweep. Until then it admits, and those that it has admitted it never refuses.
	user := int64(800_000)
	s.eventually("nobody is admitted", func() bool {
		user++
		pass(s.t, 25*tick) // so that the coupons last for as long as the test's patience
		return s.apply(campaign, user).problem() == "paused"
	})
	b.press(button(page + "/resume"))
	b.sees("main .sub", "open", true)
	s.eventually("applicants are admitted again", func() bool { return s.apply(campaign, user).status < 300 })
	b.sees("[data-chart] .legend", "Admitted", false)
	b.picture("campaign")
}

func throttles(b *browser) {
	b.t.Helper()
	b.open("/console/pipeline")
	b.fill("#rows_per_second", "fast")
	b.press("form[action$='/throttle'] button.primary")
	b.sees("#throttle-error", "whole number", false)
	b.fill("#rows_per_second", "1234")
	b.press("form[action$='/throttle'] button.primary")
	b.sees("#throttle", "1,234/s", true)
	b.press(button("/console/pipeline/pause"))
	b.sees("#alerts", "An operator has paused all consumers", false)
	b.press(button("/console/pipeline/resume"))
	b.eventually("nobody is paused any more", func() bool { return !strings.Contains(b.text("#alerts"), "has paused") }, false)
	b.press(button("/console/retryer/run"))
	b.sees("#messages", "Retryers run", false)
	b.picture("pipeline")
}

func audits(b *browser, campaign string) {
	b.t.Helper()
	b.open("/console/audit")
	b.press(button("/console/audit"))
	b.sees("#audit-"+campaign, campaign, false)
	b.picture("audit")
}

func appliesOnThePage(b *browser, campaign string) {
	b.t.Helper()
	b.open("/c/" + campaign)
	b.do("wait for the button", chromedp.WaitEnabled("#apply button", chromedp.ByQuery))
	b.picture("applicant")
	b.fill("#user", "9007199254740993")
	b.click("#apply button")
	b.sees("#answer", "Your coupon is ready.", false)
	require.Regexp(b.t, `\d+`, b.text("#answer .slot"))
	b.picture("applicant-won")
}

func looksAtTheRest(b *browser, campaign string) {
	b.t.Helper()
	b.open("/console/actions")
	for _, words := range []string{"campaign " + campaign, "discard", "bulk retry", "1234"} {
		b.sees("main", words, false)
	}
	b.picture("actions")
	b.open("/console/campaigns/nothing")
	b.sees("h1", "Unknown campaign", false)
	b.press(button("/console/logout"))
	b.open("/console/actions")
	b.sees("h1", "Log in", false)
}
