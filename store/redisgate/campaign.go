package redisgate

import (
	"maps"
	"sync"
	"sync/atomic"

	"firstcome/domain"
)

// maxCampaigns bounds the campaigns that one process keeps in mind; each takes a few hundred bytes while nobody waits.
const maxCampaigns = 1024

// campaign is what this process keeps of one campaign: its keys, what it has seen, and who waits.
type campaign struct {
	code string
	keys campaignKeys

	admit, honour line[domain.UserID, domain.Admission]
	confirm       line[domain.Admission, struct{}]
	confirmed     confirmations

	mu           sync.Mutex
	epoch, count int64
	closed       string
}

// seen gives the highest epoch that this process has seen, and the highest count under it. A gate that shows less has
// lost writes.
func (c *campaign) seen() (epoch, count int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch, c.count
}

// saw notes what an open gate showed; answers may come in another order than they were made.
func (c *campaign) saw(epoch, count int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = ""
	if epoch > c.epoch {
		c.epoch, c.count = epoch, count
	} else if epoch == c.epoch {
		c.count = max(c.count, count)
	}
}

// sawClosed notes why the gate is closed, and says whether that is news.
func (c *campaign) sawClosed(why string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.closed != why
	c.closed = why
	return news
}

func (c *campaign) idle() bool { return c.admit.idle() && c.honour.idle() && c.confirm.idle() }

// campaigns finds campaigns by their code. Finding takes no lock; adding copies, which happens once a campaign.
type campaigns struct {
	mu    sync.Mutex
	known atomic.Pointer[map[string]*campaign]
}

func (cs *campaigns) find(code string) (*campaign, error) {
	if known := cs.known.Load(); known != nil {
		if found := (*known)[code]; found != nil {
			return found, nil
		}
	}
	return cs.add(code)
}

func (cs *campaigns) add(code string) (*campaign, error) {
	if err := domain.CheckCampaignCode(code); err != nil {
		return nil, err
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	changed := map[string]*campaign{}
	if known := cs.known.Load(); known != nil {
		if found := (*known)[code]; found != nil {
			return found, nil
		}
		maps.Copy(changed, *known)
	}
	if len(changed) >= maxCampaigns && !forgetOne(changed) {
		return nil, errOverloaded
	}
	added := &campaign{code: code, keys: newCampaignKeys(code)}
	changed[code] = added
	cs.known.Store(&changed)
	return added, nil
}

// forgetOne makes room by forgetting a campaign for which nobody waits. What is lost is only what it has seen.
func forgetOne(known map[string]*campaign) bool {
	for code, candidate := range known {
		if candidate.idle() {
			delete(known, code)
			return true
		}
	}
	return false
}
