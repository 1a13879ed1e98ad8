package retryer

import (
	"sync"

	"firstcome/domain"
)

// rounds spares a job the look at every gate each time. Each run looks at the campaigns that are not settled (new ones,
// changed ones, and those at which there was something to do last time), and of the settled ones at a share, in turns:
// each gate is looked at once in campaigns ÷ share runs at least. A run that finds something to do looks at all the
// others too, because what befell one gate has mostly befallen all: Redis lost its memory, or a process died.
type rounds struct {
	share int

	mu sync.Mutex
	// settled holds the row with which there was nothing to do at the last look.
	settled map[string]domain.Campaign
	turn    int
}

func newRounds(share int) *rounds {
	return &rounds{share: share, settled: map[string]domain.Campaign{}}
}

// begin splits the campaigns into those to look at now, and the others.
func (r *rounds) begin(campaigns []domain.Campaign) (now, others []domain.Campaign) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, last := 0, 0
	for i := range campaigns {
		campaign := campaigns[(r.turn+i)%len(campaigns)]
		switch {
		case r.settled[campaign.Code] != campaign:
			now = append(now, campaign)
		case taken < r.share:
			now = append(now, campaign)
			taken, last = taken+1, i+1
		default:
			others = append(others, campaign)
		}
	}
	if len(others) > 0 {
		r.turn = (r.turn + last) % len(campaigns)
	}
	return now, others
}

// settle notes that there was nothing to do at a campaign.
func (r *rounds) settle(campaign domain.Campaign) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled[campaign.Code] = campaign
}

// unsettle notes that there was something to do.
func (r *rounds) unsettle(code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.settled, code)
}
