package retryer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// User 9 was admitted before user 8; both wait for a slot, and there is one. User 7 holds a slot by a record; that of user 6
// comes late.
func TestAHostWhoseClockIsBehindGivesSlotsInTheOrderOfAdmission(t *testing.T) {
	w, r := opened(t, sale)
	w.ledger[sale].Quota = 2
	w.gatesAhead = time.Hour
	redis := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	for user, admitted := range map[domain.UserID]time.Time{8: redis.Add(-time.Minute), 9: redis.Add(-10 * time.Minute)} {
		e := refusedEvent(user, domain.NoSlot, 1)
		e.AdmittedAt, e.Reason = admitted, domain.ReasonNoSlotLeft
		w.fail(e)
	}
	w.topic = append(w.topic, domain.Delivery{Winner: promise(7, 1, 1, redis.Add(-20*time.Minute))})
	w.before = func(call, _ string) error {
		if call == "visit" {
			w.topic = append(w.topic, domain.Delivery{Winner: promise(6, 2, 1, redis.Add(-5*time.Minute))})
		}
		return nil
	}
	require.NoError(t, r.Rebuild(t.Context(), sale))
	assert.Equal(t, domain.Slot(2), w.slotOf(sale, 9), "the slot goes to who was admitted first")
	assert.Equal(t, domain.SlotOwed, w.slotOf(sale, 8))
	assert.Equal(t, redis.Add(-20*time.Minute), w.gates[sale].users[7].AdmittedAt, "what was told")
	if late, known := w.gates[sale].users[6]; assert.True(t, known) {
		assert.Equal(t, redis.Add(-5*time.Minute), late.AdmittedAt, "what was told, of who came late")
	}
}

func TestAHostWhoseClockIsBehindFindsTheCouponsThatTheDatabaseLost(t *testing.T) {
	s := newSearches(nil)
	s.waiting = []*search{{campaign: domain.Campaign{Code: sale, Quota: 10}}}
	s.cancel = func() {}
	found := s.begin()[0].found
	ahead := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	found.add(promise(7, 1, 1, ahead))
	assert.Equal(t, ahead, found.claims[7].winner(sale, 7).AdmittedAt, "it is the rebuild that judges it, by the gate's clock")
}
