package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/crashpoint"
	"firstcome/domain"
	"firstcome/operator"
)

// adminCampaignDetail is a campaign with what the stores hold of it; the error says why a part is missing.
type adminCampaignDetail struct {
	operator.CampaignView
	Settled bool `json:"settled"`
	// HoldersTooMany is how many have to leave before a wish for a lower quota becomes the quota.
	HoldersTooMany int64 `json:"holders_too_many,omitempty"`
	// PromisedWithoutSlot is how many users were promised a coupon and have no slot: the quota has to be raised by so many.
	PromisedWithoutSlot int64       `json:"promised_without_slot,omitempty"`
	Gate                *gateView   `json:"gate,omitempty"`
	GateError           string      `json:"gate_error,omitempty"`
	Counts              *countsView `json:"counts,omitempty"`
	CountsError         string      `json:"counts_error,omitempty"`
}

type gateView struct {
	// Closed says why nobody is admitted; empty when the gate is open.
	Closed             string               `json:"closed"`
	Epoch              int64                `json:"epoch"`
	Quota              int64                `json:"quota"`
	State              domain.CampaignState `json:"state"`
	Count              int64                `json:"count"`
	Free               int64                `json:"free"`
	Remaining          int64                `json:"remaining"`
	Winners            int64                `json:"winners"`
	Owed               int64                `json:"owed"`
	Revoked            int64                `json:"revoked"`
	PendingEntries     int64                `json:"pending_entries"`
	OldestPendingAgeMS int64                `json:"oldest_pending_age_ms"`
	ServerTime         time.Time            `json:"server_time"`
}

type countsView struct {
	Issued  int64 `json:"issued"`
	Revoked int64 `json:"revoked"`
	Delayed int64 `json:"delayed"`
	Dead    int64 `json:"dead"`
}

func (s *Server) adminCampaigns(c *gin.Context) {
	campaigns, err := s.ports.CampaignReader.Campaigns(c.Request.Context())
	if err != nil {
		s.refuse(c, err)
		return
	}
	views := make([]operator.CampaignView, len(campaigns))
	for i, campaign := range campaigns {
		views[i] = operator.ViewCampaign(campaign)
	}
	c.JSON(http.StatusOK, gin.H{"campaigns": views})
}

func (s *Server) adminCampaign(c *gin.Context) {
	campaign, err := s.ports.CampaignReader.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	found, at, err := s.figures.of(c.Request.Context(), campaign.Code)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, campaignDetail(campaign, found, at))
}

func campaignDetail(campaign domain.Campaign, found figuresOfOne, at time.Time) adminCampaignDetail {
	detail := adminCampaignDetail{CampaignView: operator.ViewCampaign(campaign), Settled: found.settled()}
	if found.reportErr != nil {
		detail.GateError = harmless(found.reportErr)
	} else {
		detail.Gate = gateOf(found.report, at)
		detail.HoldersTooMany = holdersTooMany(campaign, found.report)
		detail.PromisedWithoutSlot = withoutSlot(found.report)
	}
	if found.countsErr != nil {
		detail.CountsError = harmless(found.countsErr)
	} else {
		counts := countsView(found.counts)
		detail.Counts = &counts
	}
	return detail
}

// holdersTooMany is 0 for a gate that is closed: its numbers may be of any moment.
func holdersTooMany(campaign domain.Campaign, report domain.GateReport) int64 {
	if campaign.WantedQuota == 0 || report.Closed != "" {
		return 0
	}
	return max(report.Holders()-campaign.WantedQuota, 0)
}

func withoutSlot(report domain.GateReport) int64 {
	if report.Closed != "" {
		return 0
	}
	return report.WithoutSlot()
}

func gateOf(report domain.GateReport, at time.Time) *gateView {
	return &gateView{
		Closed: report.Closed, Epoch: report.Epoch, Quota: report.Quota, State: report.State,
		Count: report.Count, Free: report.Free, Remaining: report.Remaining(),
		Winners: report.Winners, Owed: report.Owed, Revoked: report.Revoked, PendingEntries: report.PendingEntries,
		OldestPendingAgeMS: max(report.OldestPendingAge, 0).Milliseconds(),
		ServerTime:         report.ServerTime.Add(time.Since(at)).UTC(),
	}
}

// adminCreateCampaign answers POST /v1/admin/campaigns. Left out, starts_at is now by the ledger's clock, ends_at never and state open. The
// gate opens with its first rebuild, which a retryer does within a second or so; until then it answers gate-closed.
func (s *Server) adminCreateCampaign(c *gin.Context) {
	var change domain.CampaignChange
	campaign := newCampaign("")
	fields := campaignFields(&change)
	fields["code"] = &campaign.Code
	if err := s.readObject(c, fields); err != nil {
		s.refuse(c, err)
		return
	}
	created, err := s.createCampaign(c, campaign, change)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Header("Location", "/v1/admin/campaigns/"+created.Code)
	c.JSON(http.StatusCreated, operator.ViewCampaign(created))
}

// createCampaign stores a campaign with what is stated of it, for the API and the console.
func (s *Server) createCampaign(c *gin.Context, campaign domain.Campaign, stated domain.CampaignChange) (domain.Campaign, error) {
	campaign, err := campaign.Apply(inMilliseconds(stated))
	if err != nil {
		return campaign, err
	}
	created, err := s.ports.CampaignWriter.CreateCampaign(c.Request.Context(), campaign, actorOf(c))
	if err != nil {
		return campaign, err
	}
	s.directory.put(created)
	s.record(c, "campaign created", "campaign", created.Code)
	return created, nil
}

// newCampaign is a campaign of which nothing but the code is stated: it starts when the ledger stores it, never ends and is
// open.
func newCampaign(code string) domain.Campaign {
	return domain.Campaign{Code: code, EndsAt: domain.NoEnd, State: domain.CampaignOpen}
}

func campaignFields(change *domain.CampaignChange) map[string]any {
	return map[string]any{
		"name": &change.Name, "quota": &change.Quota, "state": &change.State,
		"starts_at": &change.StartsAt, "ends_at": &change.EndsAt,
	}
}

// adminChangeCampaign answers PATCH /v1/admin/campaigns/{code}. The gate follows with the retryer's next sweep.
func (s *Server) adminChangeCampaign(c *gin.Context) {
	var change domain.CampaignChange
	if err := s.readObject(c, campaignFields(&change)); err != nil {
		s.refuse(c, err)
		return
	}
	if change == (domain.CampaignChange{}) {
		s.refuse(c, domain.Invalid("body", "the body names nothing to change"))
		return
	}
	s.answerChange(c, change)
}

// adminSetState answers POST /v1/admin/campaigns/{code}/pause, /resume and /end, which need no body.
func (s *Server) adminSetState(state domain.CampaignState) gin.HandlerFunc {
	return func(c *gin.Context) { s.answerChange(c, domain.CampaignChange{State: &state}) }
}

func (s *Server) answerChange(c *gin.Context, change domain.CampaignChange) {
	changed, err := s.changeCampaign(c, c.Param("code"), change)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, operator.ViewCampaign(changed))
}

// changeCampaign changes a campaign, for the API and the console.
func (s *Server) changeCampaign(c *gin.Context, code string, change domain.CampaignChange) (domain.Campaign, error) {
	changed, err := s.ports.CampaignWriter.ChangeCampaign(c.Request.Context(), code, inMilliseconds(change), actorOf(c))
	if err != nil {
		return domain.Campaign{}, err
	}
	crashpoint.Reach(crashpoint.APICampaignChanged)
	s.directory.put(changed)
	s.record(c, "campaign changed", "campaign", changed.Code)
	return changed, nil
}

// inMilliseconds cuts times to what the gate compares, so that the row and the gate say the same.
func inMilliseconds(change domain.CampaignChange) domain.CampaignChange {
	for _, at := range []*time.Time{change.StartsAt, change.EndsAt} {
		if at != nil {
			*at = at.UTC().Truncate(time.Millisecond)
		}
	}
	return change
}

// record logs what an operator did and from where; the stores keep it as well.
func (s *Server) record(c *gin.Context, action string, about ...any) {
	s.logger.Info(action, append([]any{"actor", actorOf(c), "client", c.ClientIP()}, about...)...)
}
