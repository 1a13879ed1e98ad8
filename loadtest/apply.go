package loadtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"firstcome/domain"
)

// applicant sends applications; one is shared by all workers. How its calls follow one another (a closed loop, or
// at given times) is the caller's affair.
type applicant struct {
	transport  *http.Transport
	template   *http.Request
	timeout    time.Duration
	maxRetries int
	recorder   *recorder
}

func newApplicant(cfg Config, code string, transport *http.Transport, rec *recorder) (*applicant, error) {
	target, err := url.Parse(cfg.BaseURL + "/v1/campaigns/" + url.PathEscape(code) + "/apply")
	if err != nil {
		return nil, domain.Invalid("base_url", "%v", err)
	}
	return &applicant{
		transport: transport,
		template: &http.Request{
			Method: http.MethodPost,
			URL:    target,
			Host:   target.Host,
			Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
		},
		timeout:    cfg.RequestTimeout,
		maxRetries: cfg.MaxRetries,
		recorder:   rec,
	}, nil
}

// maxReplyBytes bounds how much of an answer is looked at; a winner's body has about 150 bytes.
const maxReplyBytes = 8 << 10

// scratch is where one worker reads its answers, one after the other.
type scratch [maxReplyBytes]byte

// apply sends one user's application, and again after each 503 that names a Retry-After, as a patient client would,
// and gives the last answer. An application that is not answered in time is not sent again: it is unknown.
func (a *applicant) apply(ctx context.Context, user domain.UserID, own *scratch) Answer {
	application := newApplication(user)
	for retries := 0; ; retries++ {
		began := time.Now()
		got, err := a.post(ctx, application, own)
		latency := time.Since(began)
		var answer Answer
		if err != nil {
			answer = unanswered(user, err)
		} else {
			answer = readAnswer(user, got)
		}
		answer.Latency, answer.Retries = latency, retries
		a.recorder.record(answer)
		if !wantsRetry(got) || retries == a.maxRetries || !a.waitForRetry(ctx, answer, got) {
			return answer
		}
	}
}

// maxApplicationBytes is enough for every application, so that making one allocates once.
const maxApplicationBytes = 40

// newApplication writes the user ID as text, which holds all 64 bits; a JSON number holds 53. It is made anew for each
// user because the transport may still hold the last one when its answer is there already.
func newApplication(user domain.UserID) []byte {
	body := append(make([]byte, 0, maxApplicationBytes), `{"user_id":"`...)
	body = strconv.AppendInt(body, int64(user), 10)
	return append(body, `"}`...)
}

func wantsRetry(got reply) bool {
	return got.status == http.StatusServiceUnavailable && got.retryAfter != ""
}

func (a *applicant) waitForRetry(ctx context.Context, answer Answer, got reply) bool {
	a.recorder.retried(answer.label())
	return wait(ctx, retryWait(got.retryAfter))
}

// wait says whether the time passed before the context ended.
func wait(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post sends one request through the transport itself: no cookies, no redirects, one shared header. The reply's body
// is in own until the next one.
func (a *applicant) post(ctx context.Context, application []byte, own *scratch) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(application)), nil }
	request := a.template.WithContext(ctx)
	request.Body, _ = body()
	request.GetBody = body
	request.ContentLength = int64(len(application))
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	size, err := io.ReadFull(response.Body, own[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return reply{}, err
	}
	return reply{
		status:     response.StatusCode,
		body:       own[:size],
		retryAfter: response.Header.Get("Retry-After"),
	}, nil
}

// unanswered is the answer of a server that gave none: the application may have had its effect.
func unanswered(user domain.UserID, err error) Answer {
	answer := Answer{UserID: user, Outcome: Unknown, Code: codeConnection}
	var network net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &network) && network.Timeout()) {
		answer.Code = codeTimeout
	}
	if errors.Is(err, context.Canceled) {
		answer.Code = codeCancelled
	}
	return answer
}
