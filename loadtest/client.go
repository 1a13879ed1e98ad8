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

// newTransport goes to no proxy, as the load doesn't.
func newTransport() *http.Transport {
	return &http.Transport{Proxy: nil, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true}
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
		"name":      "Load test",
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
	Quota int64 `json:"quota"`
	// HighestSlot is the highest slot that somebody may hold, where that is above the quota; else 0.
	HighestSlot int64 `json:"highest_slot"`
	Settled     bool  `json:"settled"`
	// Gate is "open" while the campaign's gate admits.
	Gate string `json:"gate"`
}

func (c *client) campaign(ctx context.Context, code string) (campaignStatus, error) {
	var status campaignStatus
	err := c.call(ctx, call{method: http.MethodGet, path: "/v1/campaigns/" + url.PathEscape(code)}, &status)
	return status, err
}

// couponRow is one coupon as operators see it; a revoked one has no slot any more.
type couponRow struct {
	UserID      number    `json:"user_id"`
	Slot        number    `json:"slot"`
	RevokedSlot number    `json:"revoked_slot"`
	AdmittedAt  time.Time `json:"admitted_at"`
}

func (r couponRow) coupon() domain.Coupon {
	return domain.Coupon{
		UserID:      domain.UserID(r.UserID),
		Slot:        domain.Slot(r.Slot),
		RevokedSlot: domain.Slot(r.RevokedSlot),
		AdmittedAt:  r.AdmittedAt,
	}
}

// coupons lists all of a campaign's coupons; more than maxRows are an error.
func (c *client) coupons(ctx context.Context, code string) ([]domain.Coupon, error) {
	return list(ctx, c, listing{path: "/v1/admin/coupons", campaign: code}, couponRow.coupon)
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
	return list(ctx, c, listing{path: "/v1/admin/fail-events", campaign: code}, failEventRow.failEvent)
}

// maxRows bounds a list: well above every quota, so that a campaign with too many coupons is still read.
const maxRows = 2 * domain.MaxQuota

// pageBody is one page of either list; NextCursor is empty on the last.
type pageBody[Row any] struct {
	Coupons    []Row  `json:"coupons"`
	FailEvents []Row  `json:"fail_events"`
	NextCursor string `json:"next_cursor"`
}

// rows gives the page's rows: nil when the answer holds no list at all, which is not the same as an empty one.
func (p pageBody[Row]) rows() []Row {
	if p.Coupons != nil {
		return p.Coupons
	}
	return p.FailEvents
}

// listing names a list of one campaign.
type listing struct{ path, campaign string }

// list reads a list to its end. A page without a list and a cursor that stands still are errors.
func list[Row, Item any](ctx context.Context, c *client, what listing, read func(Row) Item) ([]Item, error) {
	query := url.Values{"campaign": {what.campaign}, "limit": {strconv.Itoa(domain.MaxPage)}}
	for all := []Item(nil); ; {
		var page pageBody[Row]
		request := call{method: http.MethodGet, path: what.path + "?" + query.Encode(), admin: true}
		if err := c.call(ctx, request, &page); err != nil {
			return nil, err
		}
		rows := page.rows()
		if rows == nil {
			return nil, fmt.Errorf("the list %s has no rows in its answer", what.path)
		}
		for _, row := range rows {
			all = append(all, read(row))
		}
		if page.NextCursor == "" {
			return all, nil
		}
		if len(all) > maxRows || page.NextCursor == query.Get("cursor") {
			return nil, fmt.Errorf("the list %s of campaign %s does not end", what.path, what.campaign)
		}
		query.Set("cursor", page.NextCursor)
	}
}
