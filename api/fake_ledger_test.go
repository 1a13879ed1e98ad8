package api

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// fakeLedger is the database in memory. While err is set it is away.
type fakeLedger struct {
	mu        sync.Mutex
	err       error
	campaigns []domain.Campaign
	coupons   []domain.Coupon
	delayed   map[domain.UserID]bool
	events    []domain.FailEvent // newest first
	attempts  []domain.FailEventAttempt
	counts    domain.LedgerCounts
	settings  map[string]string
	audits    []domain.AuditResult

	// reading is called by each reading of all campaigns, onCount by each count.
	reading func(ctx context.Context)
	onCount func()
	// listing is called by each reading of a page of coupons.
	listing func() error
	// hangs makes the questions about one user and the counts last until their context ends.
	hangs         bool
	audited       []string
	actors        []string
	lastFilter    domain.FailEventFilter
	discardReason string
}

var errUnknownCampaign = domain.Errorf(domain.CodeUnknownCampaign, "there is no such campaign")

func newFakeLedger() *fakeLedger {
	return &fakeLedger{
		campaigns: []domain.Campaign{{
			ID: 1, Code: "spring", Name: "Spring sale", Quota: 2, State: domain.CampaignOpen, Epoch: 1,
			StartsAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), EndsAt: domain.NoEnd,
		}},
		delayed: map[domain.UserID]bool{}, settings: map[string]string{},
	}
}

func (l *fakeLedger) lock() (func(), error) {
	l.mu.Lock()
	return l.mu.Unlock, l.err
}

func (l *fakeLedger) hang(ctx context.Context) error {
	if l.hangs {
		<-ctx.Done()
		return domain.Wrap(domain.CodeUnavailable, ctx.Err(), "no answer")
	}
	return nil
}

func (l *fakeLedger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *fakeLedger) Campaigns(ctx context.Context) ([]domain.Campaign, error) {
	if l.reading != nil {
		l.reading(ctx)
	}
	unlock, err := l.lock()
	defer unlock()
	return slices.Clone(l.campaigns), err
}

func (l *fakeLedger) Campaign(_ context.Context, code string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	at := slices.IndexFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == code })
	if at < 0 {
		return domain.Campaign{}, errUnknownCampaign
	}
	return l.campaigns[at], nil
}

func (l *fakeLedger) CreateCampaign(_ context.Context, campaign domain.Campaign, actor string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	if campaign.StartsAt.IsZero() {
		campaign.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
	}
	if err := campaign.Check(); err != nil {
		return domain.Campaign{}, err
	}
	l.actors = append(l.actors, actor)
	if slices.ContainsFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == campaign.Code }) {
		return domain.Campaign{}, domain.Errorf(domain.CodeConflict, "the code %s is taken", campaign.Code)
	}
	campaign.ID = int64(len(l.campaigns) + 1)
	l.campaigns = append(l.campaigns, campaign)
	return campaign, nil
}

func (l *fakeLedger) ChangeCampaign(_ context.Context, code string, change domain.CampaignChange, actor string) (domain.Campaign, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Campaign{}, err
	}
	at := slices.IndexFunc(l.campaigns, func(c domain.Campaign) bool { return c.Code == code })
	if at < 0 {
		return domain.Campaign{}, errUnknownCampaign
	}
	changed, err := l.campaigns[at].Apply(change)
	if err != nil {
		return domain.Campaign{}, err
	}
	l.campaigns[at], l.actors = changed, append(l.actors, actor)
	return changed, nil
}

func (l *fakeLedger) FindCoupon(ctx context.Context, campaign string, user domain.UserID) (domain.Coupon, error) {
	if err := l.hang(ctx); err != nil {
		return domain.Coupon{}, err
	}
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.Coupon{}, err
	}
	for _, coupon := range l.coupons {
		if coupon.UserID == user && coupon.Campaign == campaign {
			return coupon, nil
		}
	}
	return domain.Coupon{}, domain.Errorf(domain.CodeNotFound, "no row")
}

func (l *fakeLedger) HasUnresolvedFailEvent(_ context.Context, _ string, user domain.UserID) (bool, error) {
	unlock, err := l.lock()
	defer unlock()
	return l.delayed[user], err
}

// Coupons uses the position in the slice as the cursor.
func (l *fakeLedger) Coupons(_ context.Context, campaign string, after int64, limit int) ([]domain.Coupon, int64, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return nil, 0, err
	}
	if campaign != "spring" {
		return nil, 0, errUnknownCampaign
	}
	if l.listing != nil {
		if err := l.listing(); err != nil {
			return nil, 0, err
		}
	}
	rest := l.coupons[after:]
	if len(rest) <= limit {
		return rest, 0, nil
	}
	return rest[:limit], after + int64(limit), nil
}

func (l *fakeLedger) FailEvents(_ context.Context, filter domain.FailEventFilter) ([]domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	l.lastFilter = filter
	var found []domain.FailEvent
	for _, event := range l.events {
		ofUser := filter.UserID == 0 || event.UserID == filter.UserID
		if ofUser && (filter.BeforeID == 0 || event.ID < filter.BeforeID) {
			found = append(found, event)
		}
	}
	return found[:min(len(found), filter.Limit)], err
}

func (l *fakeLedger) find(id int64) (*domain.FailEvent, error) {
	for i := range l.events {
		if l.events[i].ID == id {
			return &l.events[i], nil
		}
	}
	return nil, domain.Errorf(domain.CodeNotFound, "there is no fail event %d", id)
}

func (l *fakeLedger) FailEvent(_ context.Context, id int64) (domain.FailEvent, []domain.FailEventAttempt, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, nil, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, nil, err
	}
	return *event, l.attempts, nil
}

func (l *fakeLedger) CountFailEvents(context.Context, string, int) ([]domain.FailEventCount, error) {
	unlock, err := l.lock()
	defer unlock()
	cells := map[domain.FailEventCount]int64{}
	for _, event := range l.events {
		cells[domain.FailEventCount{Status: event.Status, Reason: event.Reason}]++
	}
	var counts []domain.FailEventCount
	for cell, count := range cells {
		cell.Count = count
		counts = append(counts, cell)
	}
	return counts, err
}

func (l *fakeLedger) RetryFailEvent(_ context.Context, id int64, actor string) (domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, err
	}
	if event.Status == domain.FailStatusProcessing {
		return domain.FailEvent{}, domain.Errorf(domain.CodeConflict, "fail event %d is being processed", id)
	}
	l.actors = append(l.actors, actor)
	event.Status = domain.FailStatusFail
	return *event, nil
}

func (l *fakeLedger) DiscardFailEvent(_ context.Context, id int64, reason, actor string) (domain.FailEvent, error) {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return domain.FailEvent{}, err
	}
	event, err := l.find(id)
	if err != nil {
		return domain.FailEvent{}, err
	}
	l.actors, l.discardReason = append(l.actors, actor), reason
	event.Status, event.DiscardedAt = domain.FailStatusDead, admissiontest.AdmittedAt
	return *event, nil
}

func (l *fakeLedger) Count(ctx context.Context, _ string) (domain.LedgerCounts, error) {
	if err := l.hang(ctx); err != nil {
		return domain.LedgerCounts{}, err
	}
	if l.onCount != nil {
		l.onCount()
	}
	unlock, err := l.lock()
	defer unlock()
	return l.counts, err
}

func (l *fakeLedger) Setting(_ context.Context, name string) (string, error) {
	unlock, err := l.lock()
	defer unlock()
	return l.settings[name], err
}

func (l *fakeLedger) SetSetting(_ context.Context, name, value, actor string) error {
	unlock, err := l.lock()
	defer unlock()
	if err != nil {
		return err
	}
	l.settings[name], l.actors = value, append(l.actors, actor)
	return nil
}

// Audit and LastAudits make the fake an Auditor.
func (l *fakeLedger) Audit(_ context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	unlock, err := l.lock()
	defer unlock()
	l.audited = append(l.audited, fmt.Sprint(campaigns, repair))
	return l.audits, err
}

func (l *fakeLedger) LastAudits(_ context.Context, campaign string) ([]domain.AuditResult, error) {
	unlock, err := l.lock()
	defer unlock()
	l.audited = append(l.audited, "last "+campaign)
	return l.audits, err
}
