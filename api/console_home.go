package api

import (
	"bytes"
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// home answers GET /console/.
func (k *console) home(c *gin.Context) {
	found, _, err := k.overview.get(c.Request.Context())
	if err != nil {
		k.fail(c, err)
		return
	}
	k.render(c, http.StatusOK, "home", "Campaigns", found)
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
	put("pipeline", "pipeline-figures", found.Pipeline)
	for _, figures := range found.Campaigns {
		put("campaign."+figures.Code, "campaign-figures", figures)
	}
	return event
}
