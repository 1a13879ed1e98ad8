package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

var closeValue = []string{"close"}

// keepOrClose has clients close their connections while there are nearly too many of them.
func (s *Server) keepOrClose(c *gin.Context) {
	if s.connections.crowded() {
		c.Writer.Header()["Connection"] = closeValue
	}
}

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

// requireOperator lets only operators pass, and viewers only where nothing is changed.
func (s *Server) requireOperator(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	operator, err := s.operators.identify(c.ClientIP(), token)
	if err != nil {
		if token != "" {
			s.logger.Warn("an operator's call was refused", "client", c.ClientIP(), "error", err)
		}
		s.refuse(c, err)
		return
	}
	if !operator.MayChange() && c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		s.refuse(c, domain.Errorf(domain.CodeForbidden, "%s may look, and change nothing", operator.Name))
		return
	}
	setOperator(c, operator)
}

// operatorKey is where the operator stands in a request's context.
const operatorKey = "operator"

func setOperator(c *gin.Context, operator domain.Operator) { c.Set(operatorKey, operator) }

// operatorOf says who makes the request; anybody who came past requireOperator, or past the console's login, is somebody.
func operatorOf(c *gin.Context) domain.Operator {
	operator, _ := c.Value(operatorKey).(domain.Operator)
	return operator
}

// limitTime bounds an operator's call by adminTimeout.
func limitTime(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), adminTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
