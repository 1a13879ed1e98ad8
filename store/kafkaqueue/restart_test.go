package kafkaqueue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// TestAllPartsRecoverFromAnOutageOfKafka stops the broker in the middle of the work, and starts it again at the same
// address with the same data.
func TestAllPartsRecoverFromAnOutageOfKafka(t *testing.T) {
	t.Parallel()
	folder, address := t.TempDir(), freeAddress(t)
	kafka := startKafkaAt(t, folder, address)
	cfg := newTopic(t, address)
	cfg.PublishTimeout = 200 * time.Millisecond
	publisher, source, tail := openPublisher(t, cfg), openedSource(t, cfg), openTail(t, cfg)
	publishEventually(t, publisher, winners(10)...)
	inHand := pollAll(t, source, 10)
	require.NoError(t, source.Commit(t.Context(), inHand[:4]))

	kafka.Close()
	for user := 11; user < 16; user++ {
		err := publisher.Publish(t.Context(), winner(user))
		require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
	}
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(source.Commit(t.Context(), inHand[4:])))
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(tail.Ping(t.Context())))
	_, err := tail.Positions(t.Context())
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))

	require.Eventually(t, func() bool {
		return domain.CodeOf(source.Ready(t.Context())) == domain.CodeUnavailable
	}, patience, time.Millisecond, "a source that lost its group is not ready")

	startKafkaAt(t, folder, address)
	publishEventually(t, publisher, winners(15)...)
	seen := map[domain.UserID]bool{}
	for _, delivery := range inHand[:4] {
		seen[delivery.Winner.UserID] = true
	}
	for len(seen) < 15 {
		batch, err := source.Poll(limited(t), 100, time.Millisecond)
		require.NoError(t, err)
		for _, delivery := range batch {
			seen[delivery.Winner.UserID] = true
		}
		require.Eventually(t, func() bool { return source.Commit(t.Context(), batch) == nil }, patience, time.Millisecond)
	}
	require.Eventually(t, func() bool { return tail.Ping(t.Context()) == nil }, patience, time.Millisecond)
	require.NoError(t, source.Ready(t.Context()))
}

func TestPartsOpenedBeforeKafkaWorkOnceItIsThere(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cfg := newConfig(address)
	publisher, source, tail := openPublisher(t, cfg), openedSource(t, cfg), openTail(t, cfg)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(tail.Ping(t.Context())))
	startKafkaAt(t, "", address)
	publishEventually(t, publisher, winners(3)...)
	assert.Len(t, pollAll(t, source, 3), 3)
	require.Eventually(t, func() bool { return tail.Ping(t.Context()) == nil }, patience, time.Millisecond)
}
