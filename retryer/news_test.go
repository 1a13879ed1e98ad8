package retryer

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// news is a gate that has some.
type news chan struct{}

func (n news) News() <-chan struct{} { return n }

// ownSweep is when the retryers of these tests sweep without news.
const ownSweep = time.Hour

// runOnNews runs a retryer until the test ends.
func runOnNews(t *testing.T, w *world) news {
	t.Helper()
	told := make(news, 1)
	ports := w.ports()
	ports.News = told
	r, err := New(Config{SweepEvery: ownSweep}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return told
}

func TestALostGateIsRebuiltAsSoonAsThereIsNewsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		told := runOnNews(t, w)
		w.see(func() { w.gates[sale].open = false })
		told <- struct{}{}
		time.Sleep(epochSpread + newsPause)
		w.see(func() { assert.True(t, w.gates[sale].open) })
	})
}

func TestNewsDuringASweepIsSweptForAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		var inspected atomic.Int64
		w.before = func(call, _ string) error {
			if call == "inspect" && inspected.Add(1) == 2 {
				time.Sleep(300 * time.Millisecond)
				return errors.New("the server is gone")
			}
			return nil
		}
		told := runOnNews(t, w)
		time.Sleep(ownSweep + 100*time.Millisecond)
		w.see(func() { w.gates[sale].open = false })
		told <- struct{}{}
		time.Sleep(300*time.Millisecond + epochSpread + newsPause)
		w.see(func() { assert.True(t, w.gates[sale].open) })
	})
}

func TestNewsThatNeverEndsStartsTenSweepsASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := opened(t, sale)
		told := runOnNews(t, w)
		ended := time.After(10 * time.Second)
		for over := false; !over; {
			select {
			case told <- struct{}{}:
			case <-ended:
				over = true
			}
		}
		w.see(func() { assert.InDelta(t, 105, w.calls["inspect"], 10) })
	})
}
