//go:build realservers

package sqlledger

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// BenchmarkStoreCoupons tells what a batch is worth: rows a second of one writer, on each server.
func BenchmarkStoreCoupons(b *testing.B) {
	for name, variable := range servers {
		for _, size := range []int{500, 1} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, size), func(b *testing.B) {
				ledger := openRealLedger(b, serverSettings(b, variable))
				winner := campaignFor(b, ledger)
				batch := make([]domain.Winner, size)
				stored := 0
				b.ResetTimer()
				for b.Loop() {
					fill(batch, winner, stored)
					if _, err := ledger.StoreCoupons(context.Background(), "spring", batch); err != nil {
						b.Fatal(err)
					}
					stored += size
				}
				b.ReportMetric(float64(stored)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// fill makes a batch whose users come in no order, as they do in a sale.
func fill(batch []domain.Winner, like domain.Winner, stored int) {
	for i := range batch {
		batch[i] = like
		batch[i].Slot = domain.Slot(stored + i + 1)
		batch[i].UserID = domain.UserID(uint64(stored+i+1)*0x9E3779B97F4A7C15>>1) + 1
	}
}

// BenchmarkMillionHolders tells how long a rebuild's snapshot and a count take with a million rows, and requires that
// the snapshot never holds more than a page.
func BenchmarkMillionHolders(b *testing.B) {
	const rows, batchSize = 1_000_000, 1000
	for name, variable := range servers {
		ledger := openRealLedger(b, serverSettings(b, variable))
		winner := campaignFor(b, ledger)
		batch := make([]domain.Winner, batchSize)
		for stored := 0; stored < rows; stored += batchSize {
			fill(batch, winner, stored)
			_, err := ledger.StoreCoupons(b.Context(), "spring", batch)
			require.NoError(b, err)
		}
		b.Run(name+"/visit", func(b *testing.B) {
			for b.Loop() {
				visited, most := 0, uint64(0)
				require.NoError(b, ledger.VisitHolders(context.Background(), campaignOf(b, ledger), func(domain.Holder) error {
					visited++
					if visited%100_000 == 0 {
						runtime.GC()
						var memory runtime.MemStats
						runtime.ReadMemStats(&memory)
						most = max(most, memory.HeapAlloc)
					}
					return nil
				}))
				assert.Equal(b, rows, visited)
				assert.Less(b, most, uint64(32<<20), "bytes of heap in use")
			}
		})
		b.Run(name+"/count", func(b *testing.B) {
			for b.Loop() {
				counts, err := ledger.Count(context.Background(), "spring")
				require.NoError(b, err)
				assert.EqualValues(b, rows, counts.Issued)
			}
		})
		b.Run(name+"/list", func(b *testing.B) {
			for after := int64(0); b.Loop(); {
				_, next, err := ledger.Coupons(context.Background(), "spring", after, 100)
				require.NoError(b, err)
				after = next
			}
		})
		b.Run(name+"/unreleased", func(b *testing.B) {
			for b.Loop() {
				_, err := ledger.UnreleasedCoupons(context.Background(), 500)
				require.NoError(b, err)
			}
		})
	}
}
