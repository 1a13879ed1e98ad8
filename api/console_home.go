package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// homePage shows the campaigns as they are now, and all of them together over time.
type homePage struct {
	overview
	Curve chartView
	// Find is what the code or the name must hold, Page which page of those this is.
	Find string
	Page int
	// Matching says how many campaigns match, Older and Newer lead to the next page and the one before.
	Matching     int
	Older, Newer string
}

// maxPages is more than there are of campaigns, and small enough to count with.
const maxPages = 1_000_000

// home answers GET /console/?find=&page=, a page of the campaigns: those that go on first.
func (k *console) home(c *gin.Context) {
	ctx := c.Request.Context()
	found, _, err := k.overview.get(ctx)
	if err != nil {
		k.fail(c, err)
		return
	}
	page := homePage{overview: found, Find: strings.TrimSpace(c.Query("find")), Page: int(min(max(number(c.Query("page")), 1), maxPages)), Curve: chartView{
		Title: "Applications a second, all campaigns", Address: "/console/curve", Every: funnelRefresh,
		Says: "Counts come in every few seconds. Each campaign's page has a curve of its own.", Quiet: quietFunnel, Short: true,
	}}
	matching := matchingCampaigns(k.server.admission.Campaigns(ctx), page.Find, found.At)
	page.Matching = len(matching)
	if page.Find != "" || page.Page > 1 {
		page.Campaigns = k.figuresOfAll(ctx, pageOfCampaigns(matching, page.Page))
	}
	page.Newer, page.Older = page.address(page.Page-1), page.address(page.Page+1)
	k.render(c, http.StatusOK, "home", "Campaigns", page)
}

// matchingCampaigns are those whose code or name holds the text, in any case, as they stand on the page.
func matchingCampaigns(campaigns []domain.Campaign, find string, at time.Time) []domain.Campaign {
	find = strings.ToLower(find)
	campaigns = slices.DeleteFunc(campaigns, func(campaign domain.Campaign) bool {
		return !strings.Contains(campaign.Code, find) && !strings.Contains(strings.ToLower(campaign.Name), find)
	})
	sortCampaigns(campaigns, at)
	return campaigns
}

func pageOfCampaigns(campaigns []domain.Campaign, page int) []domain.Campaign {
	first := min((page-1)*maxWatched, len(campaigns))
	return campaigns[first:min(first+maxWatched, len(campaigns))]
}

// address is that of another page; "" where there is none.
func (p homePage) address(page int) string {
	if page < 1 || (page-1)*maxWatched >= p.Matching {
		return ""
	}
	values := url.Values{"page": {strconv.Itoa(page)}}
	if p.Find != "" {
		values.Set("find", p.Find)
	}
	return "/console/?" + values.Encode()
}

// liveParts makes the parts of pages that are kept up to date, with the templates of the pages themselves.
func (k *console) liveParts(ctx context.Context, campaigns []string) liveEvent {
	found, at, err := k.overview.get(ctx)
	event := liveEvent{At: at.UTC(), Parts: map[string]string{}}
	if err != nil {
		return event
	}
	page := consoleTemplates["home"]
	put := func(name, block string, data any) {
		var part bytes.Buffer
		if err := page.ExecuteTemplate(&part, block, data); err != nil {
			k.server.logger.Error("a part of a page could not be made", "block", block, "error", err)
			return
		}
		event.Parts[name] = part.String()
	}
	put("alerts", "alerts", found.Alerts)
	for name, block := range map[string]string{
		"pipeline": "pipeline-figures", "partitions": "partitions", "consumers": "consumers", "retryers": "retryers",
	} {
		put(name, block, found.Pipeline)
	}
	for _, figures := range found.Campaigns {
		event.Home = append(event.Home, figures.Code)
	}
	for _, figures := range slices.Concat(found.Campaigns, k.others(ctx, found, campaigns)) {
		put("campaign."+figures.Code, "campaign-figures", figures)
	}
	return event
}

// maxOthers bounds how many campaigns all pages together are told of in addition to those of the overview. A page that misses one
// says that its figures are old.
const maxOthers = 100

// others gives the figures of those of the campaigns that the overview leaves out. One that does not exist is left out.
func (k *console) others(ctx context.Context, found overview, codes []string) []campaignFigures {
	var campaigns []domain.Campaign
	for _, code := range codes {
		campaign, err := k.server.admission.Campaign(ctx, code)
		if err == nil && !slices.ContainsFunc(found.Campaigns, func(figures campaignFigures) bool { return figures.Code == code }) {
			campaigns = append(campaigns, campaign)
		}
	}
	return k.figuresOfAll(ctx, campaigns[:min(len(campaigns), maxOthers)])
}
