//go:build realservers && !release

package redisgate

import (
	"context"
	"fmt"
	"strconv"
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
		for _, key := range newCampaignKeys("", campaign.Code, "") {
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

// benchmarkBatches measures one question about batches of several sizes, for users who are new each time.
func benchmarkBatches(b *testing.B, open func(*testing.B) (*Gate, domain.Campaign), ask func(*Gate, *benchBatch) error) {
	b.Helper()
	for _, size := range []int{1, 64, 512} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			gate, campaign := open(b)
			batch := &benchBatch{campaign.Code, make([]domain.UserID, size), make([]domain.Decision, size)}
			next := domain.UserID(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch.users {
					next++
					batch.users[i] = next
				}
				if err := ask(gate, batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "users/s")
		})
	}
}

type benchBatch struct {
	campaign  string
	users     []domain.UserID
	decisions []domain.Decision
}

func (batch *benchBatch) admit(gate *Gate) error {
	return gate.AdmitAll(context.Background(), batch.campaign, batch.users, batch.decisions)
}

func openForMany(b *testing.B) (*Gate, domain.Campaign) {
	b.Helper()
	return benchCampaign(b, domain.MaxQuota, nil)
}

func BenchmarkAdmit(b *testing.B) {
	benchmarkBatches(b, openForMany, func(gate *Gate, batch *benchBatch) error {
		err := batch.admit(gate)
		if err == nil {
			err = batch.decisions[0].Err
		}
		return err
	})
}

func BenchmarkAdmitAndAcknowledge(b *testing.B) {
	benchmarkBatches(b, openForMany, func(gate *Gate, batch *benchBatch) error {
		if err := batch.admit(gate); err != nil {
			return err
		}
		first := batch.decisions[0].Admission
		return gate.Acknowledge(context.Background(), batch.campaign, first.Epoch, []string{first.EntryID})
	})
}

func BenchmarkAdmitSoldOut(b *testing.B) {
	benchmarkBatches(b, func(b *testing.B) (*Gate, domain.Campaign) {
		b.Helper()
		return benchCampaign(b, 1, []domain.GateWinner{{UserID: 1 << 40, Slot: 1, AdmittedAt: time.Now()}})
	}, func(gate *Gate, batch *benchBatch) error {
		if err := batch.admit(gate); err != nil {
			return err
		}
		if err := batch.decisions[0].Err; domain.CodeOf(err) != domain.CodeSoldOut {
			return fmt.Errorf("expected sold out: %w", err)
		}
		return nil
	})
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
