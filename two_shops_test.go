package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// shops are two installations on one Redis, each with a database and a topic of its own. Both sell under the same name.
type shops struct {
	t            *testing.T
	redis        *redis.Client
	theirs, ours *system
	campaign     string
}

const theirQuota, ourQuota = 60, 40

// newShops gives shops that take each other's keys for their own names: neither has a prefix.
func newShops(t *testing.T) *shops {
	t.Helper()
	theirs, ours := newAuditEnvironment(t), newAuditEnvironment(t)
	ours.at.redis = theirs.at.redis
	p := &shops{t: t, redis: theirs.redisClient(t), theirs: theirs.start(t), ours: ours.start(t)}
	p.campaign = p.theirs.newCampaign(newCode("twice"), theirQuota)
	created := p.ours.must(http.MethodPost, "/v1/admin/campaigns", map[string]any{
		"code": p.campaign, "name": "ours", "quota": ourQuota, "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
	})
	require.Equal(t, http.StatusCreated, created.status, "%v", created.body)
	return p
}

// metaOf is the campaign's key that says whose gate it is.
func (p *shops) metaOf(prefix string) string { return prefix + "coupon:{" + p.campaign + "}:meta" }

func (p *shops) owner(prefix string) string {
	p.t.Helper()
	owner, err := p.redis.HGet(p.t.Context(), p.metaOf(prefix), "installation").Result()
	require.NoError(p.t, err)
	return owner
}

// requireForeign asserts that our applicants hear that nobody is admitted, the other shop's winners too, and operators why.
func (p *shops) requireForeign(users ...int64) {
	p.t.Helper()
	for _, user := range users {
		got := p.ours.apply(p.campaign, user)
		require.Equal(p.t, http.StatusServiceUnavailable, got.status, "user %d: %v", user, got.body)
		assert.Equal(p.t, "gate-closed", got.problem())
		assert.NotEmpty(p.t, got.header.Get("Retry-After"))
	}
	p.ours.eventually("nobody is told how many coupons the other shop has", func() bool {
		view := p.ours.must(http.MethodGet, "/v1/campaigns/"+p.campaign, nil)
		return view.text("gate") != "open" && view.body["remaining"] == nil
	})
	operators := p.ours.must(http.MethodGet, "/v1/admin/campaigns/"+p.campaign, nil)
	assert.Contains(p.t, operators.text("gate_error"), "another installation")
}

func (p *shops) requireOpens(why string) {
	p.t.Helper()
	p.ours.eventually(why, func() bool {
		return p.ours.must(http.MethodGet, "/v1/campaigns/"+p.campaign, nil).text("gate") == "open"
	})
}

// requireRepairChangesNothing lets our operators repair whatever an audit finds.
func (p *shops) requireRepairChangesNothing() {
	p.t.Helper()
	found := p.ours.audit(p.campaign, true)
	assert.Contains(p.t, found.Error, "another installation", "%+v", found)
	assert.Empty(p.t, found.Differences)
}

// requireSoldOut lets all users of a shop apply, and asserts that as many win as there are coupons and the next one is told so.
func (p *shops) requireSoldOut(s *system, users, quota int64) {
	p.t.Helper()
	won := int64(0)
	for user := int64(1); user <= users; user++ {
		if got, _ := applyUntilAnswered(s, p.campaign, user); got.status == http.StatusAccepted || got.status == http.StatusOK {
			won++
		} else {
			require.Equal(p.t, "sold-out", got.problem(), "user %d: %v", user, got.body)
		}
	}
	assert.Equal(p.t, quota, won)
	found := s.auditWhenStored(p.campaign, int(quota))
	assert.Equal(p.t, []domain.AuditDifference{}, found.Differences)
	s.requireSlots(p.campaign, int(quota))
}

// restoreTheirs puts the other shop's keys in the place of ours, as from a backup of the wrong Redis.
func (p *shops) restoreTheirs(ctx context.Context, prefix string) {
	p.t.Helper()
	keys, err := p.redis.Keys(ctx, "coupon:{"+p.campaign+"}:*").Result()
	require.NoError(p.t, err)
	require.NotEmpty(p.t, keys)
	for _, key := range keys {
		require.NoError(p.t, p.redis.Copy(ctx, key, prefix+key, 0, true).Err(), key)
	}
}

func TestTwoShopsOnOneRedisNeverTakeEachOthersKeysAndTellTheTruth(t *testing.T) {
	p := newShops(t)
	for user := int64(1); user <= 20; user++ {
		require.Equal(t, http.StatusAccepted, p.theirs.apply(p.campaign, user).status)
	}
	owner, before := p.owner(""), p.redis.HGet(t.Context(), p.metaOf(""), "epoch").Val()
	p.requireForeign(1, 20, 1_000)
	p.requireRepairChangesNothing()
	p.requireSoldOut(p.theirs, 2*theirQuota, theirQuota)
	p.requireForeign(1, theirQuota, 2*theirQuota)
	p.requireRepairChangesNothing()
	assert.Empty(t, p.ours.coupons(p.campaign), "the other shop's winners got nothing here")
	assert.Equal(t, owner, p.owner(""))
	assert.Equal(t, before, p.redis.HGet(t.Context(), p.metaOf(""), "epoch").Val(), "nobody rebuilt against the other shop")

	const prefix = "ours:"
	p.ours.stop()
	p.ours.env.config.RedisKeyPrefix = prefix
	p.ours = p.ours.env.start(t)
	p.requireOpens("our gate opens under our prefix")
	for user := int64(1); user <= 10; user++ {
		require.Equal(t, http.StatusAccepted, p.ours.apply(p.campaign, user).status)
	}
	require.NotEqual(t, owner, p.owner(prefix))
	p.restoreTheirs(t.Context(), prefix)
	p.requireForeign(1, 20, 1_000)
	p.requireRepairChangesNothing()
	assert.Equal(t, owner, p.owner(prefix), "keys of the other shop are left to those who put them there")
	for _, name := range []string{"meta", "count", "users", "free", "pending"} {
		require.NoError(t, p.redis.Del(t.Context(), prefix+"coupon:{"+p.campaign+"}:"+name).Err())
	}
	p.requireOpens("without them our gate is rebuilt")
	p.requireSoldOut(p.ours, 2*ourQuota, ourQuota)
	p.requireSoldOut(p.theirs, 2*theirQuota, theirQuota)
	assert.Equal(t, owner, p.owner(""))
}
