//go:build realservers

package retryer

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"os"
	"runtime"
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

// rebuiltWinners is how many winners BenchmarkRebuildOfAMillionWinners has.
const rebuiltWinners = 1_000_000

// BenchmarkRebuildOfAMillionWinners rebuilds, on real Redis and MySQL, the gate of a campaign whose winners are all
// stored, and reports the seconds of one rebuild and the most heap that it had in use. The topic is empty.
func BenchmarkRebuildOfAMillionWinners(b *testing.B) {
	ledger := millionCoupons(b)
	gate, err := redisgate.Open(redisgate.Config{
		Addrs: strings.Split(os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS"), ","), CallTimeout: 5 * time.Second,
	}, nil, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.Cleanup(func() {
		raw := redis.NewClient(&redis.Options{Addr: strings.Split(os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS"), ",")[0]})
		for _, key := range []string{"meta", "count", "users", "free", "pending"} {
			require.NoError(b, raw.Unlink(context.Background(), "coupon:{"+rebuiltCampaign+"}:"+key).Err())
		}
		require.NoError(b, raw.Close())
		require.NoError(b, gate.Close())
	})
	w := newWorld()
	ports := w.ports()
	ports.LedgerRebuild, ports.GateRebuild, ports.Pending = ledger, gate, gate
	r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(b, err)

	peak := peakHeap(b)
	for b.Loop() {
		require.NoError(b, r.Rebuild(b.Context(), rebuiltCampaign))
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/rebuild")
	b.ReportMetric(float64(peak())/(1<<20), "MiB-heap-peak")
	report, err := gate.Inspect(b.Context(), rebuiltCampaign)
	require.NoError(b, err)
	require.Empty(b, report.Closed)
	require.Equal(b, int64(rebuiltWinners), report.Winners)
}

// rebuiltCampaign is a code of its own, because the keys of Redis are shared.
var rebuiltCampaign = "rebuild-" + strings.ToLower(rand.Text())

// millionCoupons gives a ledger in a database of its own, which holds the coupons.
func millionCoupons(b *testing.B) *sqlledger.Ledger {
	b.Helper()
	settings, err := mysql.ParseDSN(os.Getenv("FIRSTCOME_TEST_MYSQL_DSN"))
	require.NoError(b, err, "run make test-real")
	server, err := sql.Open("mysql", settings.FormatDSN())
	require.NoError(b, err)
	settings.DBName = "firstcome_test_" + strings.ToLower(rand.Text())
	_, err = server.ExecContext(b.Context(), "CREATE DATABASE "+settings.DBName)
	require.NoError(b, err)
	ledger, err := sqlledger.Open(sqlledger.Config{Dialect: sqlledger.DialectMySQL, DSN: settings.FormatDSN()},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	b.Cleanup(func() {
		_, err := server.ExecContext(context.Background(), "DROP DATABASE "+settings.DBName)
		require.NoError(b, err)
		require.NoError(b, ledger.Close())
		require.NoError(b, server.Close())
	})
	require.NoError(b, ledger.Migrate(b.Context()))
	_, err = ledger.CreateCampaign(b.Context(), domain.Campaign{
		Code: rebuiltCampaign, Quota: rebuiltWinners, State: domain.CampaignOpen, StartsAt: start, EndsAt: domain.NoEnd,
	}, "benchmark")
	require.NoError(b, err)
	_, err = ledger.BeginRebuild(b.Context(), rebuiltCampaign)
	require.NoError(b, err)
	batch := make([]domain.Winner, domain.MaxPage)
	for stored := 0; stored < rebuiltWinners; stored += len(batch) {
		for i := range batch {
			n := stored + i + 1
			batch[i] = domain.Winner{
				Campaign: rebuiltCampaign, UserID: domain.UserID(uint64(n)*0x9E3779B97F4A7C15>>1) + 1, Slot: domain.Slot(n),
				Epoch: 1, AdmittedAt: start.Add(time.Duration(n) * time.Millisecond),
			}
		}
		_, err := ledger.StoreCoupons(b.Context(), rebuiltCampaign, batch)
		require.NoError(b, err)
	}
	return ledger
}

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
