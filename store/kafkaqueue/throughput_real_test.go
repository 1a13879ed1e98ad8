//go:build realservers

package kafkaqueue

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// BenchmarkPublish measures acknowledged records per second with many goroutines that each wait for theirs.
func BenchmarkPublish(b *testing.B) {
	for _, publishers := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			cfg := newConfig(realBrokers(b)...)
			cfg.Partitions = 8
			require.NoError(b, EnsureTopic(b.Context(), cfg))
			publisher, err := OpenPublisher(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			require.NoError(b, err)
			defer publisher.Close()
			require.NoError(b, publisher.Publish(b.Context(), domain.Winner{Campaign: "spring", UserID: 1, Slot: 1}))
			var user atomic.Int64
			b.ResetTimer()
			var all sync.WaitGroup
			for range publishers {
				all.Go(func() {
					for n := user.Add(1); n <= int64(b.N); n = user.Add(1) {
						winner := domain.Winner{Campaign: "spring", UserID: domain.UserID(n), Slot: domain.Slot(n), Epoch: 1}
						if err := publisher.Publish(b.Context(), winner); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
