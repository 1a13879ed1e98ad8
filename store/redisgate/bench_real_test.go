//go:build realservers && !release

package redisgate

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// benchCampaign opens a campaign of its own, and removes its keys at the end.
func benchCampaign(b *testing.B, quota int64, winners []domain.GateWinner) (*Gate, domain.Campaign) {
	b.Helper()
	gate, err := Open(Config{Addrs: realAddrs(b), CallTimeout: patience}, nil, discardLogger)
	require.NoError(b, err)
	campaign := domain.Campaign{
		Code: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36), Quota: quota, State: domain.CampaignOpen,
		EndsAt: domain.NoEnd, StartsAt: time.Now().Add(-time.Hour), Epoch: 1,
	}
	rebuildAll(b, gate, campaign, winners)
	b.Cleanup(func() {
		raw := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: realAddrs(b)})
		for _, key := range newCampaignKeys(campaign.Code) {
			name, _ := key.(string)
			raw.Unlink(context.Background(), name)
		}
		raw.Close()
		gate.Close()
	})
	return gate, campaign
}

func rebuildAll(tb testing.TB, gate *Gate, campaign domain.Campaign, winners []domain.GateWinner) {
	tb.Helper()
	target, err := gate.BeginRebuild(tb.Context(), campaign.Code, campaign.Epoch)
	require.NoError(tb, err)
	require.NoError(tb, gate.WriteWinners(tb.Context(), target, winners))
	require.NoError(tb, gate.OpenRebuilt(tb.Context(), target, campaign))
}

// askInParallel has many callers ask, as many requests do.
func askInParallel(b *testing.B, ask func(user domain.UserID)) {
	b.Helper()
	var users atomic.Int64
	b.SetParallelism(256)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ask(domain.UserID(users.Add(1)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

func BenchmarkAdmit(b *testing.B) {
	gate, campaign := benchCampaign(b, domain.MaxQuota, nil)
	askInParallel(b, func(user domain.UserID) {
		if _, err := gate.Admit(context.Background(), campaign.Code, user); err != nil {
			b.Error(err)
		}
	})
}

func BenchmarkAdmitAndConfirm(b *testing.B) {
	gate, campaign := benchCampaign(b, domain.MaxQuota, nil)
	askInParallel(b, func(user domain.UserID) {
		admission, err := gate.Admit(context.Background(), campaign.Code, user)
		if err == nil {
			err = gate.Confirm(context.Background(), admission)
		}
		if err != nil {
			b.Error(err)
		}
	})
}

func BenchmarkAdmitSoldOut(b *testing.B) {
	gate, campaign := benchCampaign(b, 1, []domain.GateWinner{{UserID: domain.MaxQuota, Slot: 1, AdmittedAt: time.Now()}})
	askInParallel(b, func(user domain.UserID) {
		if _, err := gate.Admit(context.Background(), campaign.Code, user); domain.CodeOf(err) != domain.CodeSoldOut {
			b.Error(err)
		}
	})
}

func BenchmarkAdmitAlone(b *testing.B) {
	gate, campaign := benchCampaign(b, domain.MaxQuota, nil)
	b.ReportAllocs()
	user := domain.UserID(0)
	for b.Loop() {
		user++
		if _, err := gate.Admit(context.Background(), campaign.Code, user); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkRebuildMillion rebuilds a gate with a million winners: every tenth slot is free, and a tenth is pending.
func BenchmarkRebuildMillion(b *testing.B) {
	const winners = 1_000_000
	all := make([]domain.GateWinner, 0, winners)
	for i := range winners {
		all = append(all, domain.GateWinner{
			UserID: domain.UserID(i + 1), Slot: domain.Slot(i + 1 + i/9), Pending: i%10 == 0,
			AdmittedAt: time.UnixMilli(1_700_000_000_000 + int64(i/100)),
		})
	}
	gate, campaign := benchCampaign(b, domain.MaxQuota, nil)
	for b.Loop() {
		campaign.Epoch++
		rebuildAll(b, gate, campaign, all)
	}
	report, err := gate.Inspect(context.Background(), campaign.Code)
	require.NoError(b, err)
	require.Empty(b, report.Closed)
	require.Equal(b, int64(winners), report.Winners)
}
