package kafkaqueue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstcome/domain"
)

// openedSource is closed when the test ends, perhaps after its Kafka.
func openedSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	source := openSource(t, cfg)
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// pollAll polls until n records have come at once or in turn; none is committed.
func pollAll(t *testing.T, source *Source, n int) []domain.Delivery {
	t.Helper()
	for {
		batch, err := source.Poll(limited(t), n, 100*time.Millisecond)
		require.NoError(t, err)
		if len(batch) == n {
			return batch
		}
	}
}

func committedTotal(t *testing.T, cfg Config) (total int64) {
	t.Helper()
	positions, err := openTail(t, cfg).Positions(t.Context())
	require.NoError(t, err)
	for _, position := range positions {
		total += position.Committed
	}
	return total
}

// sarama's own commit only logs an error; a consumer that believed it would count records as done that come again.
func TestAFailedCommitIsReportedAndNothingIsForgotten(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publishEventually(t, openPublisher(t, cfg), winners(5)...)
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 5)

	failing := kafka.Fault(ofCommit(kfake.Fault{Group: cfg.Group, Err: kerr.CoordinatorLoadInProgress, Count: -1}))
	err := source.Commit(t.Context(), batch)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	require.Positive(t, failing.Hits())
	failing.Remove()
	assert.Zero(t, committedTotal(t, cfg))
	assert.ElementsMatch(t, batch, pollAll(t, source, 5), "they are given again")
	require.NoError(t, source.Commit(t.Context(), batch))
	assert.Equal(t, int64(5), committedTotal(t, cfg))
	assert.InDelta(t, 1, testutil.ToFloat64(source.metrics.commits.WithLabelValues("failed")), 0)
}

func TestACommitThatComesTooLateIsPassedOver(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publishEventually(t, openPublisher(t, cfg), winners(5)...)
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 5)
	kafka.Fault(ofCommit(kfake.Fault{Group: cfg.Group, Err: kerr.IllegalGeneration}))
	require.NoError(t, source.Commit(t.Context(), batch), "the new owner gets them again")
	assert.Zero(t, committedTotal(t, cfg))
	assert.InDelta(t, 5, testutil.ToFloat64(source.metrics.passedOver), 0)
	require.NoError(t, source.Commit(t.Context(), batch))
	assert.InDelta(t, 10, testutil.ToFloat64(source.metrics.passedOver), 0)
}

func TestACommitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publishEventually(t, openPublisher(t, cfg), winners(1)...)
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 1)
	kafka.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(source.Commit(ctx, batch)))
	kafka.thaw()
	require.Eventually(t, func() bool { return source.Commit(t.Context(), batch) == nil }, patience, time.Millisecond)
	assert.Equal(t, int64(1), committedTotal(t, cfg))
}

func TestRecordsThatRetentionDeletedAreReported(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newConfig(kafka.addr)
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winners(10)...)
	source := openSource(t, cfg)
	require.NoError(t, source.Commit(t.Context(), pollAll(t, source, 10)[:2]))
	require.NoError(t, source.Close())

	require.NoError(t, kafka.DeleteRecords(cfg.Topic, 0, 6))
	positions, err := openTail(t, cfg).Positions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, PartitionPosition{
		Topic: positions[0].Topic, Oldest: 6, Committed: 6, Stable: 10, End: 10, Expired: 4, Restarts: 1, Broken: "retention deleted records that were not read",
	}, positions[0])
	assert.Len(t, tailUsers(t, cfg), 4)

	reopened := openedSource(t, cfg)
	assert.Equal(t, int64(6), pollAll(t, reopened, 4)[0].Position.Offset, "it goes on with the oldest record")
	assert.InDelta(t, 4, testutil.ToFloat64(reopened.metrics.expired), 0)
}

func TestLagIsMeasured(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newConfig(kafka.addr)
	cfg.Partitions, cfg.LagInterval = 1, 10*time.Millisecond
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publishEventually(t, openPublisher(t, cfg), winners(7)...)
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 7)
	require.NoError(t, source.Commit(t.Context(), batch[:3]))
	require.Eventually(t, func() bool {
		return testutil.CollectAndCompare(source.metrics.lag, strings.NewReader(`
# HELP firstcome_kafka_consumer_lag Records on a partition of this process's that are not committed yet.
# TYPE firstcome_kafka_consumer_lag gauge
firstcome_kafka_consumer_lag{partition="0"} 4
`)) == nil
	}, patience, 10*time.Millisecond)
	assert.InDelta(t, 1, testutil.ToFloat64(source.metrics.owned), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(source.metrics.rebalances), 0)
}

func TestReadinessFollowsTheGroup(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cfg := newConfig(address)
	source := openedSource(t, cfg)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(source.Ready(t.Context())))
	owned, total := source.Share()
	assert.Zero(t, owned)
	assert.Equal(t, int(cfg.Partitions), total)

	startKafkaAt(t, "", address)
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	require.Eventually(t, func() bool { return source.Ready(t.Context()) == nil }, patience, time.Millisecond)
}

func TestAClosedSourceAnswers(t *testing.T) {
	t.Parallel()
	source := openSource(t, newTopic(t, startKafka(t).Addr()))
	require.NoError(t, source.Close())
	_, err := source.Poll(t.Context(), 1, 0)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
}

// TestClosingIsBoundedWhenNobodyAnswers has connections that stay open and silent, in the middle of a session and
// while the group is being joined.
func TestClosingIsBoundedWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	cfg.closeTimeout = 500 * time.Millisecond
	publisher, source := openPublisher(t, cfg), openSource(t, cfg)
	publishEventually(t, publisher, winner(1))
	require.NoError(t, source.Commit(t.Context(), pollAll(t, source, 1)))
	kafka.freeze()
	closed := make(chan error, 2)
	go func() { closed <- source.Close() }()
	go func() { closed <- openSource(t, cfg).Close() }()
	for range 2 {
		select {
		case err := <-closed:
			assert.Contains(t, []domain.Code{"", domain.CodeUnavailable}, domain.CodeOf(err))
		case <-time.After(patience):
			t.Fatal("Close hangs")
		}
	}
	kafka.thaw()
}
