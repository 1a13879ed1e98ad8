//go:build realservers

package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheAutomaticRateFollowsARealDatabase lets another transaction hold the campaign's row again and again, as a long
// job on the same tables might.
func TestTheAutomaticRateFollowsARealDatabase(t *testing.T) {
	const patience, look = 45 * time.Second, 20 * time.Millisecond
	s := newStoring(t)
	c := automatic(t, s.ledger, nil)
	stop := c.start()
	rate := func() float64 { return c.State().RowsPerSecond }
	require.Eventually(t, func() bool { return rate() > autoStart }, patience, look, "it speeds up")

	holding, release := context.WithCancel(t.Context())
	held := make(chan struct{})
	go func() {
		defer close(held)
		for holding.Err() == nil {
			tx, err := s.pool.BeginTx(holding, nil)
			if err != nil {
				return
			}
			_, _ = tx.ExecContext(holding, "SELECT epoch FROM campaign WHERE code = ? FOR UPDATE", sale)
			_, _ = tx.ExecContext(holding, "SELECT SLEEP(0.3)")
			_ = tx.Rollback() // the end of holding may have done it
		}
	}()
	before := rate()
	slow := assert.Eventually(t, func() bool { return rate() < before/2 }, patience, look, "it slows down")
	release()
	<-held
	require.True(t, slow)
	lowest := rate() // batches that are still under way may lower it further
	require.Eventually(t, func() bool {
		lowest = min(lowest, rate())
		return rate() > 1.4*lowest
	}, patience, look, "it speeds up again")
	require.NoError(t, stop())
}
