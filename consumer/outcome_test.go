package consumer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// once processes what is on the topic until it is committed, as Run does, but returns then.
func once(t *testing.T, w *world) *Consumer {
	t.Helper()
	c := w.consumer(t, Config{Linger: time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, c.runOnce(ctx))
	require.True(t, w.drained(), "offsets committed")
	require.Zero(t, testutil.CollectAndCount(c.metrics.pauses), "without a pause")
	return c
}

func TestEveryOutcomeEndsAsARowOrAsAFailEvent(t *testing.T) {
	const user = domain.UserID(7)
	tests := []struct {
		name    string
		arrange func(*world)
		row     domain.Slot
		reason  domain.FailReason
		check   func(*assert.Assertions, *world)
	}{
		{"a new winner gets a row", func(w *world) { w.admitted(0, user, 3) }, 3, "", nil},
		{"a redelivery changes nothing", func(w *world) {
			w.admitted(0, user, 3)
			w.campaigns[sale].rows[user] = 3
		}, 3, "", nil},
		{"the same winner twice in a batch gets one row", func(w *world) {
			w.admitted(0, user, 3)
			w.admitted(0, user, 3)
		}, 3, "", nil},
		{"a revoked user stays revoked", func(w *world) {
			w.admitted(0, user, 3)
			w.campaigns[sale].rows[user] = domain.NoSlot
		}, domain.NoSlot, "", nil},
		{"a row with another slot stays, and the gate is told", func(w *world) {
			w.admitted(0, user, 3)
			w.campaigns[sale].rows[user] = 5
		}, 5, "", func(is *assert.Assertions, w *world) {
			is.Equal([]domain.Winner{winner(user, 3, 1)}, w.disputed)
			is.Equal(domain.Slot(5), w.campaigns[sale].gate[user], "the gate follows the ledger")
		}},
		{"a slot that is another user's becomes a fail event without a slot, and the gate is told", func(w *world) {
			w.admitted(0, user, 3)
			w.campaigns[sale].rows[8] = 3
		}, 0, domain.ReasonSlotTaken, func(is *assert.Assertions, w *world) {
			is.Equal([]domain.Winner{winner(user, 3, 1)}, w.disputed)
		}},
		{"a slot above the quota becomes a fail event, and the gate is told", func(w *world) {
			w.admitted(0, user, 1001)
		}, 0, domain.ReasonOverQuota, func(is *assert.Assertions, w *world) {
			is.Equal([]domain.Winner{winner(user, 1001, 1)}, w.disputed)
		}},
		{"a winner of an older epoch gets the slot that the gate holds now", func(w *world) {
			w.admitted(0, user, 3)
			w.campaigns[sale].epoch, w.campaigns[sale].gateEpoch = 2, 2
			w.campaigns[sale].gate[user] = 4
		}, 4, "", func(is *assert.Assertions, w *world) { is.Empty(w.confirmed, "it was not new") }},
		{"a winner that the rebuilt gate does not know is admitted anew and confirmed", func(w *world) {
			w.produce(0, domain.Delivery{Winner: winner(user, 3, 1)})
			w.campaigns[sale].epoch, w.campaigns[sale].gateEpoch = 2, 2
		}, 1, "", func(is *assert.Assertions, w *world) { is.Equal([]domain.UserID{user}, w.confirmed) }},
		{"a winner of an older epoch that no slot is left for becomes a fail event", func(w *world) {
			w.produce(0, domain.Delivery{Winner: winner(user, 1, 1)})
			c := w.campaigns[sale]
			c.epoch, c.gateEpoch, c.quota = 2, 2, 1
			c.gate[8], c.rows[8] = 1, 1
		}, 0, domain.ReasonNoSlotLeft, nil},
		{"a winner of an older epoch who was revoked is done", func(w *world) {
			w.produce(0, domain.Delivery{Winner: winner(user, 1, 1)})
			w.campaigns[sale].epoch, w.campaigns[sale].gateEpoch = 2, 2
			w.campaigns[sale].gateRevoked[user] = true
		}, 0, "", nil},
		{"a paused campaign keeps its promises", func(w *world) {
			w.produce(0, domain.Delivery{Winner: winner(user, 1, 1)})
			c := w.campaigns[sale]
			c.epoch, c.gateEpoch, c.refusal = 2, 2, domain.CodePaused
		}, 1, "", nil},
		{"a refused row becomes a fail event that keeps its slot", func(w *world) {
			w.admitted(0, user, 3)
			w.refused[user] = true
		}, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world) {
			event, _ := w.eventOf(user)
			is.Equal(winner(user, 3, 1), event.Winner)
			is.WithinDuration(time.Now(), event.NextAttemptAt, 10*time.Second, "tried again soon")
		}},
		{"a refused row whose gate is rebuilt meanwhile keeps the slot of the new epoch", func(w *world) {
			w.admitted(0, user, 3)
			w.refused[user] = true
			w.before = func(call string) error {
				if c := w.campaigns[sale]; call == "fail event" && c.epoch == 1 {
					c.epoch, c.gateEpoch = 2, 2
					c.gate[user] = 9
				}
				return nil
			}
		}, 0, domain.ReasonRowRefused, func(is *assert.Assertions, w *world) {
			event, _ := w.eventOf(user)
			is.Equal(winner(user, 9, 2), event.Winner)
		}},
		{"a record of a campaign that does not exist becomes a fail event", func(w *world) {
			unknown := winner(user, 3, 1)
			unknown.Campaign = "nowhere"
			w.produce(0, domain.Delivery{Winner: unknown})
		}, 0, domain.ReasonUnknownCampaign, nil},
		{"an application from outside is admitted, stored and confirmed", func(w *world) {
			w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: user}})
		}, 1, "", func(is *assert.Assertions, w *world) { is.Equal([]domain.UserID{user}, w.confirmed) }},
		{"an application from outside of a known winner is not confirmed again", func(w *world) {
			w.campaigns[sale].gate[user] = 2
			w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: user}})
		}, 2, "", func(is *assert.Assertions, w *world) { is.Empty(w.confirmed) }},
		{"an application from outside for a default campaign that does not exist becomes a fail event", func(w *world) {
			delete(w.campaigns, sale)
			w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: user}})
		}, 0, domain.ReasonUnknownCampaign, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(1)
			test.arrange(w)
			once(t, w)
			if c := w.campaigns[sale]; c != nil {
				assert.Equal(t, test.row, c.rows[user])
			}
			event, failed := w.eventOf(user)
			assert.Equal(t, test.reason, event.Reason)
			if failed && test.reason != domain.ReasonRowRefused {
				assert.Equal(t, domain.NoSlot, event.Slot)
			}
			if test.check != nil {
				test.check(assert.New(t), w)
			}
		})
	}
}

func TestAnUnreadableRecordBecomesABoundedFailEventAndHoldsUpNobody(t *testing.T) {
	w := newWorld(1)
	unreadable := domain.Delivery{
		Problem: errors.New(strings.Repeat("\xff", 5000)), Raw: []byte(strings.Repeat("x", 5000)),
	}
	position := w.produce(0, unreadable).Position
	w.admitted(0, 1, 1)
	c := once(t, w)
	event := w.events[position]
	assert.Equal(t, domain.ReasonUnparsable, event.Reason)
	assert.Len(t, event.Raw, domain.MaxRawBytes)
	assert.Equal(t, strings.ToValidUTF8(event.ErrorMessage, ""), event.ErrorMessage)
	assert.Equal(t, domain.Slot(1), w.campaigns[sale].rows[1])
	assert.InDelta(t, 1, testutil.ToFloat64(c.metrics.failEvents.WithLabelValues("UNPARSABLE")), 0)
}

func TestApplicationsFromOutsideAreRefusedWithoutATrace(t *testing.T) {
	for _, code := range []domain.Code{
		domain.CodeSoldOut, domain.CodeNotStarted, domain.CodePaused, domain.CodeEnded, domain.CodeRevoked,
	} {
		w := newWorld(1)
		w.campaigns[sale].refusal = code
		w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: 7}})
		c := once(t, w)
		assert.Empty(t, w.events)
		assert.Empty(t, w.campaigns[sale].rows)
		assert.InDelta(t, 1, testutil.ToFloat64(c.metrics.externalRefused.WithLabelValues(string(code))), 0)
	}
}

func TestApplicationsFromOutsideAreServedInTheirOrder(t *testing.T) {
	w := newWorld(1)
	for user := domain.UserID(1); user <= 50; user++ {
		w.produce(0, domain.Delivery{External: true, Winner: domain.Winner{UserID: 100 - user}})
	}
	once(t, w)
	for user := domain.UserID(1); user <= 50; user++ {
		assert.Equal(t, domain.Slot(user), w.campaigns[sale].rows[100-user])
	}
	assert.Equal(t, 1, w.calls["admit"], "in one call")
	assert.Equal(t, 1, w.calls["confirm"])
	assert.Len(t, w.confirmed, 50)
}

func TestTheRecordsOfAnotherEpochAskTheGateTogether(t *testing.T) {
	const records = 300
	w := newWorld(1)
	w.campaigns[sale].epoch, w.campaigns[sale].gateEpoch = 2, 2
	w.campaigns[sale].gateRevoked[records] = true
	for user := domain.UserID(1); user <= records; user++ {
		w.produce(0, domain.Delivery{Winner: winner(user, domain.Slot(1000-user), 1)})
	}
	once(t, w)
	assert.Equal(t, 1, w.calls["honour"], "in one call")
	assert.Equal(t, 1, w.calls["confirm"])
	assert.Len(t, w.confirmed, records-1, "all but the revoked one")
	for user := domain.UserID(1); user < records; user++ {
		assert.Equal(t, domain.Slot(user), w.campaigns[sale].rows[user], "in their order")
	}
}

func TestAnEntryIsConfirmedOnceAllItsWinnersAreDone(t *testing.T) {
	b := newBatch(make([]domain.Delivery, 5))
	for n, user := range []domain.UserID{1, 2, 1, 3, 4} {
		admission := domain.Admission{Winner: winner(user, domain.Slot(user), 2)}
		if n != 2 { // the same user a second time is not a second winner
			admission.New, admission.EntryID, admission.EntrySize = true, "5-0", 3
		}
		b.items[n].take(admission)
	}
	b.items[4].admission.EntryID, b.items[4].admission.EntrySize = "6-0", 1
	done := map[admissionsOf][]string{}
	for _, n := range []int{0, 1, 2} {
		b.items[n].done = true
		assert.Equal(t, done, b.entriesDone(), "user 3 is not done")
	}
	b.items[4].done = true
	done[admissionsOf{sale, 2}] = []string{"6-0"}
	assert.Equal(t, done, b.entriesDone())
	b.items[3].done = true
	done[admissionsOf{sale, 2}] = []string{"5-0", "6-0"}
	assert.Equal(t, done, b.entriesDone())
}

func TestWhatTheGateGaveIsKeptWhenAnotherOfTheBatchFails(t *testing.T) {
	w := newWorld(1)
	c := w.campaigns[sale]
	c.epoch, c.gateEpoch, c.quota = 2, 2, 1
	for user := domain.UserID(1); user <= 2; user++ {
		w.produce(0, domain.Delivery{Winner: winner(user, domain.Slot(user), 1)})
	}
	failed := false
	w.before = func(call string) error {
		if call == "fail event" && !failed {
			failed = true
			return errAway
		}
		return nil
	}
	consumer := w.consumer(t, Config{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for !w.drained() {
		require.NoError(t, consumer.runOnce(ctx))
	}
	require.True(t, failed)
	assert.Equal(t, domain.Slot(1), c.rows[1])
	assert.Equal(t, []domain.UserID{1}, w.confirmed, "still known to be a new winner")
	event, _ := w.eventOf(2)
	assert.Equal(t, domain.ReasonNoSlotLeft, event.Reason)
}

func TestAFailEventIsWrittenBeforeTheGateForgetsTheWinner(t *testing.T) {
	w := newWorld(1)
	w.admitted(0, 7, 3)
	w.campaigns[sale].rows[8] = 3
	w.before = func(call string) error {
		if call == "dispute" {
			_, recorded := w.eventOf(7)
			assert.True(t, recorded)
		}
		return nil
	}
	once(t, w)
	assert.Len(t, w.disputed, 1)
}

func TestAnOutcomeNobodyKnowsIsNeverTakenForDone(t *testing.T) {
	w := newWorld(1)
	c := w.consumer(t, Config{})
	b := newBatch([]domain.Delivery{w.admitted(0, 7, 3)})
	err := c.conclude(context.Background(), b.items, []verdict{{result: domain.StoreResult{Outcome: 99}}})
	assert.Equal(t, domain.CodeInternal, domain.CodeOf(err))
	assert.False(t, b.items[0].done)
}

func TestEachCampaignOfABatchIsStoredInATransactionOfItsOwn(t *testing.T) {
	w := newWorld(1)
	w.campaigns["autumn"] = newCampaign(10)
	for user := domain.UserID(1); user <= 6; user++ {
		won := winner(user, domain.Slot(user), 1)
		if user%2 == 0 {
			won.Campaign = "autumn"
		}
		w.produce(0, domain.Delivery{Winner: won})
	}
	once(t, w)
	assert.Equal(t, 2, w.calls["store"])
	assert.Len(t, w.campaigns[sale].rows, 3)
	assert.Len(t, w.campaigns["autumn"].rows, 3)
}
