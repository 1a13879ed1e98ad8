package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anotherRun names no run of the database's server, as after a fail-over.
const anotherRun = "the server before"

// loseCoupons takes what a database lacks that went back: every second coupon of the campaign, and the note that it was
// compared with the topic under this run of its server.
func (env *environment) loseCoupons(t *testing.T, campaign string) {
	t.Helper()
	env.execSQL(t, "DELETE FROM coupon WHERE slot % 2 = 0 AND campaign_id = (SELECT id FROM campaign WHERE code = ?)", campaign)
	env.execSQL(t, "UPDATE installation SET verified_run = ?", anotherRun)
}

// wonBy lets the users from 1 on apply, and gives the slots that they were told, by user, once all are coupons.
func wonBy(s *system, campaign string, users int) map[string]int64 {
	s.t.Helper()
	told := map[string]int64{}
	for user := range users {
		got := s.apply(campaign, int64(user+1))
		require.Equal(s.t, http.StatusAccepted, got.status, "%v", got.body)
		told[fmt.Sprint(user+1)] = got.number("slot")
	}
	s.settle(campaign)
	require.Equal(s.t, told, s.coupons(campaign))
	return told
}

// requireToldSlotsBack waits until the gate lets the next user in, and everybody before has the slot that was told.
func requireToldSlotsBack(s *system, campaign string, told map[string]int64) {
	s.t.Helper()
	const next = 1000
	s.eventually("the gate is open again, and lets the next in", func() bool {
		return s.apply(campaign, next).status == http.StatusAccepted
	})
	s.eventually("the lost coupons are back", func() bool { return len(s.coupons(campaign)) == len(told)+1 })
	now := s.coupons(campaign)
	delete(now, fmt.Sprint(next))
	assert.Equal(s.t, told, now)
}

// TestCouponsThatTheDatabaseLostComeBackByThemselves: a fail-over without the last commits, after their offsets were
// committed. Nobody runs a command.
func TestCouponsThatTheDatabaseLostComeBackByThemselves(t *testing.T) {
	env := newEnvironment(t)
	env.config.AuditWait = 50 * time.Millisecond
	s := env.start(t)
	campaign := s.newCampaign(newCode("lost"), 60)
	told := wonBy(s, campaign, 50)
	// The first comparison of the process would note at its end that a loss in the midst of it was compared.
	s.eventually("the database was compared once", func() bool {
		verified := env.textSQL(t, "SELECT verified_run FROM installation")
		return verified != "" && verified != anotherRun
	})
	env.loseCoupons(t, campaign)
	s.eventually("the lost coupons are back", func() bool { return len(s.coupons(campaign)) == 50 })
	assert.Equal(t, told, s.coupons(campaign))
	assert.True(t, s.auditWhenStored(campaign, 50).Clean())
}

// TestToldSlotsHoldWhenTheDatabaseAndRedisLoseAtOnce: only the records that are still on the topic, and committed long
// ago, know who was told which slot. Those who come next get none of them.
func TestToldSlotsHoldWhenTheDatabaseAndRedisLoseAtOnce(t *testing.T) {
	env := newEnvironment(t)
	env.config.AuditWait = 50 * time.Millisecond
	env.config.VerifyEvery = time.Hour // the rebuild alone has to know
	s := env.start(t)
	campaign := s.newCampaign(newCode("both"), 60)
	told := wonBy(s, campaign, 50)
	s.stop()
	env.loseCoupons(t, campaign)
	env.emptyRedis()
	s = env.start(t)
	requireToldSlotsBack(s, campaign, told)
	assert.True(t, s.auditWhenStored(campaign, 51).Clean())
}

// TestAnEditedEpochClosesNoGateForGood: somebody writes the highest number that the scripts read into a gate. The ledger must
// not take it over: no epoch that can be read comes after it.
func TestAnEditedEpochClosesNoGateForGood(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("epoch"), 9)
	told := wonBy(s, campaign, 1)
	epoch := func() int64 { return s.must(http.MethodGet, "/v1/admin/campaigns/"+campaign, nil).number("epoch") }
	before := epoch()
	meta := "coupon:{" + campaign + "}:meta"
	require.NoError(t, env.redisClient(t).HSet(t.Context(), meta, "epoch", "999999999999999").Err())
	s.eventually("the gate is rebuilt", func() bool { return epoch() > before })
	s.eventually("the next one is let in", func() bool { return s.apply(campaign, 2).status == http.StatusAccepted })
	assert.Less(t, epoch(), before+10)
	s.settle(campaign)
	assert.Equal(t, told["1"], s.coupons(campaign)["1"], "the winner keeps the slot")
	assert.True(t, s.auditWhenStored(campaign, 2).Clean())
}

// TestToldSlotsHoldWhenTheDatabaseGoesBackToBeforeTheFirstOpening: the backup is older than the first epoch, and Redis is
// empty.
func TestToldSlotsHoldWhenTheDatabaseGoesBackToBeforeTheFirstOpening(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("first"), 60)
	told := wonBy(s, campaign, 50)
	s.stop()
	env.loseCoupons(t, campaign)
	env.execSQL(t, "UPDATE campaign SET epoch = 0, fencing = 0 WHERE code = ?", campaign)
	env.emptyRedis()
	s = env.start(t)
	requireToldSlotsBack(s, campaign, told)
}

// TestADatabaseThatWentBackGivesNoRevokedUserTheSlotOfAnother: Redis and Kafka are whole. The database alone goes back behind a
// revocation and all coupons.
func TestADatabaseThatWentBackGivesNoRevokedUserTheSlotOfAnother(t *testing.T) {
	env := newEnvironment(t)
	env.config.AuditWait = 50 * time.Millisecond
	s := env.start(t)
	campaign := s.newCampaign(newCode("back"), 2)
	wonBy(s, campaign, 2)
	env.revoke(t, campaign, 1)
	var told answer
	s.eventually("user 3 gets the slot", func() bool {
		told = s.apply(campaign, 3)
		return told.status == http.StatusAccepted
	})
	require.Equal(t, int64(1), told.number("slot"), "%v", told.body)
	s.eventually("it is stored", func() bool { return s.coupons(campaign)["3"] == 1 })
	s.eventually("nothing is on its way", func() bool { return env.uncommitted(t) == 0 })
	s.stop()
	env.execSQL(t, "DELETE FROM coupon WHERE campaign_id = (SELECT id FROM campaign WHERE code = ?)", campaign)
	env.execSQL(t, "UPDATE campaign SET epoch = 0, fencing = 0 WHERE code = ?", campaign)
	env.execSQL(t, "UPDATE installation SET verified_run = ?", anotherRun)
	s = env.start(t)
	s.eventually("both coupons are back", func() bool { return len(s.coupons(campaign)) == 2 })
	assert.Equal(t, map[string]int64{"2": 2, "3": 1}, s.coupons(campaign))
	assert.NotEqual(t, http.StatusAccepted, s.apply(campaign, 1).status, "user 1 was revoked")
}
