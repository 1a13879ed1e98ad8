package api

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"firstcome/domain"
)

// maxWatched bounds how many campaigns the stores are asked about for one overview; those that are not over come first.
const maxWatched = 50

// overview is what the first page shows, and what is sent to anybody who watches it.
type overview struct {
	At        time.Time
	Campaigns []campaignFigures
	// More counts the campaigns that were left out, MoreGoingOn those of them that are not over: no alert tells of their gates.
	More, MoreGoingOn int
	Pipeline          pipelineState
	Readiness         readiness
	Audits            []domain.AuditResult
	// FunnelError and AuditError say that the ledger could not be asked.
	FunnelError, AuditError string
	Alerts                  []alert
}

// campaignFigures are the figures of one campaign. Those that a store that is away would have told are -1.
type campaignFigures struct {
	domain.Campaign
	Phase string
	// Applied counts answers to applications, Refused those of them that were refused or failed.
	Applied, Refused int64
	// Admitted counts the winners that the gate knows, Accepted the new winners who were told "accepted".
	Admitted, Accepted int64
	// Issued counts coupons, Delayed the winners whose record is tried again, Dead those who wait for an operator.
	Issued, Delayed, Dead int64
	Remaining             int64
	// WithoutSlot counts those who were promised a coupon and have no slot, TooMany the holders who have to leave before a
	// wish for a lower quota becomes the quota; 0 while the gate is not known.
	WithoutSlot, TooMany int64
	// AppliedRate and IssuedRate are per second, over the last seconds; -1 while they are not known.
	AppliedRate, IssuedRate float64
	// GateClosed says why nobody is admitted; GateError that the gate could not be asked, CountsError the ledger.
	GateClosed, GateError, CountsError string
}

// unknown stands for a figure that could not be had.
const unknown = -1

// phaseOf says in one word what a campaign does now.
func phaseOf(campaign domain.Campaign, at time.Time) string {
	switch {
	case campaign.State == domain.CampaignEnded || !at.Before(campaign.EndsAt):
		return "ended"
	case campaign.State == domain.CampaignPaused:
		return "paused"
	case at.Before(campaign.StartsAt):
		return "scheduled"
	}
	return "open"
}

// segment is a part of a campaign's quota, in thousandths.
type segment struct {
	Kind         string
	Start, Width int64
}

const segmentTotal = 1000

// Segments share the quota out among what became of it; what is left over is drawn as the rest.
func (f campaignFigures) Segments() []segment {
	parts := []struct {
		kind  string
		count int64
	}{{"issued", f.Issued}, {"moving", f.Moving()}, {"delayed", f.Delayed}, {"dead", f.Dead}}
	var segments []segment
	start := int64(0)
	for _, part := range parts {
		if part.count <= 0 || f.Quota <= 0 {
			continue
		}
		width := min(max(part.count*segmentTotal/f.Quota, 2), segmentTotal-start) // what is there is seen
		segments = append(segments, segment{Kind: part.kind, Start: start, Width: width})
		start += width
	}
	return segments
}

// Moving counts the winners who have neither a coupon nor a fail event: their records are on the way.
func (f campaignFigures) Moving() int64 {
	if f.Admitted == unknown || f.Issued == unknown {
		return unknown
	}
	return max(f.Admitted-f.Issued-f.Delayed-f.Dead, 0)
}

// loadOverview asks all stores, and leaves out what one that is away would have told.
func (k *console) loadOverview(ctx context.Context) overview {
	s := k.server
	found := overview{At: now()}
	found.Readiness, _, _ = s.readiness.get(ctx)
	found.Pipeline = k.pipelineState(ctx)
	if s.audits.Possible() {
		audits, err := s.audits.Last(ctx, "")
		if found.Audits = audits; err != nil {
			found.AuditError = harmless(err)
		}
	}
	campaigns := s.admission.Campaigns(ctx)
	sortCampaigns(campaigns, found.At)
	if found.More = len(campaigns) - maxWatched; found.More > 0 {
		for _, campaign := range campaigns[maxWatched:] {
			if phaseOf(campaign, found.At) != "ended" {
				found.MoreGoingOn++
			}
		}
		campaigns = campaigns[:maxWatched]
	}
	found.More = max(found.More, 0)
	totals, err := s.ports.FunnelReader.FunnelTotals(ctx)
	if err != nil {
		found.FunnelError = harmless(err)
	}
	found.Campaigns = k.askAll(ctx, campaigns, found.At)
	for i := range found.Campaigns {
		addFunnel(&found.Campaigns[i], totals, err != nil)
	}
	k.rates.rate(&found)
	found.Alerts = alertsOf(found)
	return found
}

// sortCampaigns puts those first that go on, and of these those that were made last.
func sortCampaigns(campaigns []domain.Campaign, at time.Time) {
	slices.SortStableFunc(campaigns, func(a, b domain.Campaign) int {
		return cmp.Or(order(a, at)-order(b, at), cmp.Compare(b.ID, a.ID))
	})
}

// order puts what goes on first and what is over last.
func order(campaign domain.Campaign, at time.Time) int {
	return slices.Index([]string{"open", "paused", "scheduled", "ended"}, phaseOf(campaign, at))
}

// askAll asks the gate and the ledger about each campaign, a few at a time.
func (k *console) askAll(ctx context.Context, campaigns []domain.Campaign, at time.Time) []campaignFigures {
	figures := make([]campaignFigures, len(campaigns))
	aFewAtATime(len(campaigns), func(i int) { figures[i] = k.askOne(ctx, campaigns[i], at) })
	return figures
}

// aFewAtATime calls ask for 0 to n-1, at most eight at a time so that a page leaves the stores to applicants, and waits.
func aFewAtATime(n int, ask func(i int)) {
	var asking errgroup.Group
	asking.SetLimit(8)
	for i := range n {
		asking.Go(func() error { ask(i); return nil })
	}
	_ = asking.Wait() // none of them gives an error
}

func (k *console) askOne(ctx context.Context, campaign domain.Campaign, at time.Time) campaignFigures {
	figures := campaignFigures{Campaign: campaign, Phase: phaseOf(campaign, at), AppliedRate: unknown, IssuedRate: unknown}
	figures.Admitted, figures.Remaining, figures.Issued = unknown, unknown, unknown
	found, _, err := k.server.figures.of(ctx, campaign.Code)
	if err != nil {
		figures.GateError, figures.CountsError = harmless(err), harmless(err)
		return figures
	}
	if found.countsErr == nil {
		figures.Issued, figures.Dead = found.counts.Issued, found.counts.Dead
		figures.Delayed = found.counts.Delayed - found.counts.Dead
	} else {
		figures.CountsError = harmless(found.countsErr)
	}
	switch {
	case found.reportErr != nil:
		figures.GateError = harmless(found.reportErr)
	case found.report.Closed != "":
		figures.GateClosed = found.report.Closed
	default:
		figures.Admitted, figures.Remaining = found.report.Winners, found.report.Remaining()
		figures.WithoutSlot, figures.TooMany = withoutSlot(found.report), holdersTooMany(campaign, found.report)
	}
	return figures
}

// addFunnel adds what was counted of answers.
func addFunnel(figures *campaignFigures, totals []domain.FunnelCount, away bool) {
	if away {
		figures.Applied, figures.Refused, figures.Accepted = unknown, unknown, unknown
		return
	}
	for _, total := range totals {
		if total.Campaign != figures.Code || total.Outcome == domain.FunnelIssued {
			continue
		}
		figures.Applied += total.Count
		switch {
		case domain.IsFunnelRefusal(total.Outcome):
			figures.Refused += total.Count
		case total.Outcome == domain.FunnelAccepted:
			figures.Accepted += total.Count
		}
	}
}

// rateWindow is over how long a rate is taken: the counts come in every few seconds.
const rateWindow = 10 * time.Second

// rates remembers the counts of the last seconds.
type rates struct {
	mu   sync.Mutex
	seen map[string][]countAt
}

type countAt struct {
	at              time.Time
	applied, issued int64
}

// rate fills in the rates of the campaigns, and forgets those that are gone.
func (r *rates) rate(found *overview) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := make(map[string][]countAt, len(found.Campaigns))
	for i := range found.Campaigns {
		figures := &found.Campaigns[i]
		if figures.Applied == unknown || figures.Issued == unknown {
			continue
		}
		newest := countAt{at: found.At, applied: figures.Applied, issued: figures.Issued}
		counts := append(within(r.seen[figures.Code], found.At), newest)
		kept[figures.Code] = counts
		if seconds := newest.at.Sub(counts[0].at).Seconds(); seconds >= 1 {
			figures.AppliedRate = max(float64(newest.applied-counts[0].applied)/seconds, 0)
			figures.IssuedRate = max(float64(newest.issued-counts[0].issued)/seconds, 0)
		}
	}
	r.seen = kept
}

func within(counts []countAt, at time.Time) []countAt {
	first := slices.IndexFunc(counts, func(count countAt) bool { return at.Sub(count.at) <= rateWindow })
	if first < 0 {
		return nil
	}
	return slices.Clone(counts[first:])
}

// figuresOf gives the figures of one campaign, which may be among those that an overview leaves out.
func (k *console) figuresOf(ctx context.Context, found overview, campaign domain.Campaign) campaignFigures {
	at := slices.IndexFunc(found.Campaigns, func(figures campaignFigures) bool { return figures.Code == campaign.Code })
	if at >= 0 {
		figures := found.Campaigns[at]
		figures.Campaign, figures.Phase = campaign, phaseOf(campaign, now()) // as it was changed a moment ago
		return figures
	}
	return k.figuresOfAll(ctx, []domain.Campaign{campaign})[0]
}

// figuresOfAll gives the figures of campaigns that an overview leaves out, without their rates.
func (k *console) figuresOfAll(ctx context.Context, campaigns []domain.Campaign) []campaignFigures {
	if len(campaigns) == 0 {
		return nil
	}
	figures := k.askAll(ctx, campaigns, now())
	totals, err := k.server.ports.FunnelReader.FunnelTotals(ctx)
	for i := range figures {
		addFunnel(&figures[i], totals, err != nil)
	}
	return figures
}
