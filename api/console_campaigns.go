package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
	"firstcome/operator"
)

// campaignForm is what the form for a new campaign, or for changing one, shows: the texts as they were typed, and what
// is wrong with them.
type campaignForm struct {
	// Code is empty in the form for a new campaign that was not filled in yet; New tells the two apart.
	New                                 bool
	Code, Name, Quota, StartsAt, EndsAt string
	// Version is that of the settings that the form was filled with.
	Version string
	Errors  fieldErrors
}

func (f campaignForm) errorOf(field string) string { return f.Errors[field] }

func (k *console) newCampaign(c *gin.Context) {
	k.render(c, http.StatusOK, "campaign_form", "New campaign", campaignForm{New: true})
}

func (k *console) createCampaign(c *gin.Context) {
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	form := formOf(fields)
	form.New, form.Code = true, strings.TrimSpace(fields.Get("code"))
	change, errs := form.change()
	if len(errs) == 0 {
		var created domain.Campaign
		if created, err = k.server.createCampaign(c, form.Code, change); err == nil {
			c.Redirect(http.StatusSeeOther, "/console/campaigns/"+created.Code+"?note=created")
			return
		}
	}
	k.showAgain(c, "New campaign", form, errs, err)
}

func (k *console) editCampaign(c *gin.Context) {
	campaign, err := k.server.ports.CampaignReader.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		k.fail(c, err)
		return
	}
	form := campaignForm{
		Code: campaign.Code, Name: campaign.Name, Quota: digits(campaign.Quota), StartsAt: campaign.StartsAt.UTC().Format(time.RFC3339),
		Version: digits(campaign.SettingsVersion),
	}
	if campaign.WantedQuota > 0 {
		form.Quota = digits(campaign.WantedQuota)
	}
	if !campaign.EndsAt.Equal(domain.NoEnd) {
		form.EndsAt = campaign.EndsAt.UTC().Format(time.RFC3339)
	}
	k.render(c, http.StatusOK, "campaign_form", "Change "+campaign.Code, form)
}

func (k *console) changeCampaign(c *gin.Context) {
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	form := formOf(fields)
	form.Code = c.Param("code")
	change, errs := form.change()
	change.IfVersion = number(form.Version)
	if len(errs) == 0 {
		if _, err = k.server.changeCampaign(c, form.Code, change); err == nil {
			c.Redirect(http.StatusSeeOther, "/console/campaigns/"+url.PathEscape(form.Code)+"?note=changed")
			return
		}
	}
	if operator.IsLostUpdate(err) {
		k.showLostUpdate(c, form, err)
		return
	}
	k.showAgain(c, "Change "+form.Code, form, errs, err)
}

// showLostUpdate shows what somebody else changed meanwhile, with what was typed. To save it once more is meant.
func (k *console) showLostUpdate(c *gin.Context, form campaignForm, lost error) {
	campaign, err := k.server.ports.CampaignReader.Campaign(c.Request.Context(), form.Code)
	if err != nil {
		k.fail(c, err)
		return
	}
	form.Version = digits(campaign.SettingsVersion)
	problem, _ := asProblem(lost)
	form.Errors = fieldErrors{"": "Nothing was saved: " + problem.Detail + ". What you typed stands below; save again to put it in place of that."}
	k.render(c, http.StatusConflict, "campaign_form", "Change "+form.Code, form)
}

// showAgain shows a form with what is wrong with it. What is wrong with something else needs a page of its own.
func (k *console) showAgain(c *gin.Context, title string, form campaignForm, errs fieldErrors, err error) {
	if len(errs) == 0 {
		var ofForm bool
		if errs, ofForm = inField(err); !ofForm {
			k.fail(c, err)
			return
		}
	}
	form.Errors = errs
	k.render(c, http.StatusUnprocessableEntity, "campaign_form", title, form)
}

func formOf(fields url.Values) campaignForm {
	text := func(name string) string { return strings.TrimSpace(fields.Get(name)) }
	return campaignForm{
		Name: text("name"), Quota: text("quota"), StartsAt: text("starts_at"), EndsAt: text("ends_at"), Version: text("settings_version"),
	}
}

// change reads what was typed. Commas and spaces in a number are for the eye.
func (f campaignForm) change() (domain.CampaignChange, fieldErrors) {
	errs := fieldErrors{}
	change := domain.CampaignChange{Name: &f.Name}
	quota, err := strconv.ParseInt(strings.NewReplacer(",", "", " ", "").Replace(f.Quota), 10, 64)
	if err != nil {
		errs["quota"] = "A whole number, such as 1000."
	}
	change.Quota = &quota
	change.StartsAt = readTime(f.StartsAt, "starts_at", errs)
	if change.EndsAt = readTime(f.EndsAt, "ends_at", errs); change.EndsAt == nil {
		noEnd := domain.NoEnd
		change.EndsAt = &noEnd
	}
	for _, problem := range f.campaign(change).Problems() {
		errs.add(problem)
	}
	return change, errs
}

// campaign is what would come of the form, as far as it says.
func (f campaignForm) campaign(change domain.CampaignChange) domain.Campaign {
	campaign := domain.Campaign{Code: f.Code, Name: f.Name, Quota: *change.Quota, EndsAt: *change.EndsAt, State: domain.CampaignOpen}
	if change.StartsAt != nil {
		campaign.StartsAt = *change.StartsAt
	}
	return campaign
}

// readTime gives nil for an empty field.
func readTime(text, field string, errs fieldErrors) *time.Time {
	if text == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return &at
		}
	}
	errs[field] = "A time such as 2030-01-31T12:00 (UTC)."
	return nil
}

// setState answers the buttons that pause, resume and end a campaign.
func (k *console) setState(state domain.CampaignState, note string) gin.HandlerFunc {
	return func(c *gin.Context) {
		changed, err := k.server.changeCampaign(c, c.Param("code"), domain.CampaignChange{State: &state})
		if err != nil {
			k.fail(c, err)
			return
		}
		c.Redirect(http.StatusSeeOther, "/console/campaigns/"+changed.Code+"?note="+note)
	}
}

// campaignPage is what the page of one campaign shows.
type campaignPage struct {
	campaignFigures
	Alerts []alert
	Curve  chartView
}

func (k *console) campaign(c *gin.Context) {
	ctx := c.Request.Context()
	campaign, err := k.server.admission.Campaign(ctx, c.Param("code"))
	if err != nil {
		k.fail(c, err)
		return
	}
	found, _, err := k.overview.get(ctx)
	if err != nil {
		k.fail(c, err)
		return
	}
	page := campaignPage{Alerts: found.Alerts, Curve: chartView{
		Title: "Applications a second", Address: "/console/campaigns/" + campaign.Code + "/curve", Every: funnelRefresh,
		Says: "Counts come in every few seconds.", Quiet: quietFunnel,
	}}
	page.campaignFigures = k.figuresOf(ctx, found, campaign)
	k.render(c, http.StatusOK, "campaign", campaign.Code, page)
}
