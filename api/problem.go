package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/admission"
	"firstcome/domain"
)

// problemPrefix and a code make the type of a problem. It is a name and nothing to be fetched: a URN stays the same
// wherever the server stands, while an address would have to be kept alive by anybody who runs it.
const problemPrefix = "urn:firstcome:problem:"

// statusClientClosed is counted for a client that has gone before it was answered. It is no status of HTTP, and nobody
// reads it: a failure of ours would be counted otherwise for each client that hangs up.
const statusClientClosed = 499

// maxRetryAfter bounds what a client is told to wait, so that one who came a day too early looks again.
const maxRetryAfter = time.Hour

// problemKind is how a code is answered.
type problemKind struct {
	status int
	title  string
	// name is the problem's type: problemPrefix and the code.
	name string
	// detail stands where the error has no message of its own. For a status of 500 and above it always stands there:
	// what a store says about its troubles is for logs.
	detail string
	// retryAfter is what Retry-After says unless the error knows better; 0 leaves the header out.
	retryAfter time.Duration
	last       atomic.Pointer[writtenProblem]
}

// problems is the one place where codes become HTTP. A code that is not here is answered as CodeInternal.
var problems = map[domain.Code]*problemKind{
	domain.CodeSoldOut:    {status: 409, title: "Sold out", detail: "All coupons of this campaign are taken."},
	domain.CodeNotStarted: {status: 409, title: "Not started", detail: "The campaign has not started yet.", retryAfter: time.Second},
	domain.CodePaused:     {status: 409, title: "Paused", detail: "The campaign is paused."},
	domain.CodeRevoked:    {status: 409, title: "Revoked", detail: "The coupon of this user was revoked; it is not given again."},
	domain.CodeEnded:      {status: 410, title: "Ended", detail: "The campaign has ended."},

	domain.CodeInvalidRequest:   {status: 400, title: "Invalid request", detail: "The request is not valid."},
	domain.CodeUnauthorized:     {status: 401, title: "Unauthorized", detail: "This call needs an operator's bearer token."},
	domain.CodeForbidden:        {status: 403, title: "Forbidden", detail: "Your role does not allow this."},
	domain.CodeNotFound:         {status: 404, title: "Not found", detail: "There is nothing here."},
	domain.CodeUnknownCampaign:  {status: 404, title: "Unknown campaign", detail: "There is no such campaign."},
	domain.CodeMethodNotAllowed: {status: 405, title: "Method not allowed", detail: "This address does not know that method; see the header Allow."},
	domain.CodeBodyTooLarge:     {status: 413, title: "Body too large", detail: "The body is larger than this call takes."},
	domain.CodeUnsupportedMedia: {status: 415, title: "Unsupported media type", detail: "The body must be application/json in UTF-8."},
	domain.CodeConflict:         {status: 409, title: "Conflict", detail: "The state of the thing does not allow this."},
	domain.CodeRateLimited:      {status: 429, title: "Too many requests", detail: "Too many requests; ask again later.", retryAfter: time.Second},

	domain.CodeGateClosed: {
		status: 503, title: "Gate closed", retryAfter: time.Second,
		detail: "Nobody is admitted until the state of the campaign is verified again. Ask again: a place that was given stays given.",
	},
	domain.CodeOverloaded: {
		status: 503, title: "Overloaded", retryAfter: time.Second,
		detail: "Too many requests are waiting; this one was not looked at. Ask again.",
	},
	domain.CodeOutcomeUnknown: {
		status: 503, title: "Outcome unknown", retryAfter: time.Second,
		detail: "The answer did not come in time, so the request may or may not have had its effect. Ask again: asking twice is safe.",
	},
	domain.CodeUnavailable: {
		status: 503, title: "Unavailable", retryAfter: 2 * time.Second,
		detail: "Something that this call needs is away; the request had no effect. Ask again.",
	},
	domain.CodeInternal: {status: 500, title: "Internal error", detail: "The request failed through a fault of the server."},
}

func init() {
	for code, kind := range problems {
		kind.name = problemPrefix + string(code)
	}
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Field names the part of the request that is wrong.
	Field string `json:"field,omitempty"`
}

var problemType = []string{"application/problem+json"}

// refuse answers with the problem that the error stands for and ends the chain of handlers.
func (s *Server) refuse(c *gin.Context, err error) {
	refusal, kind := asProblem(err)
	if kind.status == http.StatusInternalServerError {
		s.logger.Error("request failed", "method", c.Request.Method, "route", c.FullPath(), "error", err)
	}
	if kind.status >= http.StatusInternalServerError && errors.Is(c.Request.Context().Err(), context.Canceled) {
		c.AbortWithStatus(statusClientClosed)
		return
	}
	header := c.Writer.Header()
	header["Content-Type"] = problemType
	switch wait := retryAfter(err, kind); wait {
	case "":
	case oneSecond[0]:
		header["Retry-After"] = oneSecond // what nearly all say
	default:
		header.Set("Retry-After", wait)
	}
	if kind.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="firstcome"`)
	}
	c.Abort()
	c.Writer.WriteHeader(kind.status)
	_, _ = c.Writer.Write(kind.body(refusal)) // a client that has gone is no error of ours
}

// writtenProblem is a problem and its JSON.
type writtenProblem struct {
	problem problem
	json    []byte
}

// body gives a problem as JSON. At the height of a rush nearly all refusals are the same, so the last one is kept.
func (k *problemKind) body(refusal problem) []byte {
	if last := k.last.Load(); last != nil && last.problem == refusal {
		return last.json
	}
	written, _ := json.Marshal(refusal) // strings and an int: this can't fail
	k.last.Store(&writtenProblem{refusal, written})
	return written
}

func asProblem(err error) (problem, *problemKind) {
	kind, known := problems[admission.CodeOf(err)]
	if !known {
		kind = problems[domain.CodeInternal]
	}
	refusal := problem{Type: kind.name, Title: kind.title, Status: kind.status, Detail: kind.detail}
	if coded, ok := errors.AsType[*domain.Error](err); ok && kind.status < http.StatusInternalServerError {
		refusal.Field = coded.Field
		if coded.Message != "" {
			refusal.Detail = coded.Message
		}
	}
	return refusal, kind
}

// retryAfter gives whole seconds, rounded up, 1 to maxRetryAfter; "" leaves the header out.
func retryAfter(err error, kind *problemKind) string {
	if kind.retryAfter == 0 {
		return ""
	}
	wait := kind.retryAfter
	if coded, ok := errors.AsType[*domain.Error](err); ok && coded.RetryAfter > 0 {
		wait = coded.RetryAfter
	}
	wait = min(max(wait, time.Second), maxRetryAfter)
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}

// oneSecond spares a header value for each refusal.
var oneSecond = []string{"1"}
