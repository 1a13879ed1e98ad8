package kafkaqueue

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestTheGroupGoesOnFromTheCommittedOffsetIfItFitsTheLog(t *testing.T) {
	t.Parallel()
	one, other := topicID{1}, topicID{2}
	log := logState{topic: one, oldest: 5, stable: 8, end: 9, last: "x@1", known: true}
	unseen := log
	unseen.last, unseen.known = "", false
	for name, c := range map[string]struct {
		offset    int64
		mark      mark
		log       logState
		committed int64
		expired   int64
		restarts  int64
	}{
		"nothing committed":               {notCommitted, mark{}, log, 5, 0, 0},
		"on the topic":                    {7, mark{topic: one, last: "x@1"}, log, 7, 0, 0},
		"of an older program":             {7, mark{}, log, 7, 0, 0},
		"of a broker without topic IDs":   {7, mark{last: "x@1"}, log, 7, 0, 0},
		"all committed":                   {9, mark{topic: one, last: "x@1"}, log, 9, 0, 0},
		"begun anew, nothing read yet":    {5, mark{topic: one, restarts: 3}, log, 5, 0, 3},
		"the record was deleted just now": {7, mark{topic: one, last: "y@1"}, unseen, 7, 0, 0},
		"deleted by retention":            {3, mark{topic: one, restarts: 1, last: "x@1"}, log, 5, 2, 2},
		"the log is shorter":              {10, mark{}, log, 5, -1, 1},
		"of a topic that was deleted":     {7, mark{topic: other, last: "x@1"}, log, 5, -1, 1},
		"another record stands there":     {7, mark{topic: one, restarts: 4, last: "y@1"}, log, 5, -1, 5},
		"the same record, another time":   {7, mark{topic: one, last: "x@2"}, log, 5, -1, 1},
	} {
		got := positionOf(0, commitPoint{c.offset, c.mark}, c.log)
		assert.Equal(t, c.committed, got.Committed, name)
		assert.Equal(t, c.expired, got.Expired, name)
		assert.Equal(t, c.restarts, got.Restarts, name)
		assert.Equal(t, c.restarts > c.mark.restarts, got.Broken != "", name)
		assert.Equal(t, got.End-got.Committed, got.Lag(), name)
	}
}

func TestAMarkIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, given := range []mark{
		{}, {topic: topicID{1, 255}, restarts: 7, last: fingerprintOf(domain.RecordDigest{9}, 1234)},
	} {
		assert.Equal(t, given, parseMark(given.String()))
		assert.Less(t, len(given.String()), 128, "brokers take 4096 bytes, and keep it for each partition")
	}
	for _, foreign := range []string{"", "consumer-1", "firstcome1 zz 1 x", "firstcome1 00 1 x", "firstcome2 " + mark{}.String()} {
		assert.Equal(t, mark{}, parseMark(foreign), foreign)
	}
}

// remakeTopic deletes the topic and makes it anew, as an operator might.
func remakeTopic(t *testing.T, cfg Config) {
	t.Helper()
	deleteTopic(t, cfg)
	require.Eventually(t, func() bool { return EnsureTopic(t.Context(), cfg) == nil }, patience, patience/100)
}

// testTopicMadeAnew has the new topic grow past the offsets that were committed of the old one, whose records nobody
// would read if offsets alone were compared.
func testTopicMadeAnew(t *testing.T, whileReading bool, brokers ...string) {
	t.Helper()
	cfg := newConfig(brokers...)
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publishEventually(t, openPublisher(t, cfg), winners(10)...)
	source := openSource(t, cfg)
	require.NoError(t, source.Commit(limited(t), pollAll(t, source, 10)))
	if !whileReading {
		require.NoError(t, source.Close())
	}
	remakeTopic(t, cfg)
	publishEventually(t, openPublisher(t, cfg), winners(30)...)
	if !whileReading {
		assert.Len(t, tailUsers(t, cfg), 30, "a rebuild sees them all")
		source = openSource(t, cfg)
	}
	t.Cleanup(func() { require.NoError(t, source.Close()) })
	seen := map[domain.UserID]bool{}
	for len(seen) < 30 {
		batch, err := source.Poll(limited(t), 100, 0)
		require.NoError(t, err, "%d of 30 winners came", len(seen))
		for _, delivery := range batch {
			seen[delivery.Winner.UserID] = true
		}
		require.NoError(t, source.Commit(limited(t), batch))
	}
}

func TestATopicThatWasMadeAnewIsReadFromItsOldestRecord(t *testing.T) {
	t.Parallel()
	t.Run("before the consumer starts", func(t *testing.T) {
		t.Parallel()
		testTopicMadeAnew(t, false, startKafka(t).Addr())
	})
	t.Run("while it reads", func(t *testing.T) {
		t.Parallel()
		testTopicMadeAnew(t, true, startKafka(t).Addr())
	})
}

// TestALogThatWasTruncatedAndHasGrownAgainIsReadFromItsOldestRecord commits what another log would have led to.
func TestALogThatWasTruncatedAndHasGrownAgainIsReadFromItsOldestRecord(t *testing.T) {
	t.Parallel()
	cfg := newConfig(startKafka(t).Addr())
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publishEventually(t, openPublisher(t, cfg), winners(10)...)
	tail := openTail(t, cfg)
	topic, err := tail.offsets.topic(t.Context())
	require.NoError(t, err)
	point := commitPoint{6, mark{topic: topic, last: fingerprintOf(domain.RecordDigest{1}, 1)}}
	require.NoError(t, tail.offsets.commit(t.Context(), "", -1, map[int32]commitPoint{0: point}))
	assert.Len(t, tailUsers(t, cfg), 10)
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 10)
	require.NoError(t, source.Commit(t.Context(), batch))
	positions, err := tail.Positions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, PartitionPosition{Topic: topic.String(), Committed: 10, Stable: 10, End: 10, Restarts: 1}, positions[0], "who looks later sees that it was begun anew")
	assert.InDelta(t, 1, testutil.ToFloat64(source.metrics.rebalances), 0)

	source.mu.Lock()
	source.current.checked, source.current.checkedNext = map[int32]fingerprint{0: "another"}, map[int32]int64{0: 5}
	source.mu.Unlock()
	require.NoError(t, source.watchOnce(t.Context()), "the log has changed while it is read")
	assert.Len(t, pollAll(t, source, 10), 10)
}
