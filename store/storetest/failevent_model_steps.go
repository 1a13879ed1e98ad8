package storetest

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// The steps of the model of fail events: what two retryers, the consumer and operators do, and when each is refused.

func (m *eventModel) drawUser(t *rapid.T) domain.UserID {
	return rapid.SampledFrom([]domain.UserID{1, 2, 3, RefusedUser}).Draw(t, "user")
}

// drawSlot gives slots that are taken, too high, or none, as well as free ones.
func (m *eventModel) drawSlot(t *rapid.T) domain.Slot {
	return domain.Slot(rapid.Int64Range(0, m.campaign.Quota+1).Draw(t, "slot"))
}

// drawEpoch gives mostly the one that holds.
func (m *eventModel) drawEpoch(t *rapid.T) int64 {
	return m.campaign.Epoch - max(0, rapid.Int64Range(-4, 1).Draw(t, "epochs ago"))
}

func drawSeconds(t *rapid.T, least, most int, label string) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(t, label)) * time.Second
}

func (m *eventModel) recordOne(t *rapid.T) {
	w := domain.Winner{
		Campaign: m.campaign.Code, UserID: m.drawUser(t), Slot: m.drawSlot(t), Epoch: m.drawEpoch(t), AdmittedAt: moment,
	}
	again := m.offsets > 0 && rapid.IntRange(0, 4).Draw(t, "the same record") == 0
	if again {
		w.UserID = m.lastUser
	} else {
		m.offsets++
	}
	event := failEvent(w, m.offsets)
	event.Position.Topic = m.campaign.Code
	event.NextAttemptAt = m.now().Add(drawSeconds(t, -30, 30, "due in"))
	ledger := m.ledger(t)
	err := ledger.RecordFailEvent(context.Background(), event)
	if w.Slot > 0 && w.Epoch != m.campaign.Epoch {
		requireCode(t, domain.CodeEpochChanged, err)
		if !again {
			m.offsets--
		}
		return
	}
	require.NoError(t, err)
	if again {
		return
	}
	m.lastUser = w.UserID
	newest, err := ledger.FailEvents(context.Background(), domain.FailEventFilter{Campaign: m.campaign.Code, Limit: 1})
	require.NoError(t, err)
	require.Len(t, newest, 1)
	event.ID, event.CreatedAt, event.UpdatedAt = newest[0].ID, m.now(), m.now()
	m.events[event.ID] = &modelEvent{FailEvent: event, history: []domain.FailEventAttempt{}}
}

func (m *eventModel) claimSome(t *rapid.T) {
	limit, lasts := rapid.IntRange(1, 3).Draw(t, "limit"), drawSeconds(t, 1, 60, "lease")
	got, err := m.ledger(t).ClaimFailEvents(context.Background(), limit, lasts, modelWait)
	require.NoError(t, err)
	due := m.due()
	require.Len(t, got, min(limit, len(due)))
	for i, claim := range got {
		require.Equal(t, due[i].ID, claim.ID, "who waits longest comes first")
	}
	m.take(t, got, lasts)
}

// take notes a claim: each of its events was due, and the token is nobody else's.
func (m *eventModel) take(t *rapid.T, got []domain.FailEvent, lasts time.Duration) {
	for i, claim := range got {
		require.Equal(t, got[0].LeaseToken, claim.LeaseToken)
		require.False(t, i == 0 && (claim.LeaseToken == "" || m.tokens[claim.LeaseToken]), "another claim's token")
		event := m.events[claim.ID]
		require.NotNil(t, event)
		require.Equal(t, domain.FailStatusFail, event.Status, "event %d has two claims", claim.ID)
		require.True(t, m.isDue(event), "event %d is not due", claim.ID)
		event.Status, event.LeaseToken = domain.FailStatusProcessing, claim.LeaseToken
		event.LeaseUntil, event.UpdatedAt = m.now().Add(lasts), m.now()
		require.Equal(t, event.FailEvent, claim)
		m.tokens[claim.LeaseToken] = true
		m.claims = append(m.claims, claim)
	}
}

// claimAtOnce has both retryers claim at the same time. Who came second may get less than there is, but no event twice.
func (m *eventModel) claimAtOnce(t *rapid.T) {
	due := len(m.due())
	var got [2][]domain.FailEvent
	var errs [2]error
	var both sync.WaitGroup
	for i, ledger := range m.ledgers {
		both.Go(func() { got[i], errs[i] = ledger.ClaimFailEvents(context.Background(), 2, modelLease, modelWait) })
	}
	both.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		m.take(t, got[i], modelLease)
	}
	require.GreaterOrEqual(t, len(got[0])+len(got[1]), min(2, due), "one of them gets what it asks for")
}

// storeOne ends a claim with a coupon, which a claim that no longer holds can't.
func (m *eventModel) storeOne(t *rapid.T) {
	claim, live := m.claimed(t)
	w := m.toStore(t, claim)
	result, err := m.ledger(t).StoreClaimed(context.Background(), claim, w)
	m.stored(t, claim, live, w, result, err)
}

// toStore is what the event says, or another slot that the gate may have given.
func (m *eventModel) toStore(t *rapid.T, claim domain.FailEvent) domain.Winner {
	w := claim.Winner
	if w.Slot < 1 || rapid.Bool().Draw(t, "another slot") {
		w.Slot, w.Epoch = m.drawSlot(t), m.drawEpoch(t)
	}
	return w
}

func (m *eventModel) stored(
	t *rapid.T, claim domain.FailEvent, live bool, w domain.Winner, result domain.StoreResult, err error,
) {
	want := m.outcome(w)
	switch {
	case !live:
		requireCode(t, domain.CodeLeaseLost, err)
		return
	case (want.Outcome == domain.Stored || want.Outcome == domain.SlotTaken) && m.refusedRow(w.UserID):
		// Whether the slot is taken, the database says only once it takes the row at all.
		requireCode(t, domain.CodeRowRefused, err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, result)
	event := m.events[claim.ID]
	switch want.Outcome {
	case domain.OtherEpoch, domain.OverQuota, domain.SlotTaken:
		return // still claimed
	case domain.Stored:
		m.coupons[w.UserID] = w.Slot
	}
	event.count("SUCCESS", "", m.now())
	event.end(domain.FailStatusSuccess, m.now())
	event.resolved = m.now()
}

// failOne ends a claim without success, which a claim that no longer holds can't.
func (m *eventModel) failOne(t *rapid.T) {
	claim, live := m.claimed(t)
	failure := domain.Failure{
		Reason: rapid.SampledFrom(domain.FailReasons).Draw(t, "reason"), Message: "no", Slot: m.drawSlot(t), Epoch: m.drawEpoch(t),
		Dead: rapid.IntRange(0, 3).Draw(t, "dead") == 0, NextAttemptIn: drawSeconds(t, 0, 60, "due in"),
	}
	failure.Uncounted = !failure.Dead && rapid.IntRange(0, 3).Draw(t, "uncounted") == 0
	noted, err := m.ledger(t).FailClaimed(context.Background(), claim, failure)
	if !live {
		requireCode(t, domain.CodeLeaseLost, err)
		return
	}
	require.NoError(t, err)
	event := m.events[claim.ID]
	if failure.Slot < 1 || failure.Epoch == m.campaign.Epoch {
		event.Slot, event.Epoch = failure.Slot, failure.Epoch
	}
	require.Equal(t, failure.Slot >= 1 && failure.Epoch == m.campaign.Epoch, noted)
	event.Reason, event.ErrorMessage, event.NextAttemptAt = failure.Reason, failure.Message, m.now().Add(failure.NextAttemptIn)
	status := domain.FailStatusFail
	if failure.Dead {
		status = domain.FailStatusDead
	}
	if !failure.Uncounted {
		event.count(string(status), "no", m.now())
	}
	event.end(status, m.now())
}

func (m *eventModel) wait(t *rapid.T) { m.modelClock.wait(drawSeconds(t, 1, 40, "seconds")) }

func (m *eventModel) setBack(t *rapid.T) { m.modelClock.wait(-drawSeconds(t, 1, 400, "seconds")) }

func (m *eventModel) rescueSome(t *rapid.T) {
	limit, maxAttempts := rapid.IntRange(1, 3).Draw(t, "limit"), rapid.IntRange(1, 6).Draw(t, "max attempts")
	rescued, err := m.ledger(t).RescueFailEvents(context.Background(), limit, maxAttempts, modelLease)
	require.NoError(t, err)
	require.Equal(t, m.rescued(limit, maxAttempts), rescued)
}

// rescued gives back the events whose lease ran out longest ago, and says how many.
func (m *eventModel) rescued(limit, maxAttempts int) int {
	expired := m.expired()
	expired = expired[:min(limit, len(expired))]
	for _, event := range expired {
		event.count("EXPIRED", "the lease ran out before the attempt ended", m.now())
		status := domain.FailStatusFail
		if event.Attempts >= maxAttempts {
			status = domain.FailStatusDead
		}
		event.end(status, m.now())
		event.NextAttemptAt = m.now()
	}
	return len(expired)
}

// storeAndRescue has a retryer end its claim at the moment at which the other one gives back what is overdue.
func (m *eventModel) storeAndRescue(t *rapid.T) {
	claim, live := m.claimed(t)
	if event := m.events[claim.ID]; live && !m.isOver(event.LeaseUntil) {
		m.modelClock.wait(event.LeaseUntil.Sub(m.now()) + time.Second)
	}
	w := m.toStore(t, claim)
	var result domain.StoreResult
	var storeErr, rescueErr error
	var rescued int
	var both sync.WaitGroup
	both.Go(func() { result, storeErr = m.ledgers[0].StoreClaimed(context.Background(), claim, w) })
	both.Go(func() {
		rescued, rescueErr = m.ledgers[1].RescueFailEvents(context.Background(), domain.MaxPage, math.MaxInt, modelLease)
	})
	both.Wait()
	require.NoError(t, rescueErr)
	rescueFirst := domain.CodeOf(storeErr) == domain.CodeLeaseLost
	if rescueFirst {
		require.Equal(t, m.rescued(domain.MaxPage, math.MaxInt), rescued)
	}
	m.stored(t, claim, m.isLive(claim), w, result, storeErr)
	if !rescueFirst {
		require.Equal(t, m.rescued(domain.MaxPage, math.MaxInt), rescued)
	}
}

func (m *eventModel) retryOne(t *rapid.T) {
	event := m.anyEvent(t)
	got, err := m.ledger(t).RetryFailEvent(context.Background(), event.ID, operatorName)
	if !event.idle() {
		requireCode(t, domain.CodeConflict, err)
		return
	}
	require.NoError(t, err)
	event.makeDue(m.now())
	require.Equal(t, event.FailEvent, got)
}

func (m *eventModel) discardOne(t *rapid.T) {
	event := m.anyEvent(t)
	got, err := m.ledger(t).DiscardFailEvent(context.Background(), event.ID, "a test", operatorName)
	m.discarded(t, event, got, err)
}

func (m *eventModel) discarded(t *rapid.T, event *modelEvent, got domain.FailEvent, err error) {
	if !event.idle() || m.refusedRow(event.UserID) {
		requireCode(t, domain.CodeConflict, err)
		return
	}
	require.NoError(t, err)
	m.giveUp(event, "a test")
	require.Equal(t, event.FailEvent, got)
}

// discardAndClaim has an operator give an event up at the moment at which a retryer claims all that is due.
func (m *eventModel) discardAndClaim(t *rapid.T) {
	event := m.anyEvent(t)
	var got domain.FailEvent
	var claims []domain.FailEvent
	var discardErr, claimErr error
	var both sync.WaitGroup
	both.Go(func() {
		got, discardErr = m.ledgers[0].DiscardFailEvent(context.Background(), event.ID, "a test", operatorName)
	})
	both.Go(func() {
		claims, claimErr = m.ledgers[1].ClaimFailEvents(context.Background(), domain.MaxPage, modelLease, modelWait)
	})
	both.Wait()
	require.NoError(t, claimErr)
	if discardErr == nil {
		m.discarded(t, event, got, nil)
	}
	require.Len(t, claims, len(m.due()), "all that is due is claimed, but what was given up")
	m.take(t, claims, modelLease)
	if discardErr != nil {
		m.discarded(t, event, got, discardErr)
	}
}

func (m *eventModel) revokeOne(t *rapid.T) {
	user := m.drawUser(t)
	slot, hasRow := m.coupons[user]
	_, err := m.ledger(t).RevokeCoupon(context.Background(), m.campaign.Code, user, "a test", operatorName)
	switch {
	case !hasRow:
		requireCode(t, domain.CodeNotFound, err)
	case slot == domain.NoSlot:
		requireCode(t, domain.CodeConflict, err)
	default:
		require.NoError(t, err)
		m.coupons[user] = domain.NoSlot
	}
}

func (m *eventModel) rebuildOnce(t *rapid.T) {
	ctx, ledger := context.Background(), m.ledger(t)
	campaign, err := ledger.BeginRebuild(ctx, m.campaign.Code, 0)
	require.NoError(t, err)
	m.campaign, err = ledger.FinishRebuild(ctx, campaign, domain.SlotUse{})
	require.NoError(t, err)
}

// purge deletes the history of what was resolved a while ago, and nothing else.
func (m *eventModel) purge(t *rapid.T) {
	longerAgo := drawSeconds(t, 0, 30, "ago")
	before := m.now().Add(-longerAgo)
	_, err := m.ledger(t).PurgeAttempts(context.Background(), longerAgo, domain.MaxPage)
	require.NoError(t, err)
	for _, event := range m.events {
		if !event.resolved.IsZero() && event.resolved.Before(before) {
			event.history, event.purged, event.seen = []domain.FailEventAttempt{}, true, false
		}
	}
}
