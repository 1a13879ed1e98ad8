package loadtest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"firstcome/domain"
)

// poster sends one application and gives the answer as it came; the body is valid until the next call. One poster
// belongs to one worker.
type poster interface {
	post(ctx context.Context, application []byte) (reply, error)
	close()
}

// applicant sends applications; one is shared by all workers.
type applicant struct {
	open       func() poster
	maxRetries int // 0 sends nothing again
	recorder   *recorder
}

func newApplicant(cfg Config, code string, rec *recorder) (*applicant, error) {
	to, err := newTarget(cfg.BaseURL, code)
	if err != nil {
		return nil, err
	}
	open := func() poster { return newConnection(to, cfg.RequestTimeout) }
	retries := cfg.MaxRetries
	if cfg.Once {
		retries = 0
	}
	return &applicant{open: open, maxRetries: retries, recorder: rec}, nil
}

// apply sends one user's application, and again after each 503 that names a Retry-After, as a patient client would,
// and gives the last answer. An application that is not answered in time is not sent again: it is unknown.
//
// The first request counts from the moment at which it was to be sent, which is earlier than the moment at which it
// is sent when everything is held up: a user who comes to a stalled server waits from then on.
func (a *applicant) apply(ctx context.Context, way poster, user domain.UserID, intended time.Time) Answer {
	application := newApplication(user)
	for retries := 0; ; retries++ {
		got, err := way.post(ctx, application)
		now := time.Now()
		var answer Answer
		if err != nil {
			answer = unanswered(user, err)
		} else {
			answer = readAnswer(user, got)
		}
		answer.Latency, answer.Retries = now.Sub(intended), retries
		a.recorder.record(answer, now)
		if !wantsRetry(got) || retries == a.maxRetries || !a.waitForRetry(ctx, answer, got) {
			return answer
		}
		intended = time.Now()
	}
}

// maxApplicationBytes is enough for every application, so that making one allocates once.
const maxApplicationBytes = 40

// newApplication writes the user ID as text, which holds all 64 bits; a JSON number holds 53.
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
