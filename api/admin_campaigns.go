package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

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

// adminCreateCampaign answers POST /v1/admin/campaigns.
func (s *Server) adminCreateCampaign(c *gin.Context) {
	var change domain.CampaignChange
	var code string
	fields := campaignFields(&change)
	fields["code"] = &code
	if err := s.readObject(c, fields); err != nil {
		s.refuse(c, err)
		return
	}
	created, err := s.createCampaign(c, code, change)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Header("Location", "/v1/admin/campaigns/"+created.Code)
	c.JSON(http.StatusCreated, operator.ViewCampaign(created))
}

// createCampaign creates a campaign for the operator of a request.
func (s *Server) createCampaign(c *gin.Context, code string, stated domain.CampaignChange) (domain.Campaign, error) {
	created, err := s.campaigns.Create(c.Request.Context(), code, stated, actorOf(c))
	if err == nil {
		s.record(c, "campaign created", "campaign", created.Code)
	}
	return created, err
}

func campaignFields(change *domain.CampaignChange) map[string]any {
	return map[string]any{
		"name": &change.Name, "quota": &change.Quota, "state": &change.State,
		"starts_at": &change.StartsAt, "ends_at": &change.EndsAt,
	}
}

// adminChangeCampaign answers PATCH /v1/admin/campaigns/{code}. With settings_version it changes nothing that the client
// has not seen.
func (s *Server) adminChangeCampaign(c *gin.Context) {
	var change domain.CampaignChange
	var version *int64
	fields := campaignFields(&change)
	fields[domain.FieldSettingsVersion] = &version
	err := s.readObject(c, fields)
	switch {
	case err != nil:
	case version != nil && *version < 1:
		err = domain.Invalid(domain.FieldSettingsVersion, "settings_version must be 1 or more")
	case change.IsEmpty():
		err = domain.Invalid("body", "the body names nothing to change")
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if version != nil {
		change.IfVersion = *version
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

// changeCampaign changes a campaign for the operator of a request.
func (s *Server) changeCampaign(c *gin.Context, code string, change domain.CampaignChange) (domain.Campaign, error) {
	changed, err := s.campaigns.Change(c.Request.Context(), code, change, actorOf(c))
	if err == nil {
		s.record(c, "campaign changed", "campaign", changed.Code)
	}
	return changed, err
}

// record logs what an operator did and from where; the stores keep it as well.
func (s *Server) record(c *gin.Context, action string, about ...any) {
	s.logger.Info(action, append([]any{"actor", actorOf(c), "client", c.ClientIP()}, about...)...)
}
