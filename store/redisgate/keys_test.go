//go:build !release

package redisgate

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// bench is a gate on a campaign of its own, and a client that spoils its keys.
type bench struct {
	*Gate
	addrs    []string
	raw      redis.UniversalClient
	campaign domain.Campaign
}

func newBench(t *testing.T, addrs []string) *bench {
	t.Helper()
	raw := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs})
	t.Cleanup(func() { raw.Close() })
	return &bench{
		Gate: openGate(t, Config{Addrs: addrs, CallTimeout: patience}), addrs: addrs, raw: raw,
		campaign: domain.Campaign{
			Code: "keys-" + strconv.FormatUint(rand.Uint64(), 36), Quota: 10, State: domain.CampaignOpen,
			StartsAt: time.Now().Add(-time.Hour), EndsAt: domain.NoEnd,
		},
	}
}

// reopen rebuilds the gate: user 1 holds slot 1, user 2 slot 3, user 3 was revoked, user 4 is owed a slot, slot 2 is
// free, and user 2's record is pending.
func (b *bench) reopen(t *testing.T) {
	t.Helper()
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	b.rebuild(t, max(b.campaign.Epoch, report.Epoch)+1)
}

func (b *bench) rebuild(t *testing.T, epoch int64) {
	t.Helper()
	b.campaign.Epoch = epoch
	target, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch)
	require.NoError(t, err)
	at := time.UnixMilli(1_700_000_000_000)
	require.NoError(t, b.WriteWinners(t.Context(), target, []domain.GateWinner{
		{UserID: 1, Slot: 1, AdmittedAt: at},
		{UserID: 2, Slot: 3, AdmittedAt: at, Pending: true},
		{UserID: 3, Slot: domain.NoSlot, AdmittedAt: at},
		{UserID: 4, Slot: domain.SlotOwed, AdmittedAt: at},
	}))
	require.NoError(t, b.OpenRebuilt(t.Context(), target, b.campaign))
	b.requireOpen(t)
}

// Admit asks for one user.
func (b *bench) Admit(ctx context.Context, code string, user domain.UserID) (domain.Admission, error) {
	return domain.Admit(ctx, b.Gate, code, user)
}

// admitInTime asks until a gate that was rebuilt after a loss admits somebody new.
func (b *bench) admitInTime(t *testing.T, user domain.UserID) domain.Admission {
	t.Helper()
	var admission domain.Admission
	require.Eventually(t, func() bool {
		var err error
		admission, err = b.Admit(t.Context(), b.campaign.Code, user)
		if err != nil {
			require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%v", err)
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return admission
}

func (b *bench) key(name string) string { return "coupon:{" + b.campaign.Code + "}:" + name }

func (b *bench) requireOpen(t *testing.T) {
	t.Helper()
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	require.Empty(t, report.Closed)
}

// requireClosed asks as this process, and as one that has seen nothing: nobody is admitted, and the retryer sees it.
func (b *bench) requireClosed(t *testing.T, what string) {
	t.Helper()
	fresh := openGate(t, Config{Addrs: b.addrs, CallTimeout: patience})
	for _, gate := range []*Gate{b.Gate, fresh} {
		for _, user := range []domain.UserID{1, 2, 77} {
			_, err := domain.Admit(t.Context(), gate, b.campaign.Code, user)
			require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%s: %v", what, err)
			_, err = domain.Honour(t.Context(), gate, b.campaign.Code, user)
			require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%s: %v", what, err)
		}
		report, err := gate.Inspect(t.Context(), b.campaign.Code)
		require.NoError(t, err, what)
		require.NotEmpty(t, report.Closed, what)
		_, err = gate.Pending(t.Context(), b.campaign.Code, "", 10)
		require.NoError(t, err, what)
	}
}

var gateKeyNames = []string{"meta", "count", "users", "free", "pending"}

// spoiledKeys runs every test that spoils keys of one campaign, on any server.
func spoiledKeys(t *testing.T, addrs []string) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *bench){
		"ADeletedKeyClosesTheGate":         testDeletedKeys,
		"AKeyOfAWrongTypeClosesTheGate":    testWrongTypes,
		"ASpoiledEmptyGateIsClosed":        testEmptyGate,
		"GarbageInMetaClosesTheGate":       testSpoiledMeta,
		"GarbageInAUserClosesTheGate":      testSpoiledUser,
		"GarbageInTheFreeSlotsClosesIt":    testSpoiledFree,
		"ALostUserClosesTheGate":           testLostUser,
		"LostWritesCloseTheGate":           testLostWrites,
		"AnOldEpochClosesTheGate":          testOldEpoch,
		"AnEditedEpochClosesItForARebuild": testEditedEpoch,
		"AnEpochThatWasSeenIsRemembered":   testSeenEpoch,
		"UnreadableEntriesHideNoOthers":    testUnreadableEntries,
		"ForgottenScriptsAreSentAgain":     testForgottenScripts,
		"LeftoversOfARebuildAreThrownAway": testLeftovers,
		"NoKeyExpires":                     testNoExpiry,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, addrs)
			b.reopen(t)
			test(t, b)
		})
	}
}

func TestSpoiledKeysOnEmbeddedRedis(t *testing.T) {
	spoiledKeys(t, []string{startRedis(t).Addr()})
}

func testDeletedKeys(t *testing.T, b *bench) {
	for _, name := range gateKeyNames {
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
		b.requireClosed(t, name)
		b.reopen(t)
	}
	for _, name := range gateKeyNames[1:] {
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
	}
	b.requireClosed(t, "all but meta")
}

func testWrongTypes(t *testing.T, b *bench) {
	for _, name := range gateKeyNames {
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
		require.NoError(t, b.raw.SAdd(t.Context(), b.key(name), "a set").Err())
		b.requireClosed(t, name)
		require.NoError(t, b.raw.SAdd(t.Context(), b.key("rebuild:users"), "a set").Err())
		b.reopen(t)
	}
}

// testEmptyGate spoils a gate that has admitted nobody yet, where sums say nothing.
func testEmptyGate(t *testing.T, b *bench) {
	empty := func() {
		b.campaign.Epoch++
		target, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch)
		require.NoError(t, err)
		require.NoError(t, b.OpenRebuilt(t.Context(), target, b.campaign))
		b.requireOpen(t)
	}
	for _, name := range []string{"meta", "count", "pending"} {
		empty()
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
		b.requireClosed(t, name)
	}
	for _, name := range gateKeyNames {
		empty()
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
		require.NoError(t, b.raw.SAdd(t.Context(), b.key(name), "a set").Err())
		b.requireClosed(t, name)
	}
	empty()
	assert.Equal(t, domain.Slot(1), b.admitInTime(t, 77).Slot)
}

func testSpoiledMeta(t *testing.T, b *bench) {
	meta := b.key("meta")
	for _, field := range []string{"epoch", "run_id", "quota", "starts_at_ms", "ends_at_ms", "state", "revoked", "owed", "reopen_at_ms", "reopen_says"} {
		for _, garbage := range []string{"", "abc", "-1", "1e3", "nan", "inf", "0x10", " 5", "1.5", "99999999999999999999"} {
			good, err := b.raw.HGet(t.Context(), meta, field).Result()
			require.NoError(t, err)
			require.NoError(t, b.raw.HSet(t.Context(), meta, field, garbage).Err())
			report, err := b.Inspect(t.Context(), b.campaign.Code)
			require.NoError(t, err)
			require.NotEmpty(t, report.Closed, "%s = %q", field, garbage)
			require.NoError(t, b.raw.HSet(t.Context(), meta, field, good).Err())
		}
		require.NoError(t, b.raw.HDel(t.Context(), meta, field).Err())
		b.requireClosed(t, field)
		b.reopen(t)
	}
	for _, field := range []string{"revoked", "owed"} {
		require.NoError(t, b.raw.HIncrBy(t.Context(), meta, field, 1).Err())
		b.requireClosed(t, field)
		b.reopen(t)
	}
}

func testSpoiledUser(t *testing.T, b *bench) {
	for _, garbage := range []string{"", "abc", "1", "1:", ":1", "1:2:3", "1:2,+5", "S", "+1"} {
		require.NoError(t, b.raw.HSet(t.Context(), b.key("users"), "1", garbage).Err())
		_, err := b.Admit(t.Context(), b.campaign.Code, 1)
		require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%q: %v", garbage, err)
		b.requireClosed(t, garbage)
		b.reopen(t)
	}
}

func testSpoiledFree(t *testing.T, b *bench) {
	require.NoError(t, b.raw.ZRem(t.Context(), b.key("free"), "2").Err())
	require.NoError(t, b.raw.ZAdd(t.Context(), b.key("free"), redis.Z{Score: 2, Member: "two"}).Err())
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err))
	b.requireClosed(t, "free")
	users, err := b.raw.HLen(t.Context(), b.key("users")).Result()
	require.NoError(t, err)
	assert.Equal(t, int64(4), users)
}

func testLostUser(t *testing.T, b *bench) {
	require.NoError(t, b.raw.HDel(t.Context(), b.key("users"), "1").Err())
	b.requireClosed(t, "a user is missing")
	b.reopen(t)
	require.NoError(t, b.raw.Incr(t.Context(), b.key("count")).Err())
	b.requireClosed(t, "the count is too high")
}

// testLostWrites takes the last admission back as a whole, as a failover to a replica that lags does. Only a process
// that has seen it can know.
func testLostWrites(t *testing.T, b *bench) {
	for _, user := range []domain.UserID{50, 51} {
		_, err := b.Admit(t.Context(), b.campaign.Code, user)
		require.NoError(t, err)
	}
	require.NoError(t, b.raw.HDel(t.Context(), b.key("users"), "51").Err())
	require.NoError(t, b.raw.Decr(t.Context(), b.key("count")).Err())
	_, err := b.Admit(t.Context(), b.campaign.Code, 52)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%v", err)
	b.requireClosed(t, "the others see it too")
	b.reopen(t)
	assert.True(t, b.admitInTime(t, 52).New, "another epoch counts anew")
}

func testOldEpoch(t *testing.T, b *bench) {
	require.NoError(t, b.raw.HSet(t.Context(), b.key("meta"), "epoch", b.campaign.Epoch-1).Err())
	_, err := b.Admit(t.Context(), b.campaign.Code, 1)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%v", err)
	b.requireClosed(t, "the others see it too")
}

func testUnreadableEntries(t *testing.T, b *bench) {
	good, err := b.Pending(t.Context(), b.campaign.Code, "", 10)
	require.NoError(t, err)
	require.Len(t, good, 1)
	for _, values := range [][]string{
		{"x", "y"}, {"e", "abc", "w", "1:1"}, {"e", "1", "w", ""}, {"e", "1", "w", "1"}, {"e", "1", "w", "a:1"},
		{"e", "1", "w", "1:1,"}, {"e", "1", "w", "1:0:5"},
	} {
		require.NoError(t, b.raw.XAdd(t.Context(), &redis.XAddArgs{Stream: b.key("pending"), Values: values}).Err())
	}
	admitted, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	entries, err := b.Pending(t.Context(), b.campaign.Code, "", 2)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the unreadable ones between them do not count")
	assert.Equal(t, good[0].Winners, entries[0].Winners)
	assert.Equal(t, []domain.Winner{admitted.Winner}, entries[1].Winners)
}

func testForgottenScripts(t *testing.T, b *bench) {
	require.NoError(t, b.raw.ScriptFlush(t.Context()).Err())
	admission, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	assert.True(t, admission.New)
}

func testLeftovers(t *testing.T, b *bench) {
	_, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch+1)
	require.NoError(t, err)
	for _, name := range []string{"rebuild:users", "rebuild:free", "rebuild:pending"} {
		require.NoError(t, b.raw.Del(t.Context(), b.key(name)).Err())
		require.NoError(t, b.raw.Set(t.Context(), b.key(name), "left over", 0).Err())
	}
	b.reopen(t)
	for _, name := range []string{"rebuild:users", "rebuild:free", "rebuild:pending"} {
		exists, err := b.raw.Exists(t.Context(), b.key(name)).Result()
		require.NoError(t, err)
		assert.Zero(t, exists, name)
	}
}

func testNoExpiry(t *testing.T, b *bench) {
	for _, name := range gateKeyNames {
		left, err := b.raw.TTL(t.Context(), b.key(name)).Result()
		require.NoError(t, err)
		assert.Equal(t, time.Duration(-1), left, "%s must never expire", name)
	}
}

func TestAServerThatLostEverythingAdmitsNobody(t *testing.T) {
	server := startRedis(t)
	b := newBench(t, []string{server.Addr()})
	b.reopen(t)
	server.FlushAll()
	b.requireClosed(t, "flushed")
	lost := time.Now()
	b.reopen(t)
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "another process may refuse from memory what was: %v", err)
	known, err := b.Admit(t.Context(), b.campaign.Code, 1)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(1), known.Slot)
	assert.True(t, b.admitInTime(t, 50).New)
	assert.GreaterOrEqual(t, time.Since(lost), time.Second, "longer than a refusal from memory lives")
}

func TestAnotherServerIdentityClosesTheGate(t *testing.T) {
	server := startRedis(t)
	b := newBench(t, []string{server.Addr()})
	b.reopen(t)
	server.ChangeIdentity()
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	assert.Equal(t, "run-id", report.Closed)
	b.requireClosed(t, "another server")
	b.reopen(t)

	target, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch+1)
	require.NoError(t, err)
	server.ChangeIdentity()
	err = b.OpenRebuilt(t.Context(), target, b.campaign)
	assert.Equal(t, domain.CodeOvertaken, domain.CodeOf(err), "begun on another server")
	b.requireClosed(t, "another server")
}

func TestAClockThatWasSetBackHoldsNobodyUp(t *testing.T) {
	b := newBench(t, []string{startRedis(t).Addr()})
	b.reopen(t)
	ahead := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	require.NoError(t, b.raw.HSet(t.Context(), b.key("meta"), "reopen_at_ms", ahead).Err())
	admission, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	assert.True(t, admission.New)
}

func TestWarningsNameUnsafeSettings(t *testing.T) {
	b := newBench(t, []string{startRedis(t).Addr()})
	require.NoError(t, b.Ping(t.Context()))
	assert.Empty(t, b.Warnings(context.Background()))
}

func TestAnEntryIsFromTheFutureWhenRedisSClockWasSetBack(t *testing.T) {
	b := newBench(t, []string{startRedis(t).Addr()})
	b.reopen(t)
	require.NoError(t, b.raw.XTrimMaxLen(t.Context(), b.key("pending"), 0).Err())
	ahead := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) + "-0"
	require.NoError(t, b.raw.XAdd(t.Context(), &redis.XAddArgs{
		Stream: b.key("pending"), ID: ahead, Values: []any{"e", b.campaign.Epoch, "w", "2:3"},
	}).Err())
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	assert.Negative(t, report.OldestPendingAge)
	entries, err := b.Pending(t.Context(), b.campaign.Code, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Negative(t, entries[0].Age)
}
