package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"firstcome/domain"
)

const operatorToken = "token-of-the-operators"

// operator calls the admin API; it asks each api in turn until one answers.
type operator struct {
	addresses []string
	client    *http.Client
}

func newOperator(addresses []string) *operator {
	return &operator{addresses: addresses, client: &http.Client{Timeout: 5 * time.Second}}
}

// refusal is an answer that is not 2xx.
type refusal struct {
	status int
	body   string
}

func (r refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.body) }

// call sends a request and reads a 2xx body into target, if there is one. The error is a refusal if every api that
// answered refused.
func (o *operator) call(ctx context.Context, method, path string, body, target any) error {
	var content []byte
	if body != nil {
		content, _ = json.Marshal(body)
	}
	var errs []error
	for _, address := range o.addresses {
		err := o.callOne(ctx, method, "http://"+address+path, content, target)
		var refused refusal
		if err == nil || (errors.As(err, &refused) && refused.status < http.StatusInternalServerError) {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (o *operator) callOne(ctx context.Context, method, url string, content []byte, target any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	response, err := o.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(response.Body, 32<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return refusal{response.StatusCode, strings.TrimSpace(string(read))}
	}
	if target == nil {
		return nil
	}
	return json.Unmarshal(read, target)
}

func (o *operator) create(ctx context.Context, code string, quota int) error {
	return o.call(ctx, http.MethodPost, "/v1/admin/campaigns", map[string]any{
		"code": code, "name": "Chaos", "quota": quota, "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
	}, nil)
}

// campaignView is what operators see of the campaign.
type campaignView struct {
	Quota       int64  `json:"quota"`
	WantedQuota int64  `json:"wanted_quota"`
	State       string `json:"state"`
	Epoch       int64  `json:"epoch"`
	Settled     bool   `json:"settled"`
	Gate        *struct {
		Closed         string `json:"closed"`
		Quota          int64  `json:"quota"`
		State          string `json:"state"`
		Count          int64  `json:"count"`
		Free           int64  `json:"free"`
		Owed           int64  `json:"owed"`
		Remaining      int64  `json:"remaining"`
		PendingEntries int64  `json:"pending_entries"`
	} `json:"gate"`
}

func (o *operator) campaign(ctx context.Context) (campaignView, error) {
	var view campaignView
	err := o.call(ctx, http.MethodGet, "/v1/admin/campaigns/"+campaignCode, nil, &view)
	return view, err
}

func (o *operator) setQuota(ctx context.Context, quota int64) error {
	return o.call(ctx, http.MethodPatch, "/v1/admin/campaigns/"+campaignCode, map[string]any{"quota": quota}, nil)
}

// setState is "pause" or "resume".
func (o *operator) setState(ctx context.Context, verb string) error {
	return o.call(ctx, http.MethodPost, "/v1/admin/campaigns/"+campaignCode+"/"+verb, nil, nil)
}

func (o *operator) throttle(ctx context.Context, rowsPerSecond int) error {
	return o.call(ctx, http.MethodPatch, "/v1/admin/pipeline", map[string]any{"rows_per_second": rowsPerSecond}, nil)
}

// lag is how many records no consumer has committed yet.
func (o *operator) lag(ctx context.Context) (int64, error) {
	var view struct {
		Lag struct {
			Partitions []struct {
				Lag int64 `json:"lag"`
			} `json:"partitions"`
		} `json:"lag"`
		LagError string `json:"lag_error"`
	}
	err := o.call(ctx, http.MethodGet, "/v1/admin/pipeline", nil, &view)
	if err == nil && len(view.Lag.Partitions) != partitions {
		err = fmt.Errorf("the pipeline names %d partitions: %s", len(view.Lag.Partitions), view.LagError)
	}
	lag := int64(0)
	for _, partition := range view.Lag.Partitions {
		lag += partition.Lag
	}
	return lag, err
}

func (o *operator) revoke(ctx context.Context, user domain.UserID) error {
	path := fmt.Sprintf("/v1/admin/campaigns/%s/coupons/%d/revoke", campaignCode, user)
	return o.call(ctx, http.MethodPost, path, map[string]any{"reason": "chaos"}, nil)
}

func (o *operator) retryEvent(ctx context.Context, id int64) error {
	return o.call(ctx, http.MethodPost, fmt.Sprintf("/v1/admin/fail-events/%d/retry", id), nil, nil)
}

func (o *operator) discardEvent(ctx context.Context, id int64) error {
	return o.call(ctx, http.MethodPost, fmt.Sprintf("/v1/admin/fail-events/%d/discard", id), map[string]any{"reason": "chaos"}, nil)
}
