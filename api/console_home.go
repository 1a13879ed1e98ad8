package api

import (
	"bytes"
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// homePage shows all campaigns as they are now, and together over time.
type homePage struct {
	overview
	Curve chartView
}

// home answers GET /console/.
func (k *console) home(c *gin.Context) {
	found, _, err := k.overview.get(c.Request.Context())
	if err != nil {
		k.fail(c, err)
		return
	}
	k.render(c, http.StatusOK, "home", "Campaigns", homePage{overview: found, Curve: chartView{
		Title: "Applications a second, all campaigns", Address: "/console/curve", Every: funnelRefresh,
		Says: "Counts come in every few seconds. Each campaign's page has a curve of its own.", Quiet: quietFunnel, Short: true,
	}})
}

// liveParts makes the parts of pages that are kept up to date, with the templates of the pages themselves.
func (k *console) liveParts(ctx context.Context) liveEvent {
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
		put("campaign."+figures.Code, "campaign-figures", figures)
	}
	return event
}
