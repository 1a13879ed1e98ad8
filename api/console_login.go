package api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

func queryEscape(text string) string { return url.QueryEscape(text) }

// loginForm is what the login page shows.
type loginForm struct {
	// Next is the page that was asked for, a path of the console.
	Next  string
	Error string
	// NoTokens says that the configuration has no token, so that nobody can log in.
	NoTokens bool
}

func (k *console) loginPage(c *gin.Context) {
	k.showLogin(c, http.StatusOK, loginForm{Next: c.Query("next")})
}

func (k *console) showLogin(c *gin.Context, status int, form loginForm) {
	form.Next, form.NoTokens = ownPath(form.Next), len(k.server.operators.tokens) == 0
	k.render(c, status, "login", "Log in", form)
}

// login changes a token for a session. The token is read from the body alone, and shown nowhere.
func (k *console) login(c *gin.Context) {
	form, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	next := ownPath(form.Get("next"))
	operator, err := k.server.operators.identify(c.ClientIP(), strings.TrimSpace(form.Get("token")))
	if err != nil {
		k.server.logger.Warn("a login was refused", "client", c.ClientIP(), "error", err)
		refusal, kind := asProblem(err)
		message := "This token is not known. Check that it was copied whole."
		if refusal.Status == http.StatusTooManyRequests {
			wait := retryAfter(err, kind)
			c.Header("Retry-After", wait)
			message = "Too many wrong tokens came from your address. Wait " + wait + " s, then try again."
		}
		k.showLogin(c, refusal.Status, loginForm{Next: next, Error: message})
		return
	}
	_, cookie := k.sessions.begin(operator, time.Now())
	k.setCookie(c, cookie, sessionLength)
	k.server.logger.Info("logged in to the console", "actor", operator.Name, "role", operator.Role, "client", c.ClientIP())
	c.Redirect(http.StatusSeeOther, next)
}

// logout ends the session, if there is one.
func (k *console) logout(c *gin.Context) {
	if found, err := k.session(c); err == nil {
		k.sessions.end(found, time.Now())
		k.live.endSession(found.id)
	}
	k.setCookie(c, "", 0)
	c.Redirect(http.StatusSeeOther, "/console/login")
}

// ownPath gives the path if it is a page of the console, and the home page if it is anything else: nobody is led
// elsewhere from here.
func ownPath(path string) string {
	parsed, err := url.Parse(path)
	if err != nil || parsed.Scheme != "" || parsed.Host != "" || !strings.HasPrefix(path, "/console/") ||
		strings.ContainsAny(path, "\\\r\n") || strings.HasPrefix(path, "/console/login") {
		return "/console/"
	}
	return path
}

// maxFormBytes bounds what a form of the console sends: a few fields, or the numbers of a page of events.
const maxFormBytes = 64 << 10

// readForm reads the fields of a form's body; those of the address are not looked at. CodeBodyTooLarge,
// CodeInvalidRequest, CodeUnsupportedMedia.
func readForm(c *gin.Context) (url.Values, error) {
	if media, _, _ := strings.Cut(c.GetHeader("Content-Type"), ";"); media != "application/x-www-form-urlencoded" {
		if c.Request.ContentLength == 0 {
			return url.Values{}, nil // a button without fields
		}
		return nil, domain.Errorf(domain.CodeUnsupportedMedia, "A form of the console sends application/x-www-form-urlencoded.")
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxFormBytes)
	if err := c.Request.ParseForm(); err != nil {
		if c.Request.ContentLength > maxFormBytes {
			return nil, tooLarge(maxFormBytes)
		}
		return nil, domain.Wrap(domain.CodeInvalidRequest, err, "The form could not be read.")
	}
	return c.Request.PostForm, nil
}
