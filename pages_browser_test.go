//go:build browser

package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPagesTellTheTruth has the scripts of pages meet what an operator or an applicant would be misled by.
func TestPagesTellTheTruth(t *testing.T) {
	s := newEnvironment(t).start(t)
	b := openBrowser(t, s.baseURL)
	logIn(b)
	keepsAnAnswer(s, b)
	holdsNoConnectionUnseen(b)
	saysThatFiguresAreOld(b)
	b.requireNoFault()
}

// before runs a script before those of each page that is opened from now on.
func (b *browser) before(script string) {
	b.t.Helper()
	b.do("a script before all others", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	}))
}

// keepsAnAnswer has an applicant refused who was revoked. The page renews what it shows four times a second, and must not
// renew the answer away.
func keepsAnAnswer(s *system, b *browser) {
	b.t.Helper()
	campaign := s.newCampaign(newCode("answer"), 2)
	require.Equal(b.t, http.StatusAccepted, s.apply(campaign, 7).status)
	require.True(b.t, s.auditWhenStored(campaign, 1).Clean())
	s.must(http.MethodPost, "/v1/admin/campaigns/"+campaign+"/coupons/7/revoke", map[string]any{"reason": "a test"})
	s.eventually("the user is revoked", func() bool { return s.apply(campaign, 7).problem() == "revoked" })

	b.open("/c/" + campaign)
	b.do("wait for the button", chromedp.WaitEnabled("#apply button", chromedp.ByQuery))
	b.do("count as often as the page renews itself", chromedp.Evaluate("window.renewals = 0; setInterval(() => window.renewals++, 250)", nil))
	b.fill("#user", "7")
	b.click("#apply button")
	b.sees("#answer", "taken back", false)
	var renewals int
	b.do("begin again", chromedp.Evaluate("window.renewals = 0", nil))
	b.eventually("the page was renewed some times", func() bool { b.ask("window.renewals", &renewals); return renewals > 6 }, false)
	assert.Contains(b.t, b.text("#answer"), "taken back")
}

// A source of events that says nothing, and a page that nobody sees until the test says so.
const unseenPage = `window.opened = 0; window.unseen = true;
	window.EventSource = class { static CLOSED = 2; readyState = 1; constructor() { window.opened++; } close() { window.opened--; } };
	Object.defineProperty(Document.prototype, "hidden", { get: () => window.unseen, configurable: true });`

func holdsNoConnectionUnseen(b *browser) {
	b.t.Helper()
	b.before(unseenPage)
	b.open("/console/")
	opened := func() (count int) { b.ask("window.opened", &count); return count }
	see := func(unseen string) {
		b.do("the tab changes", chromedp.Evaluate("window.unseen = "+unseen+`; document.dispatchEvent(new Event("visibilitychange"))`, nil))
	}
	b.eventually("the scripts have run", func() bool { return b.has("#live button:not([hidden])") }, false)
	assert.Zero(b.t, opened(), "a tab in the background takes none of the browser's six connections")
	see("false")
	assert.Equal(b.t, 1, opened())
	see("true")
	assert.Zero(b.t, opened())
	see("false")
}

// saysThatFiguresAreOld goes on with a page whose server says nothing.
func saysThatFiguresAreOld(b *browser) {
	b.t.Helper()
	b.sees("#live", "Not live: the server says nothing", false)
	assert.True(b.t, b.has("body.stale"), "old figures look old")
}
