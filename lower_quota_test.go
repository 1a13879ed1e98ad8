package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/kafkaqueue"
)

// revoke takes coupons back, as the command does.
func (env *environment) revoke(t *testing.T, campaign string, users ...domain.UserID) {
	t.Helper()
	ledger, err := openLedger(env.config, env.at, instruments{registry: prometheus.NewRegistry(), logger: env.config.logger()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, ledger.Close()) }()
	for _, user := range users {
		_, err := ledger.RevokeCoupon(t.Context(), campaign, user, "a test", "the test")
		require.NoError(t, err)
	}
}

// TestARebuildGivesNoMoreCouponsThanALoweredQuota: one of the five holders has slot 9, so slot 7 is free when a record of an
// older epoch, which no consumer has read, names it.
func TestARebuildGivesNoMoreCouponsThanALoweredQuota(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("lower"), 9)
	wonBy(s, campaign, 9)
	env.revoke(t, campaign, 5, 6, 7, 8)
	s.must(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"quota": 5})
	s.eventually("the quota is 5", func() bool {
		return s.must(http.MethodGet, "/v1/admin/campaigns/"+campaign, nil).number("quota") == 5
	})
	s.setConsumers(domain.ConsumersPaused)
	publisher, err := kafkaqueue.OpenPublisher(env.config.kafkaConfig(env.at), prometheus.NewRegistry(), env.config.logger())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, publisher.Close()) })
	require.NoError(t, publisher.Publish(t.Context(), domain.Winner{
		Campaign: campaign, UserID: 66, Slot: 7, Epoch: 1, AdmittedAt: time.Now(),
	}))
	s.stop()
	env.emptyRedis()
	s = env.start(t)
	s.eventually("the gate is open", func() bool {
		return s.must(http.MethodGet, "/v1/campaigns/"+campaign, nil).text("gate") == "open"
	})
	s.setConsumers(domain.ConsumersRunning)
	s.eventually("the record is consumed", func() bool { return env.uncommitted(t) == 0 })
	told := s.apply(campaign, 66).body
	assert.NotContains(t, told, "slot", "it would be the sixth of five")
	assert.Equal(t, map[string]int64{"1": 1, "2": 2, "3": 3, "4": 4, "5": 0, "6": 0, "7": 0, "8": 0, "9": 9}, s.coupons(campaign))
}
