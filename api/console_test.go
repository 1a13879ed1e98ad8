package api

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// visitor is a browser that is logged in to the console.
type visitor struct {
	b      *fixture
	cookie string
}

const viewerToken = "a-token-of-a-viewer"

// logIn gives a browser that has logged in through the form, with cookies as it got them.
func (b *fixture) logIn(token string) visitor {
	b.t.Helper()
	got := b.send(visitor{b: b}, http.MethodPost, "/console/login", url.Values{"token": {token}})
	require.Equal(b.t, http.StatusSeeOther, got.Code, got.Body.String())
	return visitor{b: b, cookie: cookieOf(b.t, got)}
}

func cookieOf(tb testing.TB, got reply) string {
	tb.Helper()
	cookies := got.Result().Cookies()
	require.Len(tb, cookies, 1)
	return cookies[0].Value
}

// send sends a form as a browser does from one of the console's own pages; nil fields for a GET.
func (b *fixture) send(v visitor, method, path string, fields url.Values) reply {
	b.t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(fields.Encode()))
	if fields != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	if v.cookie != "" {
		request.AddCookie(&http.Cookie{Name: sessionCookie, Value: v.cookie})
	}
	return b.do(request)
}

func (v visitor) get(path string) reply {
	v.b.t.Helper()
	return v.b.send(v, http.MethodGet, path, nil)
}

func (v visitor) post(path string, fields url.Values) reply {
	v.b.t.Helper()
	return v.b.send(v, http.MethodPost, path, fields)
}

// withViewer adds somebody who may only look.
func (b *fixture) withViewer() *fixture {
	b.cfg.Tokens = []OperatorToken{{Name: "vera", Role: domain.RoleViewer, Hash: sha256.Sum256([]byte(viewerToken))}}
	return b
}

// addressOf fills a route's parameters.
func addressOf(path string) string {
	return "/console" + strings.NewReplacer(":code", "spring", ":id", "1", ":user_id", "7").Replace(path)
}

func TestEveryRouteOfTheConsoleNeedsALogin(t *testing.T) {
	b := newFixture(t).withEvents(1).start()
	strangers := map[string]visitor{
		"nobody": {b: b}, "a made up cookie": {b: b, cookie: "x.y"}, "an unsigned one": {b: b, cookie: encodeSigned([]byte("a\x009999999999\x00operator\x00admin"), nil)},
	}
	for _, route := range b.server.console.routes() {
		if route.access == forAll {
			continue
		}
		for who, stranger := range strangers {
			got := b.send(stranger, route.method, addressOf(route.path), nil)
			if route.method == http.MethodGet && route.path != livePath {
				assert.Equal(t, http.StatusSeeOther, got.Code, "%s %s", who, route.path)
				assert.True(t, strings.HasPrefix(got.Header().Get("Location"), "/console/login?next="), route.path)
			} else {
				assert.Equal(t, http.StatusUnauthorized, got.Code, "%s %s", who, route.path)
			}
			assert.NotContains(t, got.Body.String(), "Spring sale")
		}
	}
	assert.Empty(t, b.ledger.actors, "nobody has changed anything")
}

func TestEveryPageForbidsWhatIsInline(t *testing.T) {
	b := newFixture(t).withEvents(1).start()
	operator := b.logIn(testToken)
	paths := []string{"/console/assets/console.css", "/c/spring", "/c/spring/page/apply.js", "/console/nothing"}
	for _, route := range b.server.console.routes() {
		if route.method == http.MethodGet && route.path != livePath {
			paths = append(paths, addressOf(route.path))
		}
	}
	for _, path := range paths {
		got := operator.get(path)
		if path == "/console/nothing" {
			assert.Equal(t, http.StatusNotFound, got.Code)
			continue
		}
		policy := got.Header().Get("Content-Security-Policy")
		assert.Contains(t, policy, "default-src 'none'", path)
		assert.Contains(t, policy, "script-src 'self';", path)
		assert.Contains(t, policy, "frame-ancestors 'none'", path)
		assert.NotContains(t, policy, "unsafe", path)
		assert.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"), path)
		if strings.Contains(got.Header().Get("Content-Type"), "text/html") {
			requireNothingInline(t, path, got.Body.String())
		}
	}
}

var (
	inlineThings = regexp.MustCompile(`(?i)<script(\s[^>]*)?>[^<]|<style|\sstyle=|<[^>]*\son[a-z]+=|javascript:`)
	otherHosts   = regexp.MustCompile(`(src|href|action)="(https?:)?//`)
)

// requireNothingInline asserts that a page relies on nothing that the policy forbids.
func requireNothingInline(t *testing.T, path, page string) {
	t.Helper()
	assert.Empty(t, inlineThings.FindString(page), path)
	assert.Empty(t, otherHosts.FindString(page), "%s names another host", path)
}

func TestPagesOfOtherSitesCanDoNothing(t *testing.T) {
	b := newFixture(t).withEvents(1).start()
	operator := b.logIn(testToken)
	foreign := []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {},
	}
	posts := 0
	for _, route := range b.server.console.routes() {
		if route.method != http.MethodPost {
			continue
		}
		posts++
		for _, headers := range foreign {
			request := httptest.NewRequest(http.MethodPost, addressOf(route.path), strings.NewReader("token="+testToken))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.AddCookie(&http.Cookie{Name: sessionCookie, Value: operator.cookie})
			for name, value := range headers {
				request.Header.Set(name, value)
			}
			got := b.do(request)
			assert.Equal(t, http.StatusForbidden, got.Code, "%s %v", route.path, headers)
			assert.Empty(t, got.Result().Cookies(), "%s %v", route.path, headers)
		}
	}
	assert.Greater(t, posts, 10)
	assert.Empty(t, b.ledger.actors)
	own := httptest.NewRequest(http.MethodPost, "http://shop.example/console/campaigns/spring/pause", http.NoBody)
	own.Header.Set("Origin", "http://shop.example")
	own.AddCookie(&http.Cookie{Name: sessionCookie, Value: operator.cookie})
	assert.Equal(t, http.StatusSeeOther, b.do(own).Code, "a browser that sends Origin alone is believed")
}

func TestViewersLookAndChangeNothing(t *testing.T) {
	b := newFixture(t).withViewer().withEvents(1).start()
	viewer := b.logIn(viewerToken)
	for _, route := range b.server.console.routes() {
		if route.path == livePath || route.access == forAll {
			continue
		}
		got := b.send(viewer, route.method, addressOf(route.path), url.Values{"reason": {"no"}})
		if route.access == forOperators {
			assert.Equal(t, http.StatusForbidden, got.Code, route.path)
			continue
		}
		require.Less(t, got.Code, 500, route.path)
		page := strings.ReplaceAll(got.Body.String(), `method="post" action="/console/logout"`, "")
		assert.False(t, strings.Contains(page, `method="post"`), "%s shows a viewer a button", route.path)
		assert.Empty(t, stepLinks.FindString(page), "%s leads a viewer to a step", route.path)
	}
	assert.Empty(t, b.ledger.actors)
	assert.Contains(t, viewer.get("/console/").Body.String(), "Spring sale")
}

var stepLinks = regexp.MustCompile(`/(change|end|discard|revoke|new)"`)

func TestASessionEnds(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSessions("")
	begun, cookie := s.begin(domain.Operator{Name: "ann", Role: domain.RoleViewer}, at)
	found, err := s.read(cookie, at.Add(sessionLength-time.Second))
	require.NoError(t, err)
	assert.Equal(t, domain.Operator{Name: "ann", Role: domain.RoleViewer}, found.operator)
	_, err = s.read(cookie, at.Add(sessionLength))
	require.ErrorIs(t, err, errNoSession, "it has expired")

	s.end(begun, at)
	_, err = s.read(cookie, at)
	require.ErrorIs(t, err, errNoSession, "it was logged out")

	_, cookie = newSessions("").begin(domain.Operator{Name: "ann", Role: domain.RoleOperator}, at)
	_, err = s.read(cookie, at)
	require.ErrorIs(t, err, errNoSession, "another process signed it")
	_, cookie = newSessions("shared").begin(domain.Operator{Name: "ann", Role: domain.RoleOperator}, at)
	_, err = newSessions("shared").read(cookie, at)
	require.NoError(t, err, "processes with the same key know each other's")
	for place := range len(cookie) {
		changed := []byte(cookie)
		changed[place] ^= 1
		_, err = newSessions("shared").read(string(changed), at)
		require.ErrorIs(t, err, errNoSession, "digit %d was changed", place)
	}
}

func TestEndedSessionsAreRememberedUpToALimit(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSessions("")
	for i := range maxEnded + 5 {
		s.end(session{id: digits(int64(i)), expires: at.Add(time.Duration(i+1) * time.Second)}, at)
	}
	assert.Len(t, s.ended, maxEnded)
	assert.False(t, s.hasEnded("0"), "the one that expires first makes place")
	assert.True(t, s.hasEnded("10004"))
	s.end(session{id: "late", expires: at.Add(time.Hour * 100)}, at.Add(time.Hour*99))
	assert.Len(t, s.ended, 1, "those that have expired need no remembering")
}

func TestLoginAndLogout(t *testing.T) {
	b := newFixture(t).withViewer().start()
	page := b.get("/console/login?next=/console/fail-events%3Fstatus=DEAD")
	assert.Contains(t, page.Body.String(), "prints it at its start", "it says where the token is")
	got := b.send(visitor{b: b}, http.MethodPost, "/console/login", url.Values{"token": {testToken}, "next": {"/console/fail-events?status=DEAD"}})
	require.Equal(t, http.StatusSeeOther, got.Code)
	assert.Equal(t, "/console/fail-events?status=DEAD", got.Header().Get("Location"))
	cookie := got.Result().Cookies()[0]
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	assert.Equal(t, "/console", cookie.Path)
	assert.False(t, cookie.Secure, "this browser came without TLS")

	ann := visitor{b: b, cookie: cookie.Value}
	require.Equal(t, http.StatusOK, ann.get("/console/").Code)
	assert.Equal(t, "/console/login", ann.post("/console/logout", nil).Header().Get("Location"))
	assert.Equal(t, http.StatusSeeOther, ann.get("/console/").Code, "the cookie is worth nothing any more")

	wrong := b.send(visitor{b: b}, http.MethodPost, "/console/login", url.Values{"token": {"wrong<b>"}})
	assert.Equal(t, http.StatusUnauthorized, wrong.Code)
	assert.Empty(t, wrong.Result().Cookies())
	assert.NotContains(t, wrong.Body.String(), "wrong<b>")
	inAddress := b.send(visitor{b: b}, http.MethodPost, "/console/login?token="+testToken, url.Values{})
	assert.Equal(t, http.StatusUnauthorized, inAddress.Code, "a token in an address is not looked at")
	assert.NotContains(t, b.log.String(), testToken)
	assert.NotContains(t, b.log.String(), cookie.Value)
	for range guessBurst {
		wrong = b.send(visitor{b: b}, http.MethodPost, "/console/login", url.Values{"token": {"wrong"}})
	}
	assert.Equal(t, http.StatusTooManyRequests, wrong.Code, "guessing is slowed down here, too")
	assert.NotEmpty(t, wrong.Header().Get("Retry-After"))
}

func TestASessionOfSomebodyWhoIsNoOperatorAnyMoreIsOver(t *testing.T) {
	b := newFixture(t)
	b.cfg.ConsoleKey = "shared"
	b.start()
	for _, operator := range []domain.Operator{{Name: "gone", Role: domain.RoleOperator}, {Name: sharedName, Role: domain.RoleViewer}} {
		_, cookie := newSessions("shared").begin(operator, time.Now())
		assert.Equal(t, http.StatusSeeOther, visitor{b: b, cookie: cookie}.get("/console/").Code, operator)
	}
	_, cookie := newSessions("shared").begin(domain.Operator{Name: sharedName, Role: domain.RoleOperator}, time.Now())
	assert.Equal(t, http.StatusOK, visitor{b: b, cookie: cookie}.get("/console/").Code)
}

func TestTheCookieIsSecureWhereTheBrowserCameByTLS(t *testing.T) {
	b := newFixture(t)
	b.cfg.TrustedProxies = []string{"10.1.0.0/16", "192.0.2.9"}
	b.start()
	for _, c := range []struct {
		remote, proto string
		secure        bool
	}{
		{"10.1.2.3:5", "https", true}, {"192.0.2.9:5", "HTTPS", true}, {"10.1.2.3:5", "http", false}, {"10.2.0.1:5", "https", false}, {"10.1.2.3:5", "", false},
	} {
		request := httptest.NewRequest(http.MethodPost, "/console/login", strings.NewReader("token="+testToken))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
		request.Header.Set("X-Forwarded-Proto", c.proto)
		request.RemoteAddr = c.remote
		cookies := b.do(request).Result().Cookies()
		require.Len(t, cookies, 1)
		assert.Equal(t, c.secure, cookies[0].Secure, "%+v", c)
	}
}

func TestTheLoginLeadsToOwnPagesOnly(t *testing.T) {
	for path, want := range map[string]string{
		"/console/pipeline?note=run": "/console/pipeline?note=run", "": "/console/", "//evil.example/console/": "/console/",
		"https://evil.example/console/": "/console/", "/console/../x\\": "/console/", "/v1/admin": "/console/",
		"/console/login": "/console/", "/console/\r\nSet-Cookie: a=b": "/console/",
	} {
		assert.Equal(t, want, ownPath(path), path)
	}
}
