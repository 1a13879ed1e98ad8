package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

var noStoreValue = []string{"no-store"}

// noStore keeps every answer out of caches: each of them may be different a moment later.
func noStore(c *gin.Context) {
	c.Writer.Header()["Cache-Control"] = noStoreValue
}

// recoverPanic answers a panic of a handler with a problem and logs it. http.ErrAbortHandler goes on to the server,
// which knows it.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		reason := recover()
		if reason == nil {
			return
		}
		if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(reason)
		}
		s.logger.Error("a handler panicked", "method", c.Request.Method, "route", c.FullPath(),
			"reason", reason, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			c.Abort()
			return
		}
		s.refuse(c, domain.Wrap(domain.CodeInternal, fmt.Errorf("panic: %v", reason), "a handler panicked"))
	}()
	c.Next()
}

// allowOrigins answers browsers that ask whether a page of another origin may call. Credentials are never allowed:
// operators send their token in a header of their own.
func (s *Server) allowOrigins() gin.HandlerFunc {
	origins := s.cfg.CORSOrigins
	anyOrigin := slices.Contains(origins, "*")
	return func(c *gin.Context) {
		if len(origins) == 0 {
			return
		}
		header := c.Writer.Header()
		if !anyOrigin {
			header.Add("Vary", "Origin")
		}
		origin := c.GetHeader("Origin")
		if origin == "" || !anyOrigin && !slices.Contains(origins, origin) {
			return
		}
		if anyOrigin {
			origin = "*"
		}
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "Location, Retry-After")
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			answerPreflight(c)
		}
	}
}

func answerPreflight(c *gin.Context) {
	header := c.Writer.Header()
	header.Set("Access-Control-Allow-Methods", "GET, POST, PATCH")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Actor")
	header.Set("Access-Control-Max-Age", "600")
	c.AbortWithStatus(http.StatusNoContent)
}

// requireToken lets only operators pass. Hashes are compared, so that neither the content nor the length of the token
// shows in the time it takes. Without a configured token nobody passes.
func (s *Server) requireToken(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	given := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(given[:], s.tokenHash[:]) == 1
	if s.cfg.AdminToken == "" || !strings.EqualFold(scheme, "Bearer") || !same {
		s.refuse(c, domain.Errorf(domain.CodeUnauthorized, ""))
	}
}

// limitTime bounds an operator's call by adminTimeout.
func limitTime(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), adminTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
