package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firstcome/domain"
)

const (
	applicantWorkers   = 24
	applicationsPerSec = 120
	applicantPatience  = 4 * time.Second
	// askAgainShare is how often somebody asks who has asked before, winner or not.
	askAgainShare = 0.35
)

// applicants apply without a pause: new users, and users who have asked before, at both apis. Every answer is kept.
// Which user asks when is not a function of the seed: it depends on how fast the machine is.
type applicants struct {
	world  *world
	client *http.Client
	pace   *rate.Limiter
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex
	last domain.UserID
}

func newApplicants(w *world) *applicants {
	transport := &http.Transport{Proxy: nil, MaxIdleConnsPerHost: applicantWorkers, DisableCompression: true}
	return &applicants{
		world: w, client: &http.Client{Transport: transport, Timeout: applicantPatience},
		pace: rate.NewLimiter(applicationsPerSec, applicantWorkers),
	}
}

// start lets the applicants apply until stop, which returns when the last one has an answer or has given up.
func (a *applicants) start(ctx context.Context) {
	ctx, a.cancel = context.WithCancel(ctx)
	for range applicantWorkers {
		a.all.Go(func() {
			for a.pace.Wait(ctx) == nil {
				user := a.who(rand.Float64() < askAgainShare)
				a.apply(ctx, user, apiNames[rand.IntN(len(apiNames))])
			}
		})
	}
}

func (a *applicants) stop() {
	a.cancel()
	a.all.Wait()
}

// who gives a new user, or one of those who have asked.
func (a *applicants) who(again bool) domain.UserID {
	a.mu.Lock()
	defer a.mu.Unlock()
	if again && a.last > 0 {
		return 1 + rand.N(a.last)
	}
	a.last++
	return a.last
}

// apply sends one application and keeps the answer. An application under way is not cut off by the end of the load.
func (a *applicants) apply(ctx context.Context, user domain.UserID, api string) answer {
	sent := a.world.timeline.now()
	got := a.post(context.WithoutCancel(ctx), user, api)
	got.user, got.via, got.sent, got.answered = user, api, sent, a.world.timeline.now()
	a.world.record.change(func(r *record) { r.answers = append(r.answers, got) })
	return got
}

func (a *applicants) post(ctx context.Context, user domain.UserID, api string) answer {
	url := "http://" + address(a.world.linkPorts[clientLink(api)]) + "/v1/campaigns/" + campaignCode + "/apply"
	body := fmt.Appendf(nil, `{"user_id":"%d"}`, user)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{outcome: unknown, text: err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return answer{outcome: unknown, text: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, 8<<10))
	if err != nil {
		return answer{outcome: unknown, text: err.Error()}
	}
	return readAnswer(response.StatusCode, content)
}

// readAnswer says what a whole answer means.
func readAnswer(status int, content []byte) answer {
	if status == http.StatusOK || status == http.StatusAccepted {
		return readWinner(status, content)
	}
	var problem struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(content, &problem); err != nil {
		return answer{outcome: unknown, text: fmt.Sprintf("%d unreadable: %v", status, err)}
	}
	code := domain.Code(problem.Type[strings.LastIndexAny(problem.Type, ":/")+1:])
	got := answer{outcome: unknown, text: fmt.Sprintf("%d %s", status, code)}
	switch code {
	case domain.CodeSoldOut:
		got.outcome = soldOut
	case domain.CodeRevoked:
		got.outcome = revoked
	case domain.CodePaused:
		got.outcome = refused
	}
	return got
}

func readWinner(status int, content []byte) answer {
	var winner struct {
		Status string      `json:"status"`
		Slot   domain.Slot `json:"slot"`
	}
	if err := json.Unmarshal(content, &winner); err != nil {
		return answer{outcome: unknown, text: fmt.Sprintf("%d unreadable: %v", status, err)}
	}
	got := answer{outcome: unknown, slot: winner.Slot, text: fmt.Sprintf("%d %s", status, winner.Status)}
	switch winner.Status {
	case "accepted", "issued":
		got.outcome = accepted
	case "reserved":
		got.outcome = reserved
	case "revoked":
		got.outcome = revoked
	}
	return got
}

// sellOut lets new users apply, one after the other, until several in a row are told that nothing is left.
func (a *applicants) sellOut(ctx context.Context) error {
	const enough = 5
	refusals := 0
	for range 20_000 {
		got := a.apply(ctx, a.who(false), apiNames[0])
		switch got.outcome {
		case accepted, reserved:
			refusals = 0
		case soldOut:
			refusals++
			if refusals == enough {
				return nil
			}
		case unknown:
			if !pause(ctx, 100*time.Millisecond) {
				return ctx.Err()
			}
		case refused, revoked:
			return fmt.Errorf("a new user was answered %q", got.text)
		}
	}
	return fmt.Errorf("the campaign is not sold out after 20000 more applications")
}
