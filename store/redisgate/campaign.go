package redisgate

import (
	"sync"

	"firstcome/domain"
)

// maxCampaigns bounds the campaigns that one process keeps in mind; each takes about a kilobyte.
const maxCampaigns = 20_000

// campaign is what this process keeps of one campaign: its keys, and what it has seen.
type campaign struct {
	code string
	keys campaignKeys

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

// closedBy gives why the gate is closed, as far as this process knows; empty while it is open.
func (c *campaign) closedBy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// sawClosed notes why the gate is closed, and says whether that is news.
func (c *campaign) sawClosed(why string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.closed != why
	c.closed = why
	return news
}

// campaigns finds campaigns by their code. Finding one that is known takes no lock.
type campaigns struct {
	// prefix stands before all keys, and installation is whose gates these are: set before the first is found.
	prefix, installation string
	known                sync.Map // of *campaign, by code
	// mu is held while one is added; count is how many are known.
	mu    sync.Mutex
	count int
}

// SawEpoch implements domain.EpochWitness. Of a campaign that this process never asked for nothing is kept. What a gate showed
// that was edited again and again, and is by now far ahead of the ledger, is forgotten.
func (g *Gate) SawEpoch(campaign string, epoch int64) { g.campaigns.sawEpoch(campaign, epoch) }

func (cs *campaigns) sawEpoch(code string, epoch int64) {
	found, ok := cs.known.Load(code)
	if !ok {
		return
	}
	c, _ := found.(*campaign)
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch > c.epoch || c.epoch > epoch+domain.MaxEpochLead {
		c.epoch, c.count = epoch, 0
	}
}

func (cs *campaigns) find(code string) (*campaign, error) {
	if found, ok := cs.known.Load(code); ok {
		return found.(*campaign), nil
	}
	return cs.add(code)
}

func (cs *campaigns) add(code string) (*campaign, error) {
	if err := domain.CheckCampaignCode(code); err != nil {
		return nil, err
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if found, ok := cs.known.Load(code); ok {
		return found.(*campaign), nil
	}
	if cs.count >= maxCampaigns {
		cs.forgetOne()
	}
	added := &campaign{code: code, keys: newCampaignKeys(cs.prefix, code, cs.installation)}
	cs.known.Store(code, added)
	cs.count++
	return added, nil
}

// forgetOne makes room. What is lost is only what was seen of that campaign.
func (cs *campaigns) forgetOne() {
	cs.known.Range(func(code, _ any) bool {
		cs.known.Delete(code)
		cs.count--
		return false
	})
}
