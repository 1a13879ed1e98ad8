package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEveryCampaignIsReachedFromTheFirstPage(t *testing.T) {
	b := newFixture(t).withCampaigns(120).start()
	console := b.logIn(testToken)
	seen := map[string]bool{}
	address, pages := "/console/", 0
	for ; address != "" && pages < 9; pages++ {
		page := console.get(address).Body.String()
		assert.False(t, strings.Contains(page, "campaigns are over"), "they are open")
		for _, campaign := range b.ledger.campaigns {
			if strings.Contains(page, `id="campaign-`+campaign.Code+`"`) {
				assert.False(t, seen[campaign.Code], "each once")
				seen[campaign.Code] = true
			}
		}
		_, rest, more := strings.Cut(page, `href="/console/?page=`)
		for more && !strings.HasPrefix(rest, fmt.Sprint(pages+2)) {
			_, rest, more = strings.Cut(rest, `href="/console/?page=`)
		}
		if address = ""; more {
			address = fmt.Sprintf("/console/?page=%d", pages+2)
		}
	}
	assert.Len(t, seen, 121)
	assert.Equal(t, 3, pages)

	page := console.get("/console/?find=MANY-07").Body.String()
	assert.Equal(t, 10, strings.Count(page, `id="campaign-many-07`))
	assert.Equal(t, 10, strings.Count(page, `<article`))
	for _, nowhere := range []string{"find=nothing-like-it", "page=9223372036854775807"} {
		assert.Contains(t, console.get("/console/?"+nowhere).Body.String(), "No campaign matches")
	}
}

func TestACampaignBeyondTheOverviewIsLiveOnItsOwnPage(t *testing.T) {
	b := newFixture(t).withCampaigns(120).start()
	console := b.server.console
	_, _ = b.server.admission.Campaign(t.Context(), "spring")
	beyond := "many-000" // made first, and so the last one of those that go on
	assert.NotContains(t, console.liveParts(t.Context(), nil).Parts, "campaign."+beyond)
	event := console.liveParts(t.Context(), []string{beyond, "no-such-campaign", "many-119"})
	assert.Contains(t, event.Parts, "campaign."+beyond)
	assert.NotContains(t, event.Parts, "campaign.no-such-campaign")
	assert.NotContains(t, event.Home, beyond, "the first page must not take it for a new one")

	var all []string
	for _, campaign := range b.ledger.campaigns {
		all = append(all, campaign.Code)
	}
	assert.Len(t, console.others(t.Context(), overview{}, all), maxOthers)
}

func TestPagesAreToldOfWhatTheyShow(t *testing.T) {
	asked := make(chan []string, 9)
	hub := newLiveHub(func(_ context.Context, campaigns []string) liveEvent { asked <- campaigns; return liveEvent{} })
	defer hub.close()
	hub.mu.Lock()
	for i := range 3 {
		codes := campaignsShown([]string{"spring", fmt.Sprintf("autumn-%d", i), "NO CODE"})
		hub.streams[&liveStream{campaigns: codes}] = struct{}{}
	}
	hub.mu.Unlock()
	hub.runOnce(t.Context())
	assert.Equal(t, []string{"autumn-0", "autumn-1", "autumn-2", "spring"}, <-asked)
	hub.mu.Lock()
	clear(hub.streams)
	hub.mu.Unlock()
	assert.Len(t, campaignsShown(slices.Repeat([]string{"spring"}, 9*maxWatched)), maxWatched)
}
