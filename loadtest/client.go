package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"firstcome/domain"
)

// newTransport keeps one connection open for each application under way and goes to no proxy, so that the load
// arrives where BaseURL says.
func newTransport(concurrency int) *http.Transport {
	return &http.Transport{
		Proxy:               nil,
		MaxConnsPerHost:     concurrency,
		MaxIdleConns:        concurrency,
		MaxIdleConnsPerHost: concurrency,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true,
	}
}

// client speaks to the parts of the API that are not under load: campaigns, coupons and fail events.
type client struct {
	base    string
	token   string
	timeout time.Duration
	http    *http.Client
}

// newClient follows no redirect: the admin token must not be carried to another place.
func newClient(cfg Config, transport *http.Transport) *client {
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		base:    cfg.BaseURL,
		token:   cfg.AdminToken,
		timeout: cfg.RequestTimeout,
		http:    &http.Client{Transport: transport, CheckRedirect: noRedirect},
	}
}

// createCampaign makes the campaign, open from a minute ago for a day. CodeConflict: the code is taken.
func (c *client) createCampaign(ctx context.Context, code string, quota int64) error {
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{
		"code":      code,
		"name":      "load test " + code,
		"quota":     quota,
		"starts_at": now.Add(-time.Minute).Format(time.RFC3339),
		"ends_at":   now.Add(24 * time.Hour).Format(time.RFC3339),
	})
	if err != nil {
		return err
	}
	return c.call(ctx, call{method: http.MethodPost, path: "/v1/admin/campaigns", body: body, admin: true}, nil)
}

// campaignStatus is what everybody may know about a campaign.
type campaignStatus struct {
	Quota   int64 `json:"quota"`
	Settled bool  `json:"settled"`
	Gate    gate  `json:"gate"`
}

// gate is true while the campaign's gate admits.
type gate bool

// UnmarshalJSON reads the gate as a word ("open" or why it is closed) or as a boolean.
func (g *gate) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	*g = text == `"open"` || text == "true"
	return nil
}

func (c *client) campaign(ctx context.Context, code string) (campaignStatus, error) {
	var status campaignStatus
	err := c.call(ctx, call{method: http.MethodGet, path: "/v1/campaigns/" + url.PathEscape(code)}, &status)
	return status, err
}

// couponRow is one coupon as operators see it.
type couponRow struct {
	UserID      number     `json:"user_id"`
	Slot        number     `json:"slot"`
	RevokedSlot number     `json:"revoked_slot"`
	RevokedAt   *time.Time `json:"revoked_at"`
}

func (r couponRow) coupon() domain.Coupon {
	coupon := domain.Coupon{
		UserID:      domain.UserID(r.UserID),
		Slot:        domain.Slot(r.Slot),
		RevokedSlot: domain.Slot(r.RevokedSlot),
	}
	if r.RevokedAt != nil {
		coupon.RevokedAt, coupon.Slot = *r.RevokedAt, domain.NoSlot
		coupon.RevokedSlot = domain.Slot(max(r.RevokedSlot, r.Slot))
	}
	return coupon
}

// maxRows bounds a list: well above every quota, so that a campaign with too many coupons is still read.
const maxRows = 2 * domain.MaxQuota

// coupons lists all of a campaign's coupons; more than maxRows are an error.
func (c *client) coupons(ctx context.Context, code string) ([]domain.Coupon, error) {
	var all []domain.Coupon
	err := c.pages(ctx, "/v1/admin/coupons", code, func(page pageBody) bool {
		for _, row := range page.Coupons {
			all = append(all, row.coupon())
		}
		return len(all) <= maxRows
	})
	return all, err
}

// failEventRow is one fail event as operators see it.
type failEventRow struct {
	UserID      number     `json:"user_id"`
	Slot        number     `json:"slot"`
	Status      string     `json:"status"`
	DiscardedAt *time.Time `json:"discarded_at"`
}

func (r failEventRow) failEvent() domain.FailEvent {
	event := domain.FailEvent{
		Winner: domain.Winner{UserID: domain.UserID(r.UserID), Slot: domain.Slot(r.Slot)},
		Status: domain.FailStatus(r.Status),
	}
	if r.DiscardedAt != nil {
		event.DiscardedAt = *r.DiscardedAt
	}
	return event
}

// failEvents lists all of a campaign's fail events; more than maxRows are an error.
func (c *client) failEvents(ctx context.Context, code string) ([]domain.FailEvent, error) {
	var all []domain.FailEvent
	err := c.pages(ctx, "/v1/admin/fail-events", code, func(page pageBody) bool {
		for _, row := range page.FailEvents {
			all = append(all, row.failEvent())
		}
		return len(all) <= maxRows
	})
	return all, err
}

// pageBody is one page of either list.
type pageBody struct {
	Coupons    []couponRow    `json:"coupons"`
	FailEvents []failEventRow `json:"fail_events"`
	NextCursor cursor         `json:"next_cursor"`
}

// cursor continues a list; empty when there is no more.
type cursor string

// UnmarshalJSON reads a cursor that is text, a number or null.
func (c *cursor) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*c = cursor(text)
		return nil
	}
	var value json.Number
	err := json.Unmarshal(raw, &value)
	if *c = cursor(value.String()); *c == "0" {
		*c = ""
	}
	return err
}

// pages reads a list to its end. take says whether more rows are welcome; when not, and when the cursor stands
// still, the list is an error.
func (c *client) pages(ctx context.Context, path, code string, take func(pageBody) bool) error {
	query := url.Values{"campaign": {code}, "limit": {strconv.Itoa(domain.MaxPage)}}
	for at := cursor(""); ; {
		var page pageBody
		request := call{method: http.MethodGet, path: path + "?" + query.Encode(), admin: true}
		if err := c.call(ctx, request, &page); err != nil {
			return err
		}
		more := take(page)
		if page.NextCursor == "" {
			return nil
		}
		if !more || page.NextCursor == at {
			return fmt.Errorf("the list %s of campaign %s does not end", path, code)
		}
		at = page.NextCursor
		query.Set("cursor", string(at))
	}
}
