package retryer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func refusedEvent(user domain.UserID, slot domain.Slot, epoch int64) domain.FailEvent {
	return domain.FailEvent{
		Winner: domain.Winner{Campaign: sale, UserID: user, Slot: slot, AdmittedAt: start, Epoch: epoch},
		Reason: domain.ReasonRowRefused,
	}
}

func (w *world) hold(user domain.UserID, slot domain.Slot) {
	w.gates[sale].users[user] = domain.GateWinner{UserID: user, Slot: slot, AdmittedAt: start}
}

func (w *world) issue(user domain.UserID, slot domain.Slot) {
	w.ledger[sale].coupons[user] = domain.Coupon{Campaign: sale, UserID: user, Slot: slot}
}

func TestEveryAttemptResolvesItsEventOrSaysWhyNot(t *testing.T) {
	const user = domain.UserID(7)
	tests := []struct {
		name    string
		arrange func(*world) domain.FailEvent
		status  domain.FailStatus
		row     domain.Slot
		reason  domain.FailReason
		check   func(*assert.Assertions, *world, domain.FailEvent)
	}{
		{"an event with a slot is stored", func(w *world) domain.FailEvent {
			w.hold(user, 3)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusSuccess, 3, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, _ domain.FailEvent) {
			is.Empty(w.confirmed, "the gate was not asked")
		}},
		{"an event without a slot gets one from the gate", func(w *world) domain.FailEvent {
			w.hold(user, domain.SlotOwed)
			w.hold(8, 1)
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusSuccess, 2, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, _ domain.FailEvent) {
			is.Equal([]domain.UserID{user}, w.confirmed)
		}},
		{"an event of an older epoch gets the slot that holds now", func(w *world) domain.FailEvent {
			w.hold(user, 5)
			return refusedEvent(user, 3, 0)
		}, domain.FailStatusSuccess, 5, domain.ReasonRowRefused, nil},
		{"an event whose user has the row already is resolved", func(w *world) domain.FailEvent {
			w.hold(user, 3)
			w.issue(user, 3)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusSuccess, 3, domain.ReasonRowRefused, nil},
		{"an event whose user has a row with another slot is resolved, and the gate is told", func(w *world) domain.FailEvent {
			w.hold(user, 3)
			w.issue(user, 4)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusSuccess, 4, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, _ domain.FailEvent) {
			is.Len(w.disputed, 1)
			is.False(w.gates[sale].open)
		}},
		{"an event of a revoked user is resolved", func(w *world) domain.FailEvent {
			w.issue(user, domain.NoSlot)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusSuccess, domain.NoSlot, domain.ReasonRowRefused, nil},
		{"an event without a slot of a revoked user is resolved", func(w *world) domain.FailEvent {
			w.hold(user, domain.NoSlot)
			w.issue(user, domain.NoSlot)
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusSuccess, domain.NoSlot, domain.ReasonRowRefused, nil},
		{"a user that only the gate calls revoked gets no row", func(w *world) domain.FailEvent {
			w.hold(user, domain.NoSlot)
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(1, e.Attempts)
			is.Empty(w.disputed)
		}},
		{"nor one of an older epoch", func(w *world) domain.FailEvent {
			w.hold(user, domain.NoSlot)
			return refusedEvent(user, 3, 0)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(1, e.Attempts)
			is.Empty(w.disputed)
		}},
		{"a slot that is another user's is given up, and the gate is told", func(w *world) domain.FailEvent {
			w.hold(user, 3)
			w.issue(8, 3)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusFail, 0, domain.ReasonSlotTaken, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(domain.NoSlot, e.Slot)
			is.Equal(1, e.Attempts)
			is.False(w.gates[sale].open)
		}},
		{"whose slot is another's asks for another one, after the last attempt too", func(w *world) domain.FailEvent {
			w.hold(user, 3)
			w.issue(8, 3)
			event := refusedEvent(user, 3, 1)
			event.Attempts = 1000
			return event
		}, domain.FailStatusFail, 0, domain.ReasonSlotTaken, nil},
		{"a user that only the gate calls revoked does not wait for a slot", func(w *world) domain.FailEvent {
			w.hold(user, domain.NoSlot)
			event := refusedEvent(user, domain.NoSlot, 1)
			event.Reason, event.Attempts = domain.ReasonNoSlotLeft, 1000
			return event
		}, domain.FailStatusDead, 0, domain.ReasonNoSlotLeft, nil},
		{"a slot above the quota is given up, and the gate is told", func(w *world) domain.FailEvent {
			w.hold(user, 101)
			return refusedEvent(user, 101, 1)
		}, domain.FailStatusFail, 0, domain.ReasonOverQuota, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(domain.NoSlot, e.Slot)
			is.False(w.gates[sale].open)
		}},
		{"a refused row keeps its slot", func(w *world) domain.FailEvent {
			w.refused[user] = true
			w.hold(user, 3)
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, _ *world, e domain.FailEvent) {
			is.Equal(domain.Slot(3), e.Slot)
			is.Equal(1, e.Attempts)
		}},
		{"a refused row keeps the slot that the gate just gave, and is not sent to the topic as well", func(w *world) domain.FailEvent {
			w.refused[user] = true
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(domain.Slot(1), e.Slot)
			is.Equal([]domain.UserID{user}, w.confirmed)
		}},
		{"a slot that the ledger does not note, of an older epoch by now, stays in the gate's entry", func(w *world) domain.FailEvent {
			w.refused[user] = true
			w.before = func(call, _ string) error {
				if call == "fail claimed" {
					w.ledger[sale].Epoch++ // a rebuild begins, and the gate is still open
				}
				return nil
			}
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Equal(domain.NoSlot, e.Slot)
			is.Equal(domain.Slot(1), w.slotOf(sale, user), "the user may have been told of it")
			is.Empty(w.confirmed, "the entry is all that tells of the slot")
		}},
		{"while no slot is left the event waits for the next attempt", func(w *world) domain.FailEvent {
			w.gates[sale].quota = 1
			w.hold(8, 1)
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusFail, 0, domain.ReasonNoSlotLeft, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Zero(e.Attempts, "to wait uses up no attempt")
			is.Equal(domain.SlotOwed, w.slotOf(sale, user))
		}},
		{"a campaign that does not exist is said so", func(*world) domain.FailEvent {
			event := refusedEvent(user, domain.NoSlot, 1)
			event.Campaign = "nowhere"
			return event
		}, domain.FailStatusFail, 0, domain.ReasonUnknownCampaign, nil},
		{"a campaign that does not exist any more is said so", func(*world) domain.FailEvent {
			event := refusedEvent(user, 3, 1)
			event.Campaign = "nowhere"
			return event
		}, domain.FailStatusFail, 0, domain.ReasonUnknownCampaign, nil},
		{"an unreadable record is dead at once", func(*world) domain.FailEvent {
			return domain.FailEvent{Reason: domain.ReasonUnparsable}
		}, domain.FailStatusDead, 0, domain.ReasonUnparsable, nil},
		{"a gate that is closed is waited for without counting", func(w *world) domain.FailEvent {
			w.gates[sale].open = false
			return refusedEvent(user, domain.NoSlot, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, _ *world, e domain.FailEvent) {
			is.Zero(e.Attempts)
		}},
		{"a gate that lags behind the ledger's epoch is waited for without counting", func(w *world) domain.FailEvent {
			w.ledger[sale].Epoch = 2
			return refusedEvent(user, 3, 1)
		}, domain.FailStatusFail, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world, e domain.FailEvent) {
			is.Zero(e.Attempts)
			is.Equal(domain.Slot(3), e.Slot, "the event keeps what it held")
			is.Equal(maxRounds, w.calls["store"])
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, r := opened(t, sale)
			id := w.fail(test.arrange(w))
			_, err := r.retryOnce(t.Context())
			require.NoError(t, err)
			event := *w.events[id]
			assert.Equal(t, test.status, event.Status, event.ErrorMessage)
			assert.Equal(t, test.row, w.ledger[sale].coupons[user].Slot)
			assert.Equal(t, test.reason, event.Reason)
			if test.check != nil {
				test.check(assert.New(t), w, event)
			}
		})
	}
}

func TestOneBadEventAmongManyStopsNoOther(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"refused":               func(w *world) { w.refused[50] = true },
		"panics":                func(w *world) { w.panics[50] = true },
		"refused, and unending": func(w *world) { w.refused[50] = true },
	} {
		t.Run(name, func(t *testing.T) {
			w, r := opened(t, sale)
			spoil(w)
			if name == "refused, and unending" {
				w.before = func(call, _ string) error {
					if call == "fail claimed" {
						return domain.Errorf(domain.CodeInternal, "can't be noted either")
					}
					return nil
				}
			}
			for user := domain.UserID(1); user <= 100; user++ {
				w.hold(user, domain.Slot(user))
				w.fail(refusedEvent(user, domain.Slot(user), 1))
			}
			_, err := r.retryOnce(t.Context())
			assert.Equal(t, name == "refused, and unending", err != nil)
			assert.Len(t, w.ledger[sale].coupons, 99)
			for id, event := range w.events {
				assert.Equal(t, event.UserID != 50, event.Status == domain.FailStatusSuccess, "event %d", id)
			}
		})
	}
}

func TestAnEventThatFailsByItsOwnFaultEndsDeadAfterItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		w.refused[7] = true
		w.hold(7, 3)
		id := w.fail(refusedEvent(7, 3, 1))
		began := time.Now()
		for w.events[id].Status != domain.FailStatusDead {
			_, err := r.retryOnce(t.Context())
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		assert.Equal(t, 10, w.events[id].Attempts)
		assert.Greater(t, time.Since(began), 4*time.Minute, "with growing waits between")
		assert.InDelta(t, 1, testutil.ToFloat64(r.metrics.attempts.WithLabelValues(endDead)), 0)
		assert.Equal(t, domain.Slot(3), w.events[id].Slot, "a dead event still keeps its slot")
	})
}

// runJobs runs retry and rescue once a second for a while.
func runJobs(t *testing.T, r *Retryer, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		_, _ = r.retryOnce(t.Context())
		_, _ = r.rescueOnce(t.Context())
	}
}

func TestNoOutageDrivesAnEventToItsDeath(t *testing.T) {
	outages := map[string]func(call string) error{
		"the gate is closed":                   away(errClosed, "honour"),
		"the gate is away":                     away(errAway, "honour"),
		"the gate does not answer":             away(fmt.Errorf("asking: %w", context.DeadlineExceeded), "honour"),
		"the ledger stores nothing":            away(errAway, "store"),
		"the commit is not answered":           away(domain.Errorf(domain.CodeOutcomeUnknown, "?"), "store"),
		"the ledger fails, nobody knows why":   away(domain.Errorf(domain.CodeInternal, "of no known class"), "store"),
		"the gate fails, nobody knows why":     away(errors.New("of no known class"), "honour"),
		"the ledger goes away after the claim": away(errAway, "store", "fail claimed"),
		"the ledger comes and goes": func() func(string) error {
			calls := 0
			return func(string) error {
				calls++
				if calls%3 != 0 {
					return errAway
				}
				return nil
			}
		}(),
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := opened(t, sale)
				for user := domain.UserID(1); user <= 5; user++ {
					w.hold(user, domain.SlotOwed)
					w.fail(refusedEvent(user, domain.NoSlot, 1))
				}
				w.before = func(call, _ string) error { return outage(call) }
				runJobs(t, r, time.Hour)
				for _, event := range w.events {
					assert.NotEqual(t, domain.FailStatusDead, event.Status)
					assert.Zero(t, event.Attempts, "no attempt counts")
				}
				w.before = nil
				runJobs(t, r, 2*time.Minute)
				assert.Len(t, w.ledger[sale].coupons, 5, "all are stored once the outage ends")
			})
		})
	}
}

func away(err error, calls ...string) func(string) error {
	return func(call string) error {
		for _, name := range calls {
			if call == name {
				return err
			}
		}
		return nil
	}
}

func TestNothingIsClaimedBeforeWhatAnOutageLeftOpenWasGivenBack(t *testing.T) {
	w, r := opened(t, sale)
	w.hold(7, 3)
	id := w.fail(refusedEvent(7, 3, 1))
	w.before = func(call, _ string) error { return away(errAway, "store", "fail claimed")(call) }
	for range 3 {
		_, err := r.retryOnce(t.Context())
		require.Error(t, err)
	}
	assert.Equal(t, 1, w.calls["claim"])
	w.before = nil
	_, err := r.retryOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, domain.FailStatusFail, w.events[id].Status)
	assert.Equal(t, 2, w.calls["claim"])
}

func TestARetryerThatDiedLeavesItsEventsToTheRescue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		w.hold(7, 3)
		id := w.fail(refusedEvent(7, 3, 1))
		_, err := w.ClaimFailEvents(t.Context(), 10, 30*time.Second, time.Hour)
		require.NoError(t, err)
		runJobs(t, r, 20*time.Second)
		assert.Equal(t, domain.FailStatusProcessing, w.events[id].Status, "not before the lease ends")
		runJobs(t, r, 20*time.Second)
		assert.Equal(t, domain.FailStatusSuccess, w.events[id].Status)
		assert.InDelta(t, 1, testutil.ToFloat64(r.metrics.rescued), 0)
	})
}

func TestAnEventThatKillsEveryRetryerEndsSomeDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		id := w.fail(refusedEvent(7, 3, 1))
		for w.events[id].Status != domain.FailStatusDead {
			_, err := w.ClaimFailEvents(t.Context(), 10, 30*time.Second, time.Hour)
			require.NoError(t, err)
			time.Sleep(31 * time.Second)
			rescued, err := r.rescueOnce(t.Context())
			require.NoError(t, err)
			assert.Equal(t, 1, rescued)
		}
		assert.Equal(t, 100, w.events[id].Attempts)
	})
}

func TestStoppingGivesBackWhatWasNotTried(t *testing.T) {
	w, r := opened(t, sale)
	ctx, cancel := context.WithCancel(t.Context())
	for user := domain.UserID(1); user <= 10; user++ {
		w.hold(user, domain.Slot(user))
		w.fail(refusedEvent(user, domain.Slot(user), 1))
	}
	w.before = func(call, _ string) error {
		if call == "store" && w.calls["store"] == 4 {
			cancel()
		}
		return nil
	}
	count, err := r.retryOnce(ctx)
	require.NoError(t, err)
	assert.Equal(t, retryCount{endStored: 4, endWaiting: 6}, count, "the attempt under way was finished")
	for _, event := range w.events {
		assert.NotEqual(t, domain.FailStatusProcessing, event.Status)
		assert.Zero(t, event.Attempts)
	}
}

func TestASlowBatchIsGivenBackBeforeItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := opened(t, sale)
		for user := domain.UserID(1); user <= 10; user++ {
			w.hold(user, domain.Slot(user))
			w.fail(refusedEvent(user, domain.Slot(user), 1))
		}
		w.before = func(call, _ string) error {
			if call == "store" {
				time.Sleep(4 * time.Second)
			}
			return nil
		}
		count, err := r.retryOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, retryCount{endStored: 4, endWaiting: 6}, count)
		runJobs(t, r, time.Minute)
		assert.Len(t, w.ledger[sale].coupons, 10)
	})
}

func TestALostLeaseIsNobodysFailure(t *testing.T) {
	w, r := opened(t, sale)
	w.hold(7, 3)
	id := w.fail(refusedEvent(7, 3, 1))
	w.before = func(call, _ string) error {
		if call == "store" {
			w.see(func() { w.events[id].LeaseToken = "somebody else's" })
		}
		return nil
	}
	count, err := r.retryOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, retryCount{endLost: 1}, count)
	assert.Equal(t, domain.FailStatusProcessing, w.events[id].Status)
}

func TestADisputeThatTheGateCouldNotHearIsSentAgain(t *testing.T) {
	w, r := opened(t, sale)
	w.hold(7, 3)
	w.issue(7, 4)
	w.fail(refusedEvent(7, 3, 1))
	w.before = func(call, _ string) error { return away(errAway, "dispute")(call) }
	_, err := r.retryOnce(t.Context())
	require.NoError(t, err)
	assert.True(t, w.gates[sale].open)
	w.before = nil
	_, err = r.retryOnce(t.Context())
	require.NoError(t, err)
	assert.False(t, w.gates[sale].open)
	assert.Empty(t, r.unsent)
}

func TestAllDueEventsAreTakenInBoundedBatches(t *testing.T) {
	w := newWorld(sale)
	r := w.retryer(t, Config{ClaimLimit: 10})
	require.NoError(t, r.SweepOnce(t.Context()))
	for user := domain.UserID(1); user <= 95; user++ {
		w.hold(user, domain.Slot(user))
		w.fail(refusedEvent(user, domain.Slot(user), 1))
	}
	count, err := r.retryOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, retryCount{endStored: 95}, count)
	assert.Equal(t, 10, w.calls["claim"])
}

func TestPurgeWorksInBitesAndKeepsTheConfiguredTime(t *testing.T) {
	w, r := opened(t, sale)
	purged, err := r.purgeOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2*purgeBatch+1, purged)
	assert.Equal(t, 30*24*time.Hour, w.purged)
}
