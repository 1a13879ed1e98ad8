package admission

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"firstcome/domain"
)

const (
	// directoryInterval is how often the campaigns are read anew.
	directoryInterval = time.Second
	// directoryPause is the shortest time between two readings: unknown codes cost the database no more than that.
	directoryPause = 200 * time.Millisecond
	// storeTimeout bounds what a question to the stores may take outside of an application.
	storeTimeout = 2 * time.Second
)

// directory holds all campaigns in memory, so that an application costs the database nothing and goes on while the
// database is away. Only the gate decides; what stands here may be a second old.
type directory struct {
	base   context.Context
	reader domain.CampaignReader
	logger *slog.Logger
	warn   rate.Sometimes
	// epochs is told what epochs the ledger shows; nil tells nobody.
	epochs domain.EpochWitness
	flight singleflight.Group
	limits *lineLimits
	// current is nil until the campaigns were read for the first time; the map in it is never changed.
	current atomic.Pointer[map[string]*knownCampaign]

	mu sync.Mutex
	// changes counts the calls of put: a reading that began before one of them is out of date and is thrown away.
	changes  int
	triedAt  time.Time
	triedErr error
}

// knownCampaign is a campaign as it was read last, what is refused from memory, and where all others wait.
type knownCampaign struct {
	domain.Campaign
	epoch    *ledgerEpoch
	refusals *refusals
	line     *line
}

func newDirectory(base context.Context, stores Stores, limits *lineLimits, logger *slog.Logger) *directory {
	return &directory{
		base: base, reader: stores.Campaigns, epochs: stores.Epochs, limits: limits, logger: logger,
		warn: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// find gives a campaign from memory. For a code that is not there the campaigns are read anew, at most once every
// directoryPause and once for all who wait. CodeUnknownCampaign; CodeUnavailable: they could not be read, so nobody
// knows whether there is such a campaign.
func (d *directory) find(ctx context.Context, code string) (*knownCampaign, error) {
	if known := d.lookUp(code); known != nil {
		return known, nil
	}
	if domain.CheckCampaignCode(code) != nil {
		return nil, errUnknownCampaign
	}
	if err := d.refresh(ctx); err != nil {
		return nil, domain.Wrap(domain.CodeUnavailable, err, "the campaigns can't be read right now")
	}
	if known := d.lookUp(code); known != nil {
		return known, nil
	}
	return nil, errUnknownCampaign
}

var errUnknownCampaign = domain.Errorf(domain.CodeUnknownCampaign, "there is no such campaign")

func (d *directory) lookUp(code string) *knownCampaign {
	if campaigns := d.current.Load(); campaigns != nil {
		return (*campaigns)[code]
	}
	return nil
}

func (d *directory) loaded() bool { return d.current.Load() != nil }

// put brings in what an operator has just changed through this process, before the next reading would.
func (d *directory) put(campaign domain.Campaign) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	if before := d.current.Load(); before != nil {
		after := maps.Clone(*before)
		after[campaign.Code] = d.know(campaign, *before)
		d.current.Store(&after)
	}
}

// run reads the campaigns at once and then every directoryInterval, until the context ends.
func (d *directory) run(ctx context.Context) {
	ticker := time.NewTicker(directoryInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		d.runOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (d *directory) runOnce(ctx context.Context) {
	if err := d.refresh(ctx); err != nil && ctx.Err() == nil {
		d.warn.Do(func() { d.logger.Warn("campaigns can't be read; those known stay", "error", err) })
	}
}

// refresh reads the campaigns, together with all who wait for the same, or gives the outcome of the last reading when
// that is younger than directoryPause.
func (d *directory) refresh(ctx context.Context) error {
	read := d.flight.DoChan("", func() (any, error) { return nil, d.read() })
	select {
	case result := <-read:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *directory) read() error {
	d.mu.Lock()
	if !d.triedAt.IsZero() && time.Since(d.triedAt) < directoryPause {
		defer d.mu.Unlock()
		return d.triedErr
	}
	d.triedAt = time.Now()
	changes := d.changes
	d.mu.Unlock()

	ctx, cancel := context.WithTimeout(d.base, storeTimeout)
	defer cancel()
	campaigns, err := d.reader.Campaigns(ctx)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.triedErr = err
	if err == nil && (changes == d.changes || d.current.Load() == nil) {
		d.learn(campaigns)
	}
	return err
}

// learn makes these the campaigns that are known.
func (d *directory) learn(campaigns []domain.Campaign) {
	var before map[string]*knownCampaign
	if current := d.current.Load(); current != nil {
		before = *current
	}
	byCode := make(map[string]*knownCampaign, len(campaigns))
	for _, campaign := range campaigns {
		byCode[campaign.Code] = d.know(campaign, before)
		if d.epochs != nil {
			d.epochs.SawEpoch(campaign.Code, campaign.Epoch)
		}
	}
	d.current.Store(&byCode)
}

// know keeps the line and the refusals of a campaign that was known before: there is only one of each at a time.
func (d *directory) know(campaign domain.Campaign, before map[string]*knownCampaign) *knownCampaign {
	known := &knownCampaign{Campaign: campaign}
	if last := before[campaign.Code]; last != nil {
		known.epoch, known.refusals, known.line = last.epoch, last.refusals, last.line
	} else {
		known.epoch, known.refusals, known.line = &ledgerEpoch{}, newRefusals(campaign.Code), newLine(d.limits)
		known.refusals.epoch = known.epoch
	}
	known.epoch.learn(campaign.Epoch)
	return known
}
