package redisgate

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// installationPause is the shortest time between two tries to learn the installation's ID.
const installationPause = 500 * time.Millisecond

// installation is whether the ID of our ledger is known, and how the last try to learn it ended.
type installation struct {
	known   atomic.Bool
	mu      sync.Mutex
	triedAt time.Time
	err     error
}

// find gives a campaign, once it is known whose gates are ours. CodeUnavailable: the ledger has not told its ID yet.
func (g *Gate) find(ctx context.Context, code string) (*campaign, error) {
	if err := g.learnInstallation(ctx); err != nil {
		return nil, err
	}
	return g.campaigns.find(code)
}

// learnInstallation asks the ledger for its ID, once in the life of a process.
func (g *Gate) learnInstallation(ctx context.Context) error {
	if g.config.Installation == nil || g.installation.known.Load() {
		return nil
	}
	i := &g.installation
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known.Load() || time.Since(i.triedAt) < installationPause {
		return i.err
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	id, err := g.config.Installation(ctx)
	i.triedAt, i.err = time.Now(), nil
	switch {
	case err != nil:
		i.err = domain.Wrap(domain.CodeUnavailable, err, "the database has not told the ID of this installation yet")
	case id == "" || strings.ContainsAny(id, "{} "):
		i.err = domain.Errorf(domain.CodeUnavailable, "the ID of this installation can't be used: %q", id)
	default:
		g.campaigns.installation = id
		i.known.Store(true)
	}
	return i.err
}
