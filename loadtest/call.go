package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"firstcome/domain"
)

// call is one request that is not under load.
type call struct {
	method, path string
	body         []byte
	admin        bool
}

// maxAdminBody bounds one answer: a page of 1000 fail events, each with its error text, fits.
const maxAdminBody = 32 << 20

// call sends one request and reads a 2xx body into target. A refusal is a *domain.Error with the problem's code.
func (c *client) call(ctx context.Context, request call, target any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.send(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAdminBody))
	if err != nil {
		return fmt.Errorf("%s %s: %w", request.method, request.path, err)
	}
	if response.StatusCode/100 != 2 {
		return refusal(request, response.StatusCode, body)
	}
	if target == nil {
		return nil
	}
	if err := json.Unmarshal(body, target); err != nil {
		return fmt.Errorf("%s %s: the answer is not what was expected: %w", request.method, request.path, err)
	}
	return nil
}

func (c *client) send(ctx context.Context, request call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, request.method, c.base+request.path, bytes.NewReader(request.body))
	if err != nil {
		return nil, err
	}
	if request.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if request.admin && c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.http.Do(req)
}

func refusal(request call, status int, body []byte) error {
	var problem problemBody
	if json.Unmarshal(body, &problem) != nil {
		problem = problemBody{}
	}
	message := fmt.Sprintf("%s %s answered %d", request.method, request.path, status)
	if problem.Detail != "" {
		message += fmt.Sprintf(": %.300s", problem.Detail)
	}
	if status == http.StatusUnauthorized {
		message += " (is the admin token the server's?)"
	}
	return domain.Errorf(problem.code(), "%s", message)
}

// Waits between two polls: short at first, because most waits are.
const (
	firstPollWait = 20 * time.Millisecond
	maxPollWait   = 500 * time.Millisecond
)

// poll calls check until it is done, the timeout has passed, or an error says that waiting is in vain. what names, for
// the error, the state that was waited for.
func poll(ctx context.Context, timeout time.Duration, what string, check func(context.Context) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := errors.New("not yet")
	for pause := firstPollWait; ; pause = min(pause*3/2, maxPollWait) {
		done, err := check(limited)
		switch {
		case done && err == nil:
			return nil
		case err != nil && isFinal(err):
			return fmt.Errorf("waiting until %s: %w", what, err)
		case err != nil && limited.Err() == nil:
			last = err
		}
		if !wait(limited, pause) {
			break
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
	}
	return fmt.Errorf("waited %s until %s, in vain: %w", timeout, what, last)
}

// isFinal tells refusals from what may pass: a server that is away, busy, or has not heard of a new campaign.
func isFinal(err error) bool {
	var refused *domain.Error
	if !errors.As(err, &refused) || domain.IsTransient(err) {
		return false
	}
	return refused.Code != domain.CodeUnknownCampaign && refused.Code != domain.CodeNotFound
}
