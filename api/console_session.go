package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

const (
	// sessionCookie holds the session; scripts can't read it, and no other site's page makes a browser send it.
	sessionCookie = "firstcome_session"
	sessionKey    = "session"
	// sessionLength is how long a login lasts.
	sessionLength = 12 * time.Hour
	// maxEnded bounds how many sessions are remembered as ended; the one that would expire first makes place.
	maxEnded = 10_000
)

// cookieText takes each content in one spelling only.
var cookieText = base64.RawURLEncoding.Strict()

var errNoSession = errors.New("no session")

// session is somebody who is logged in.
type session struct {
	id       string
	operator domain.Operator
	expires  time.Time
}

// sessions makes and reads cookies. A cookie says who is logged in and until when, signed with a key that only the
// server has, so that every process which has the key knows the session, and none has to keep it. What has to be kept
// are those that ended early by a logout; another process learns of them only in that the browser has dropped the
// cookie.
type sessions struct {
	key []byte

	mu    sync.Mutex
	ended map[string]time.Time // by ID, until they would have expired
}

// newSessions takes the key that all processes share. Without one it makes one up: sessions end with the process then,
// and hold for it alone.
func newSessions(key string) *sessions {
	s := &sessions{ended: map[string]time.Time{}}
	if key == "" {
		key = rand.Text()
	}
	sum := sha256.Sum256([]byte("firstcome console session\x00" + key))
	s.key = sum[:]
	return s
}

// begin gives a new session and its cookie.
func (s *sessions) begin(operator domain.Operator, at time.Time) (session, string) {
	begun := session{id: rand.Text(), operator: operator, expires: at.Add(sessionLength).Truncate(time.Second)}
	content := strings.Join([]string{
		begun.id, strconv.FormatInt(begun.expires.Unix(), 10), string(operator.Role), operator.Name,
	}, "\x00")
	return begun, encodeSigned([]byte(content), s.sign([]byte(content)))
}

func (s *sessions) sign(content []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(content)
	return mac.Sum(nil)
}

func encodeSigned(content, signature []byte) string {
	return cookieText.EncodeToString(content) + "." + cookieText.EncodeToString(signature)
}

// read gives the session of a cookie. errNoSession: it was not made here, has expired, or was ended.
func (s *sessions) read(cookie string, at time.Time) (session, error) {
	first, second, _ := strings.Cut(cookie, ".")
	content, err := cookieText.DecodeString(first)
	signature, err2 := cookieText.DecodeString(second)
	if err != nil || err2 != nil || !hmac.Equal(signature, s.sign(content)) {
		return session{}, errNoSession
	}
	parts := strings.SplitN(string(content), "\x00", 4)
	if len(parts) != 4 {
		return session{}, errNoSession
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	found := session{
		id: parts[0], expires: time.Unix(seconds, 0),
		operator: domain.Operator{Role: domain.Role(parts[2]), Name: parts[3]},
	}
	if err != nil || !at.Before(found.expires) || s.hasEnded(found.id) {
		return session{}, errNoSession
	}
	return found, nil
}

func (s *sessions) hasEnded(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[id]
	return ended
}

// end makes a session's cookie worthless, in this process.
func (s *sessions) end(over session, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := ""
	for id, expires := range s.ended {
		if !at.Before(expires) {
			delete(s.ended, id)
		} else if first == "" || expires.Before(s.ended[first]) {
			first = id
		}
	}
	if len(s.ended) >= maxEnded {
		delete(s.ended, first)
	}
	s.ended[over.id] = over.expires
}

// session gives the session of a request. Anybody who the configuration no longer knows, or knows in another role, has none.
func (k *console) session(c *gin.Context) (session, error) {
	cookie, err := c.Request.Cookie(sessionCookie)
	if err != nil {
		return session{}, errNoSession
	}
	found, err := k.sessions.read(cookie.Value, time.Now())
	if err != nil || !k.server.operators.knows(found.operator) {
		return session{}, errNoSession
	}
	return found, nil
}

// knows says whether somebody of this name has this role.
func (o *operators) knows(operator domain.Operator) bool {
	return slices.ContainsFunc(o.tokens, func(token OperatorToken) bool {
		return token.Name == operator.Name && token.Role == operator.Role
	})
}

func (k *console) setCookie(c *gin.Context, value string, maxAge time.Duration) {
	seconds := int(maxAge.Seconds())
	if seconds == 0 {
		seconds = -1 // delete it
	}
	http.SetCookie(c.Writer, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/console", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: k.server.encrypted(c),
	})
}

// encrypted says whether the browser came by TLS: to this server, or to a trusted proxy that says so.
func (s *Server) encrypted(c *gin.Context) bool {
	return c.Request.TLS != nil || strings.EqualFold(c.GetHeader("X-Forwarded-Proto"), "https") && s.trusts(c.RemoteIP())
}

func (s *Server) trusts(address string) bool {
	remote, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	remote = remote.Unmap()
	return slices.ContainsFunc(s.cfg.TrustedProxies, func(proxy string) bool {
		if network, err := netip.ParsePrefix(proxy); err == nil {
			return network.Contains(remote)
		}
		single, err := netip.ParseAddr(proxy)
		return err == nil && single.Unmap() == remote
	})
}
