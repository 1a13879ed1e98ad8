package kafkaqueue

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// TestClosesThatMeetDoNoHarm closes sources while their Close of a moment ago has run out of time and is still at it.
// sarama panicked then, in a goroutine of its own, and with it went the whole process.
func TestClosesThatMeetDoNoHarm(t *testing.T) {
	t.Parallel()
	cfg := newTopic(t, startKafka(t).Addr())
	cfg.closeTimeout = time.Nanosecond
	for range 10 {
		source, err := OpenSource(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		var closes sync.WaitGroup
		for range 8 {
			closes.Go(func() {
				assert.Contains(t, []domain.Code{"", domain.CodeUnavailable}, domain.CodeOf(source.Close()))
			})
		}
		closes.Wait()
		// What the Closes left behind comes to its end.
		<-source.finished
		_ = source.group.Close()
		source.closeClients()
	}
}

func TestAClientIsClosedOnceForAllWhoCloseIt(t *testing.T) {
	t.Parallel()
	cfg := newTopic(t, startKafka(t).Addr())
	for range 20 {
		made, err := newClient(cfg.Brokers, cfg.base())
		require.NoError(t, err)
		var closes sync.WaitGroup
		for range 8 {
			closes.Go(func() { assert.NoError(t, made.Close()) })
		}
		closes.Wait()
		require.True(t, made.Closed())
	}
}
