package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// RunFailEventModel drives fail events at random and holds each of them to a model: what becomes of them, who may work on
// them, and what their history says. open gives two processes' views of one empty ledger, which refuses the coupons of
// RefusedUser and has no other clock than now.
func RunFailEventModel(t *testing.T, open func(t *testing.T, now func() time.Time) (first, second Ledger)) {
	t.Helper()
	clock := &modelClock{at: moment}
	first, second := open(t, clock.now)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := newEventModel(rt, fmt.Sprintf("model-%d", runs), clock, first, second)
		rt.Repeat(map[string]func(*rapid.T){
			"":                   m.check,
			"record":             m.recordOne,
			"record more":        m.recordOne,
			"claim":              m.claimSome,
			"claim more":         m.claimSome,
			"claim at once":      m.claimAtOnce,
			"store":              m.storeOne,
			"store more":         m.storeOne,
			"fail":               m.failOne,
			"fail more":          m.failOne,
			"wait":               m.wait,
			"set the clock back": m.setBack,
			"rescue":             m.rescueSome,
			"store and rescue":   m.storeAndRescue,
			"retry":              m.retryOne,
			"discard":            m.discardOne,
			"discard and claim":  m.discardAndClaim,
			"start a bulk job":   m.startBulk,
			"step a bulk job":    m.stepBulk,
			"take up a bulk job": m.takeBulk,
			"revoke":             m.revokeOne,
			"rebuild":            m.rebuildOnce,
			"purge":              m.purge,
			"look at who waits":  m.checkUnresolved,
		})
	})
}

// The longest that anybody claims for and plans ahead in the model.
const modelLease, modelWait = 60 * time.Second, 90 * time.Second

// modelClock stands still between two steps, so that the model knows each moment that the ledger notes.
type modelClock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *modelClock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *modelClock) wait(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}

// eventModel is what the ledger should hold of one campaign's fail events, kept in the plainest way.
type eventModel struct {
	*modelClock
	ledgers  []Ledger
	campaign domain.Campaign
	events   map[int64]*modelEvent
	// coupons are the users' slots; NoSlot of those who were revoked.
	coupons map[domain.UserID]domain.Slot
	// claims are all that retryers ever got, stale ones too, and tokens those that came with them.
	claims  []domain.FailEvent
	tokens  map[string]bool
	jobs    []*modelJob
	offsets int64
	// lastUser is whose event was recorded last.
	lastUser domain.UserID
}

// modelEvent is one event, as it should be read.
type modelEvent struct {
	domain.FailEvent
	history  []domain.FailEventAttempt
	resolved time.Time
	// final is the event as it was first seen resolved; it must never be otherwise again.
	final *domain.FailEvent
	// seen says that the history was compared since it last changed; purged, that some of it may be gone.
	seen, purged bool
}

// modelJob is a bulk job, and the newest event of its start.
type modelJob struct {
	domain.BulkJob
	stale  string
	newest int64
	until  time.Time
}

// newEventModel ends what earlier runs have left, so that nothing of it is claimed.
func newEventModel(t *rapid.T, code string, clock *modelClock, ledgers ...Ledger) *eventModel {
	m := &eventModel{
		modelClock: clock, ledgers: ledgers, events: map[int64]*modelEvent{},
		coupons: map[domain.UserID]domain.Slot{}, tokens: map[string]bool{},
	}
	ctx := context.Background()
	clock.wait(24 * time.Hour)
	_, err := ledgers[0].RescueFailEvents(ctx, domain.MaxPage, 1, lease)
	require.NoError(t, err)
	left, err := ledgers[0].ClaimFailEvents(ctx, domain.MaxPage, lease, modelWait)
	require.NoError(t, err)
	for _, event := range left {
		_, err := ledgers[0].FailClaimed(ctx, event, domain.Failure{Dead: true, Reason: event.Reason})
		require.NoError(t, err)
	}
	_, err = ledgers[0].CreateCampaign(ctx, newCampaign(code, rapid.Int64Range(1, modelQuota).Draw(t, "quota")), operatorName)
	require.NoError(t, err)
	m.campaign.Code = code
	m.rebuildOnce(t)
	return m
}

// ledger is that of whichever process acts.
func (m *eventModel) ledger(t *rapid.T) Ledger {
	return m.ledgers[rapid.IntRange(0, len(m.ledgers)-1).Draw(t, "process")]
}

// claimed gives one of the last claims, and whether it is still the one that holds.
func (m *eventModel) claimed(t *rapid.T) (claim domain.FailEvent, live bool) {
	if len(m.claims) == 0 {
		t.Skip("nothing was ever claimed")
	}
	claim = m.claims[rapid.IntRange(max(0, len(m.claims)-6), len(m.claims)-1).Draw(t, "claim")]
	return claim, m.isLive(claim)
}

func (m *eventModel) isLive(claim domain.FailEvent) bool {
	event := m.events[claim.ID]
	return event.Status == domain.FailStatusProcessing && event.LeaseToken == claim.LeaseToken
}

func (m *eventModel) anyEvent(t *rapid.T) *modelEvent {
	if len(m.events) == 0 {
		t.Skip("there is no event")
	}
	return m.events[rapid.SampledFrom(slices.Sorted(maps.Keys(m.events))).Draw(t, "event")]
}

// sorted gives events that are chosen, by a moment and then by their IDs.
func (m *eventModel) sorted(choose func(*modelEvent) bool, by func(*modelEvent) time.Time) []*modelEvent {
	var chosen []*modelEvent
	for _, event := range m.events {
		if choose(event) {
			chosen = append(chosen, event)
		}
	}
	slices.SortFunc(chosen, func(a, b *modelEvent) int {
		return cmp.Or(by(a).Compare(by(b)), cmp.Compare(a.ID, b.ID))
	})
	return chosen
}

func (m *eventModel) due() []*modelEvent {
	return m.sorted(
		func(e *modelEvent) bool { return e.Status == domain.FailStatusFail && m.isDue(e) },
		func(e *modelEvent) time.Time { return e.NextAttemptAt })
}

// isDue says whether an event's moment has come, or was planned before the clock was set back.
func (m *eventModel) isDue(e *modelEvent) bool {
	return !e.NextAttemptAt.After(m.now()) || e.NextAttemptAt.After(m.now().Add(modelWait))
}

// isOver says the same of a lease.
func (m *eventModel) isOver(until time.Time) bool {
	return until.Before(m.now()) || until.After(m.now().Add(2*modelLease))
}

func (m *eventModel) expired() []*modelEvent {
	return m.sorted(
		func(e *modelEvent) bool {
			return e.Status == domain.FailStatusProcessing && m.isOver(e.LeaseUntil)
		},
		func(e *modelEvent) time.Time { return e.LeaseUntil })
}

// idle says whether an operator may do something to the event.
func (e *modelEvent) idle() bool {
	return e.resolved.IsZero() && e.Status != domain.FailStatusProcessing
}

// end takes the event out of its claim.
func (e *modelEvent) end(status domain.FailStatus, now time.Time) {
	e.Status, e.LeaseToken, e.LeaseUntil, e.UpdatedAt, e.seen = status, "", time.Time{}, now, false
}

// count adds an attempt of a retryer, which began when the event was claimed.
func (e *modelEvent) count(outcome, message string, now time.Time) {
	e.Attempts++
	e.history = append(e.history, domain.FailEventAttempt{
		Number: e.Attempts, StartedAt: e.UpdatedAt, FinishedAt: now, Outcome: outcome, ErrorMessage: message, Actor: "retryer",
	})
}

// operate adds an operator's step.
func (e *modelEvent) operate(outcome, message string, now time.Time) {
	e.UpdatedAt, e.seen = now, false
	e.history = append(e.history, domain.FailEventAttempt{
		Number: e.Attempts, StartedAt: now, FinishedAt: now, Outcome: outcome, ErrorMessage: message, Actor: operatorName,
	})
}

// refusedRow says that the database would refuse the row that this user has not got yet.
func (m *eventModel) refusedRow(user domain.UserID) bool {
	_, hasRow := m.coupons[user]
	return user == RefusedUser && !hasRow
}

// giveUp discards an event; who has no row gets a revoked one.
func (m *eventModel) giveUp(event *modelEvent, reason string) {
	now := m.now()
	if _, hasRow := m.coupons[event.UserID]; !hasRow {
		m.coupons[event.UserID] = domain.NoSlot
	}
	event.operate("DISCARD", reason, now)
	event.Status, event.DiscardedAt, event.resolved = domain.FailStatusDead, now, now
}

func (e *modelEvent) makeDue(now time.Time) {
	e.operate("RETRY", "", now)
	e.Status, e.NextAttemptAt = domain.FailStatusFail, now
}

// outcome says what the ledger should answer to a winner.
func (m *eventModel) outcome(w domain.Winner) domain.StoreResult {
	slot, hasRow := m.coupons[w.UserID]
	switch {
	case hasRow && slot == domain.NoSlot:
		return domain.StoreResult{Outcome: domain.AlreadyRevoked}
	case hasRow && slot == w.Slot:
		return domain.StoreResult{Outcome: domain.AlreadyStored, Slot: slot}
	case hasRow:
		return domain.StoreResult{Outcome: domain.HasOtherSlot, Slot: slot}
	case w.Epoch != m.campaign.Epoch:
		return domain.StoreResult{Outcome: domain.OtherEpoch}
	case w.Slot < 1 || int64(w.Slot) > m.campaign.Quota:
		return domain.StoreResult{Outcome: domain.OverQuota}
	case slices.Contains(slices.Collect(maps.Values(m.coupons)), w.Slot):
		return domain.StoreResult{Outcome: domain.SlotTaken}
	}
	return domain.StoreResult{Outcome: domain.Stored, Slot: w.Slot}
}

// check compares the ledger with the model after every step.
func (m *eventModel) check(t *rapid.T) {
	ctx := context.Background()
	read, err := m.ledgers[0].FailEvents(ctx, domain.FailEventFilter{Campaign: m.campaign.Code, Limit: domain.MaxPage})
	require.NoError(t, err)
	require.Len(t, read, len(m.events))
	for _, got := range read {
		event := m.events[got.ID]
		require.NotNil(t, event, "event %d", got.ID)
		require.Equal(t, event.FailEvent, got)
		m.checkFinal(t, event, got)
		if !event.seen {
			m.checkHistory(t, event)
		}
	}
	coupons, _, err := m.ledgers[1].Coupons(ctx, m.campaign.Code, 0, domain.MaxPage)
	require.NoError(t, err)
	slots := map[domain.UserID]domain.Slot{}
	for _, coupon := range coupons {
		slots[coupon.UserID] = coupon.Slot
	}
	require.Equal(t, m.coupons, slots)
}

// checkFinal requires that a success and what was given up stay as they are, and that the user has a row.
func (m *eventModel) checkFinal(t *rapid.T, event *modelEvent, got domain.FailEvent) {
	if got.Status != domain.FailStatusSuccess && got.DiscardedAt.IsZero() {
		require.Nil(t, event.final, "event %d was resolved", got.ID)
		return
	}
	if event.final == nil {
		event.final = &got
	}
	require.Equal(t, *event.final, got, "a resolved event has changed")
	require.Contains(t, m.coupons, got.UserID, "a resolved event's user has no row")
}

// checkHistory compares the attempts, and requires that the counted ones add up to the number that the event has.
func (m *eventModel) checkHistory(t *rapid.T, event *modelEvent) {
	event.seen = true
	_, attempts, err := m.ledgers[1].FailEvent(context.Background(), event.ID)
	require.NoError(t, err)
	require.Equal(t, event.history, attempts[:len(attempts):len(attempts)])
	counted := 0
	for _, attempt := range attempts {
		if attempt.Actor == "retryer" {
			counted++
			require.Equal(t, counted, attempt.Number)
		}
	}
	if !event.purged {
		require.Equal(t, event.Attempts, counted)
	}
}

// checkUnresolved asks, for one user, what an applicant's status and a rebuild rely on.
func (m *eventModel) checkUnresolved(t *rapid.T) {
	user := m.drawUser(t)
	unresolved := false
	for _, event := range m.events {
		unresolved = unresolved || event.UserID == user && event.resolved.IsZero()
	}
	got, err := m.ledger(t).HasUnresolvedFailEvent(context.Background(), m.campaign.Code, user)
	require.NoError(t, err)
	require.Equal(t, unresolved, got)
}
