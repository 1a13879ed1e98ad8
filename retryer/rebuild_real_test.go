//go:build realservers

package retryer

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/redisgate"
	"firstcome/store/sqlledger"
)

const (
	// rebuiltWinners is how many winners BenchmarkRebuildOfAMillionWinners has, in rebuiltCampaign.
	rebuiltWinners  = 1_000_000
	rebuiltCampaign = "rebuild-of-a-million"
	// rebuiltDatabase stays for the next run, because filling it takes longer than the benchmark.
	rebuiltDatabase = "firstcome_test_rebuild_of_a_million"
)

// BenchmarkRebuildOfAMillionWinners rebuilds, on real Redis and MySQL, the gate of a campaign whose winners are all
// stored, and reports the seconds of one rebuild and the most heap that it had in use: once after Redis lost everything,
// and once while the closed gate still holds all of them, so that they are compared with the ledger. The topic is empty.
func BenchmarkRebuildOfAMillionWinners(b *testing.B) {
	ledger := millionCoupons(b)
	address := strings.Split(os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS"), ",")[0]
	gate, err := redisgate.Open(redisgate.Config{Addrs: []string{address}, CallTimeout: 5 * time.Second},
		nil, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	raw := redis.NewClient(&redis.Options{Addr: address})
	loseGate := func() {
		for _, key := range []string{"meta", "count", "users", "free", "pending"} {
			require.NoError(b, raw.Unlink(context.Background(), "coupon:{"+rebuiltCampaign+"}:"+key).Err())
		}
	}
	b.Cleanup(func() {
		loseGate()
		require.NoError(b, raw.Close())
		require.NoError(b, gate.Close())
	})
	ports := newWorld().ports()
	ports.LedgerRebuild, ports.GateRebuild, ports.Pending = ledger, gate, gate
	r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(b, err)

	for _, lost := range []bool{true, false} {
		b.Run(fmt.Sprintf("lost=%v", lost), func(b *testing.B) {
			peak := peakHeap(b)
			for b.Loop() {
				if lost {
					b.StopTimer()
					loseGate()
					b.StartTimer()
				}
				require.NoError(b, r.Rebuild(b.Context(), rebuiltCampaign))
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/rebuild")
			b.ReportMetric(float64(peak())/(1<<20), "MiB-heap-peak")
			report, err := gate.Inspect(b.Context(), rebuiltCampaign)
			require.NoError(b, err)
			require.Empty(b, report.Closed)
			require.Equal(b, int64(rebuiltWinners), report.Winners)
		})
	}
}

// millionCoupons gives the ledger that holds the coupons, and fills it if no run before has.
func millionCoupons(b *testing.B) *sqlledger.Ledger {
	b.Helper()
	settings, err := mysql.ParseDSN(os.Getenv("FIRSTCOME_TEST_DATABASE_DSN"))
	require.NoError(b, err, "run make test-real")
	settings.Params = map[string]string{"cte_max_recursion_depth": strconv.Itoa(rebuiltWinners)}
	server, err := sql.Open("mysql", settings.FormatDSN())
	require.NoError(b, err)
	_, err = server.ExecContext(b.Context(), "CREATE DATABASE IF NOT EXISTS "+rebuiltDatabase)
	require.NoError(b, err)
	settings.DBName, settings.Params = rebuiltDatabase, nil
	ledger, err := sqlledger.Open(sqlledger.Config{Dialect: sqlledger.DialectMySQL, DSN: settings.FormatDSN()},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, ledger.Close())
		require.NoError(b, server.Close())
	})
	require.NoError(b, ledger.Migrate(b.Context()))
	if counts, err := ledger.Count(b.Context(), rebuiltCampaign); err == nil && counts.Issued == rebuiltWinners {
		return ledger
	}
	campaign, err := ledger.CreateCampaign(b.Context(), domain.Campaign{
		Code: rebuiltCampaign, Quota: rebuiltWinners, State: domain.CampaignOpen, StartsAt: start, EndsAt: domain.NoEnd,
	}, "benchmark")
	require.NoError(b, err)
	_, err = server.ExecContext(b.Context(), fillStatement, rebuiltWinners, campaign.ID, start.Format(time.DateTime))
	require.NoError(b, err)
	return ledger
}

// fillStatement stores so many coupons at once; the user IDs have 19 digits and come in no order.
const fillStatement = `INSERT INTO ` + rebuiltDatabase + `.coupon (user_id, slot, campaign_id, admitted_at)
WITH RECURSIVE slots (slot) AS (SELECT 1 UNION ALL SELECT slot + 1 FROM slots WHERE slot < ?)
SELECT 4000000000000000000 + (slot * 2654435761 % 4294967291) * 1000000000, slot, ?, ? + INTERVAL slot * 1000 MICROSECOND
FROM slots`

// peakHeap looks at the heap in use until the function it gives is called, which says the most that was seen.
func peakHeap(b *testing.B) func() uint64 {
	b.Helper()
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := uint64(0)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			most = max(most, memory.HeapInuse)
			select {
			case <-ticker.C:
			case <-done:
				peak <- most
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-peak }
}
