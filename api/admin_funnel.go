package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// funnelView is what became of a campaign's applications, summed over all processes. The first half was counted as it
// was answered (a process that was killed takes its last second with it); the second is what the stores hold now.
type funnelView struct {
	Campaign string `json:"campaign"`
	// Applied counts all applications that were answered, Known those of winners who asked again.
	Applied int64 `json:"applied"`
	Known   int64 `json:"known"`
	// Refused counts refusals and failures by their code.
	Refused  map[domain.FunnelOutcome]int64 `json:"refused"`
	Accepted int64                          `json:"accepted"`
	Reserved int64                          `json:"reserved"`
	// Admitted counts the users that the gate has admitted, Remaining the slots that it can still hand out; left out
	// while the gate can't tell.
	Admitted  *int64 `json:"admitted,omitempty"`
	Remaining *int64 `json:"remaining,omitempty"`
	// Counts is left out while the database can't tell.
	Counts *countsView `json:"counts,omitempty"`
}

// funnelOf puts the totals of one campaign together with what the stores hold of it.
func funnelOf(campaign string, totals []domain.FunnelCount, found figuresOfOne) funnelView {
	view := funnelView{Campaign: campaign, Refused: map[domain.FunnelOutcome]int64{}}
	for _, total := range totals {
		if total.Campaign != campaign {
			continue
		}
		switch total.Outcome {
		case domain.FunnelIssued:
			continue
		case domain.FunnelAccepted:
			view.Accepted = total.Count
		case domain.FunnelReserved:
			view.Reserved = total.Count
		case domain.FunnelKnown:
			view.Known = total.Count
		default:
			view.Refused[total.Outcome] = total.Count
		}
		view.Applied += total.Count
	}
	if found.gateOpen() {
		admitted, remaining := found.report.Winners+found.report.Revoked, found.report.Remaining()
		view.Admitted, view.Remaining = &admitted, &remaining
	}
	if found.countsErr == nil {
		counts := countsView(found.counts)
		view.Counts = &counts
	}
	return view
}

// adminFunnel answers GET /v1/admin/campaigns/{code}/funnel.
func (s *Server) adminFunnel(c *gin.Context) {
	view, err := s.funnel(c.Request.Context(), c.Param("code"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, view)
}

// funnel gives the funnel of one campaign. CodeUnknownCampaign; CodeUnavailable: the database is away.
func (s *Server) funnel(ctx context.Context, code string) (funnelView, error) {
	campaign, err := s.ports.CampaignReader.Campaign(ctx, code)
	if err != nil {
		return funnelView{}, err
	}
	totals, err := s.ports.FunnelReader.FunnelTotals(ctx)
	if err != nil {
		return funnelView{}, err
	}
	found, _, err := s.figures.of(ctx, campaign.Code)
	if err != nil {
		return funnelView{}, err
	}
	return funnelOf(campaign.Code, totals, found), nil
}

// curveView is what was counted over time, one point each step; a step in which nothing was counted has no point.
type curveView struct {
	Campaign    string       `json:"campaign"`
	From        time.Time    `json:"from"`
	Until       time.Time    `json:"until"`
	StepSeconds int64        `json:"step_seconds"`
	Points      []curvePoint `json:"points"`
}

// curvePoint is one step from At on: admissions, stored coupons, and all outcomes by name.
type curvePoint struct {
	At       time.Time                      `json:"at"`
	Admitted int64                          `json:"admitted"`
	Issued   int64                          `json:"issued"`
	Outcomes map[domain.FunnelOutcome]int64 `json:"outcomes"`
}

// defaultCurve is what a curve shows unless the call says otherwise: the last hour, in some hundred points.
const (
	defaultCurve      = time.Hour
	defaultCurveSteps = 100
)

// adminCurve answers GET /v1/admin/campaigns/{code}/curve?from=&until=&step_seconds=.
func (s *Server) adminCurve(c *gin.Context) {
	q := newQuery(c, "from", "until", "step_seconds")
	query := curveQuery(c.Param("code"), q.time("from"), q.time("until"), q.seconds("step_seconds"), time.Now())
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	view, err := s.curve(c.Request.Context(), query)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, view)
}

// curveQuery fills in what was left out: until now, for an hour, in about a hundred steps.
func curveQuery(campaign string, from, until time.Time, step time.Duration, now time.Time) domain.FunnelQuery {
	if until.IsZero() {
		until = now
	}
	if from.IsZero() {
		from = until.Add(-defaultCurve)
	}
	if step == 0 {
		step = max(until.Sub(from)/defaultCurveSteps, domain.FunnelBucket).Round(domain.FunnelBucket)
	}
	return domain.FunnelQuery{Campaign: campaign, From: from.UTC(), Until: until.UTC(), Step: step}
}

// curve gives the points of a curve. CodeUnknownCampaign, CodeInvalidRequest, CodeUnavailable.
func (s *Server) curve(ctx context.Context, query domain.FunnelQuery) (curveView, error) {
	if _, err := s.ports.CampaignReader.Campaign(ctx, query.Campaign); err != nil {
		return curveView{}, err
	}
	points, err := s.ports.FunnelReader.FunnelSeries(ctx, query)
	if err != nil {
		return curveView{}, err
	}
	view := curveView{
		Campaign: query.Campaign, From: query.From, Until: query.Until,
		StepSeconds: int64(query.Step / time.Second), Points: make([]curvePoint, len(points)),
	}
	for i, point := range points {
		view.Points[i] = curvePoint{
			At: point.At, Admitted: point.Counts[domain.FunnelAccepted] + point.Counts[domain.FunnelReserved],
			Issued: point.Counts[domain.FunnelIssued], Outcomes: point.Counts,
		}
	}
	return view, nil
}
