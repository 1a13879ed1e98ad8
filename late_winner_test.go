package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/crashpoint"
)

// The api has admitted the first user and publishes the record; Redis loses everything, and a rebuild begins. Kafka takes
// the record at the worst moment: when the topic was read for the first time, or for the last. The consumer lags, so
// nothing but the topic knows of the user.
func TestNobodyIsForgottenWhoseRecordKafkaTookDuringARebuild(t *testing.T) {
	w := newCrashWorld(t)
	for _, point := range []crashpoint.Point{crashpoint.RebuildTailRead, crashpoint.RebuildGapsWritten} {
		t.Run("after "+string(point), func(t *testing.T) {
			w.in(t)
			campaign := w.newCampaign(newCode("late"), 1)
			w.arm(roleConsumer, string(crashpoint.ConsumerPolled)+":1:hold")
			admitted := w.holdNext(roleAPI, crashpoint.APIAdmitted)
			first := make(chan answer, 1)
			go func() { first <- w.apply(campaign, 1) }()
			admitted()
			reading := w.holdNext(roleRetryer, point)
			w.forget(campaign)
			reading()

			before := w.env.uncommitted(t)
			w.arm(roleAPI)
			w.eventually("Kafka has the record", func() bool { return w.env.uncommitted(t) > before })
			w.arm(roleRetryer)
			told := <-first
			assert.Equal(t, http.StatusAccepted, told.status, "%v", told.body)
			assert.Equal(t, "accepted", told.text("status"))

			second, answered := applyUntilAnswered(w.system, campaign, 2)
			require.True(t, answered)
			assert.Equal(t, "sold-out", second.problem(), "the only slot is the first user's: %v", second.body)
			again, answered := applyUntilAnswered(w.system, campaign, 1)
			require.True(t, answered)
			assert.Equal(t, http.StatusOK, again.status, "who was accepted is not refused: %v", again.body)
			w.arm(roleConsumer)
			w.settle(campaign)
			assert.Equal(t, map[string]int64{"1": 1}, w.coupons(campaign))
		})
	}
}

// forget deletes everything that Redis holds of a campaign.
func (w *crashWorld) forget(campaign string) {
	keys := []string{}
	for _, key := range []string{"meta", "count", "users", "free", "pending"} {
		keys = append(keys, "coupon:{"+campaign+"}:"+key)
	}
	require.NoError(w.t, w.env.redisClient(w.t).Del(w.t.Context(), keys...).Err())
}
