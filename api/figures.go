package api

import (
	"context"
	"sync"
	"time"

	"firstcome/domain"
)

// figures are what the stores count for each campaign, shared among all who poll.
type figures struct {
	base    context.Context
	gate    domain.GateReader
	ledger  domain.LedgerCounter
	mu      sync.Mutex
	entries map[string]*cached[figuresOfOne] // one a campaign that exists
}

// figuresOfOne is what was found for one campaign; each part stands for itself, because one store may be away.
type figuresOfOne struct {
	counts    domain.LedgerCounts
	countsErr error
	report    domain.GateReport
	reportErr error
}

func newFigures(base context.Context, gate domain.GateReader, ledger domain.LedgerCounter) *figures {
	return &figures{base: base, gate: gate, ledger: ledger, entries: map[string]*cached[figuresOfOne]{}}
}

// of gives the figures of a campaign that exists, and when they were asked for.
func (f *figures) of(ctx context.Context, campaign string) (figuresOfOne, time.Time, error) {
	return f.entry(campaign).get(ctx)
}

func (f *figures) entry(campaign string) *cached[figuresOfOne] {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry, ok := f.entries[campaign]
	if !ok {
		entry = newCached(f.base, func(ctx context.Context) figuresOfOne { return f.load(ctx, campaign) })
		f.entries[campaign] = entry
	}
	return entry
}

// load asks the ledger before the gate. While coupons are only issued, each one counted stands among the gate's
// winners then; so equal numbers mean that nobody is on the way. The other way round, a winner who came between the
// two questions would hide one who is still waiting.
func (f *figures) load(ctx context.Context, campaign string) figuresOfOne {
	var found figuresOfOne
	half, cancel := context.WithTimeout(ctx, storeTimeout/2)
	defer cancel()
	found.counts, found.countsErr = f.ledger.Count(half, campaign)
	found.report, found.reportErr = f.gate.Inspect(ctx, campaign)
	return found
}

// gateOpen says whether the gate was seen and admits.
func (f figuresOfOne) gateOpen() bool { return f.reportErr == nil && f.report.Closed == "" }

// settled says that nothing is on its way: every winner of an open gate has a coupon, or a dead fail event that waits
// for an operator.
func (f figuresOfOne) settled() bool {
	return f.gateOpen() && f.countsErr == nil &&
		f.report.PendingEntries == 0 && f.report.Winners == f.counts.Issued+f.counts.Dead
}

// campaignView is what everybody may know about a campaign. What a store that is away would have told is left out.
type campaignView struct {
	Campaign string `json:"campaign"`
	Name     string `json:"name"`
	Quota    int64  `json:"quota"`
	// HighestSlot is the highest slot that somebody may hold, where that is above the quota.
	HighestSlot int64                `json:"highest_slot,omitempty"`
	Remaining   *int64               `json:"remaining,omitempty"`
	Issued      *int64               `json:"issued,omitempty"`
	StartsAt    time.Time            `json:"starts_at"`
	EndsAt      time.Time            `json:"ends_at"`
	State       domain.CampaignState `json:"state"`
	// Gate is "open" or "closed"; while it is closed nobody is admitted.
	Gate string `json:"gate"`
	// Settled is true while every winner's coupon is stored, and nothing is on its way.
	Settled bool `json:"settled"`
	// ServerTime is the clock by which the window is judged.
	ServerTime time.Time `json:"server_time"`
}

func publicCampaign(campaign domain.Campaign, found figuresOfOne, at time.Time) campaignView {
	view := campaignView{
		Campaign: campaign.Code, Name: campaign.Name, Quota: campaign.Quota, HighestSlot: campaign.HighestAboveQuota(), State: campaign.State,
		StartsAt: campaign.StartsAt.UTC(), EndsAt: campaign.EndsAt.UTC(),
		Gate: "closed", Settled: found.settled(), ServerTime: time.Now().UTC(),
	}
	if found.reportErr == nil && !found.report.ServerTime.IsZero() {
		view.ServerTime = found.report.ServerTime.Add(time.Since(at)).UTC()
	}
	if found.gateOpen() {
		remaining := found.report.Remaining()
		view.Gate, view.Remaining = "open", &remaining
	}
	if found.countsErr == nil {
		view.Issued = &found.counts.Issued
	}
	return view
}
