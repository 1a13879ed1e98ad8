package retryer

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// auditedGate shows what the gate and the ledger of the world hold.
type auditedGate struct{ *audited }

func (a *auditedGate) VisitWinners(_ context.Context, code string, visit func(domain.GateWinner) error) error {
	return gateRebuild{a.world}.VisitWinners(context.Background(), code, visit)
}

func (a *auditedGate) FindWinners(_ context.Context, code string, users []domain.UserID) (found []domain.GateWinner, _ error) {
	for _, user := range users {
		if winner, ok := a.gates[code].users[user]; ok {
			found = append(found, winner)
		}
	}
	return found, nil
}

func (a *auditedGate) FindHolders(_ context.Context, code string, users []domain.UserID) (found []domain.Holder, _ error) {
	for _, user := range users {
		if coupon, ok := a.ledger[code].coupons[user]; ok {
			found = append(found, domain.Holder{UserID: user, Slot: coupon.Slot})
		}
		for _, event := range a.events {
			if event.UserID == user && event.Status != domain.FailStatusSuccess {
				found = append(found, domain.Holder{UserID: user, Slot: domain.SlotOwed, ByFailEvent: true})
			}
		}
	}
	return found, nil
}

// User 2 heard "accepted, delayed": the gate notes that a slot is owed, and the record is on the topic. Then the topic is
// deleted before a consumer has read it. Redis and the ledger are whole.
func TestWhoIsOwedASlotAndWhoseRecordIsLostWaitsAsAFailEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(sale)
		w.ledger[sale].Quota = 1
		topic := &topicOf{identity: "a"}
		ports := w.ports()
		ports.Topic = TopicPorts{Watcher: topic, Settings: topic}
		a := &audited{world: w, saved: map[string]domain.AuditResult{}}
		ports.Audit = AuditPorts{Gate: &auditedGate{a}, Restorer: a, Ledger: &auditedGate{a}, Verifier: a, Store: a}
		r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.NoError(t, r.SweepOnce(t.Context()))
		w.issue(1, 1)
		w.hold(1, 1)
		w.gates[sale].users[2] = domain.GateWinner{UserID: 2, Slot: domain.SlotOwed, AdmittedAt: start}
		require.NoError(t, r.topicOnce(t.Context()))

		topic.identity = "b" // the topic was deleted and made anew
		for range 3 {
			_ = r.topicOnce(t.Context()) // who was just put back is still missing on the topic of the test
			r.topic.searched = r.topic.searched.Add(-searchAgainAfter)
		}
		require.NotEmpty(t, w.published, "user 2 heard accepted, and had neither a record nor a fail event")
		sent := w.published[0]
		assert.Equal(t, domain.UserID(2), sent.UserID)
		assert.Equal(t, start, sent.AdmittedAt, "the first who waits is the first who gets a slot")
		assert.Less(t, sent.Epoch, w.ledger[sale].Epoch, "no row can be stored of it: the consumer asks the gate")

		w.topic = append(w.topic, domain.Delivery{Winner: sent}) // what Kafka took is there at the next search
		for range 3 {
			require.NoError(t, r.topicOnce(t.Context()))
			r.topic.searched = r.topic.searched.Add(-searchAgainAfter)
		}
		assert.Equal(t, "b", topic.noted, "the search ends")
		results, err := r.auditThese(t.Context(), nil, false)
		require.NoError(t, err)
		assert.False(t, results[0].Settled, "settled means that nobody waits")
	})
}
