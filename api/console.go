package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// console is the operators' pages below /console/. Its handlers use the same ports and functions as those of the admin
// API; what they add is HTML.
//
// A page is made by the server and works with forms and links; scripts add what is live. Every page needs a session
// (console_session.go) and every change an operator's, of the same origin.
type console struct {
	server   *Server
	sessions *sessions
	origin   *http.CrossOriginProtection
	live     *liveHub
	lags     *lagHistory
	overview *cached[overview]
	rates    rates
}

// newConsole makes the console; its questions to the stores end with the context.
func newConsole(ctx context.Context, s *Server) *console {
	k := &console{
		server: s, sessions: newSessions(s.cfg.ConsoleKey), origin: http.NewCrossOriginProtection(),
		lags: newLagHistory(s.ports.Pipeline),
	}
	k.live = newLiveHub(k.liveParts)
	k.overview = newCached(ctx, k.loadOverview)
	return k
}

// access says who may call a route of the console.
type access int

const (
	// forAll needs no session.
	forAll access = iota
	// forViewers needs a session.
	forViewers
	// forOperators needs the session of somebody who may change things.
	forOperators
)

type consoleRoute struct {
	method, path string
	access       access
	handle       gin.HandlerFunc
}

// routes are all addresses of the console, below /console. Whatever changes something is a POST.
func (k *console) routes() []consoleRoute {
	get, post := http.MethodGet, http.MethodPost
	return []consoleRoute{
		{get, "/login", forAll, k.loginPage},
		{post, "/login", forAll, k.login},
		{post, "/logout", forAll, k.logout},

		{get, "/", forViewers, k.home},
		{get, "/curve", forViewers, k.curveOfAll},
		{get, livePath, forViewers, k.stream},

		{get, "/campaigns/new", forOperators, k.newCampaign},
		{post, "/campaigns", forOperators, k.createCampaign},
		{get, "/campaigns/:code", forViewers, k.campaign},
		{get, "/campaigns/:code/curve", forViewers, k.curve},
		{get, "/campaigns/:code/change", forOperators, k.editCampaign},
		{post, "/campaigns/:code/change", forOperators, k.changeCampaign},
		{post, "/campaigns/:code/pause", forOperators, k.setState(domain.CampaignPaused, "paused")},
		{post, "/campaigns/:code/resume", forOperators, k.setState(domain.CampaignOpen, "resumed")},
		{get, "/campaigns/:code/end", forOperators, k.confirmEnd},
		{post, "/campaigns/:code/end", forOperators, k.setState(domain.CampaignEnded, "ended")},
		{get, "/campaigns/:code/coupons", forViewers, k.coupons},
		{get, couponsFilePath, forViewers, k.exportCoupons},
		{get, "/campaigns/:code/coupons/:user_id/revoke", forOperators, k.confirmRevoke},
		{post, "/campaigns/:code/coupons/:user_id/revoke", forOperators, k.revoke},

		{get, "/fail-events", forViewers, k.failEvents},
		{get, eventsFilePath, forViewers, k.exportFailEvents},
		{get, "/fail-events/:id", forViewers, k.failEvent},
		{post, "/fail-events/:id/retry", forOperators, k.retryEvent},
		{get, "/fail-events/:id/discard", forOperators, k.confirmDiscard},
		{post, "/fail-events/:id/discard", forOperators, k.discardEvent},
		{post, "/fail-events/confirm", forOperators, k.confirmBulk},
		{post, "/fail-events/bulk", forOperators, k.startBulk},
		{get, "/bulk/:id", forViewers, k.bulkJob},
		{post, "/bulk/:id/resume", forOperators, k.resumeBulk},

		{get, "/pipeline", forViewers, k.pipeline},
		{get, "/pipeline/lag", forViewers, k.lagCurve},
		{post, "/pipeline/throttle", forOperators, k.setThrottle},
		{post, "/pipeline/pause", forOperators, k.setConsumers(domain.ConsumersPaused, "held")},
		{post, "/pipeline/resume", forOperators, k.setConsumers(domain.ConsumersRunning, "released")},
		{post, "/retryer/run", forOperators, k.runRetryer},

		{get, "/users", forViewers, k.users},
		{get, "/audit", forViewers, k.audit},
		{post, auditPath, forOperators, k.runAudit},
		{get, "/actions", forViewers, k.actions},
	}
}

const (
	livePath        = "/live"
	auditPath       = "/audit"
	couponsFilePath = "/campaigns/:code/coupons.csv"
	eventsFilePath  = "/fail-events.csv"
)

// isLong tells the routes that are bounded by times of their own.
func (r consoleRoute) isLong() bool {
	switch r.path {
	case livePath, couponsFilePath, eventsFilePath:
		return true
	}
	return r.path == auditPath && r.method == http.MethodPost
}

// mount adds the console to the server's routes.
func (k *console) mount(engine *gin.Engine) {
	engine.GET("/console", func(c *gin.Context) { c.Redirect(http.StatusPermanentRedirect, "/console/") })
	engine.GET("/console/assets/*file", secureHeaders, k.server.asset)
	for _, r := range k.routes() {
		handlers := []gin.HandlerFunc{secureHeaders, k.sameOrigin}
		if r.access >= forViewers {
			handlers = append(handlers, k.requireSession)
		}
		if r.access >= forOperators {
			handlers = append(handlers, k.requireChange)
		}
		if !r.isLong() {
			handlers = append(handlers, limitTime)
		}
		engine.Handle(r.method, "/console"+r.path, append(handlers, r.handle)...)
	}
}

// contentPolicy lets pages load scripts, styles, fonts and data from this server's own files only. Nothing inline is
// run, whatever text of an applicant or of another program a page shows.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secureHeaders(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// sameOrigin refuses what another site's page makes a browser send. A browser says with every POST where it comes
// from; a request that says nothing at all is none of a browser, and is refused as well.
func (k *console) sameOrigin(c *gin.Context) {
	if c.Request.Method == http.MethodGet {
		return
	}
	silent := c.GetHeader("Sec-Fetch-Site") == "" && c.GetHeader("Origin") == ""
	if err := k.origin.Check(c.Request); err != nil || silent {
		k.server.logger.Warn("a request of another site was refused", "client", c.ClientIP(), "route", c.FullPath(),
			"origin", c.GetHeader("Origin"), "site", c.GetHeader("Sec-Fetch-Site"))
		k.fail(c, domain.Errorf(domain.CodeForbidden, "This request did not come from the console's own pages."))
	}
}

// requireSession lets only those pass who are logged in; others are sent to the login.
func (k *console) requireSession(c *gin.Context) {
	found, err := k.session(c)
	if err != nil {
		k.askForLogin(c)
		return
	}
	setOperator(c, found.operator)
	c.Set(sessionKey, found)
}

// requireChange refuses viewers.
func (k *console) requireChange(c *gin.Context) {
	if operator := operatorOf(c); !operator.MayChange() {
		k.fail(c, domain.Errorf(domain.CodeForbidden, "%s may look, and change nothing.", operator.Name))
	}
}

// askForLogin sends a page to the login, from where it comes back; a script's request is told that the session is over.
func (k *console) askForLogin(c *gin.Context) {
	login := "/console/login"
	switch {
	case c.GetHeader("HX-Request") != "":
		c.Header("HX-Redirect", login)
		c.AbortWithStatus(http.StatusUnauthorized)
	case c.Request.Method != http.MethodGet || c.Request.URL.Path == "/console"+livePath:
		k.fail(c, domain.Errorf(domain.CodeUnauthorized, "Your session is over. Log in again."))
	default:
		c.Redirect(http.StatusSeeOther, login+"?next="+queryEscape(c.Request.URL.RequestURI()))
		c.Abort()
	}
}

// now is the console's clock.
func now() time.Time { return time.Now().UTC() }
