package main

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// deleteTopic takes the topic away, as an operator's mistake does.
func (env *environment) deleteTopic(t *testing.T) {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(env.at.kafka, config)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	require.NoError(t, admin.DeleteTopic(env.config.KafkaTopic))
}

func (s *system) setConsumers(state string) {
	s.t.Helper()
	got := s.must(http.MethodPatch, "/v1/admin/pipeline", map[string]any{"consumers": state})
	require.Equal(s.t, http.StatusOK, got.status, "%v", got.body)
}

// Anybody who heard "accepted" gets a coupon though the topic is deleted with their records, twice: under load, and while
// nobody reads it. No operator does anything.
func TestEveryAcceptedWinnerGetsACouponThoughTheTopicIsDeleted(t *testing.T) {
	t.Parallel()
	env := newAuditEnvironment(t)
	env.config.ProduceTimeout = 2 * time.Second
	system := env.start(t)
	campaign := system.newCampaign(newCode("remade"), 20_000)
	for user := int64(1); user <= 80; user++ {
		require.Equal(t, http.StatusAccepted, system.apply(campaign, user).status)
	}
	system.settle(campaign)

	accepted := map[int64]bool{}
	var next atomic.Int64
	next.Store(80)
	applyFor := func(duration time.Duration) {
		for began := time.Now(); time.Since(began) < duration; pass(t, tick) { // fifty a second
			user := next.Add(1)
			accepted[user] = system.apply(campaign, user).text("status") == "accepted"
		}
	}
	applyFor(time.Second)
	env.deleteTopic(t)
	applyFor(3 * time.Second)
	everybodyHasACoupon := func() {
		system.eventually("everybody has a coupon", func() bool { return len(system.coupons(campaign)) == int(next.Load()) })
	}
	everybodyHasACoupon()

	system.setConsumers(domain.ConsumersPaused)
	applyFor(time.Second)
	env.deleteTopic(t)
	applyFor(time.Second)
	system.setConsumers(domain.ConsumersRunning)
	everybodyHasACoupon()
	said := 0
	for _, yes := range accepted {
		if yes {
			said++
		}
	}
	assert.Positive(t, said, "the test is about those who heard it")
	assert.Empty(t, system.audit(campaign, false).Differences)
}
