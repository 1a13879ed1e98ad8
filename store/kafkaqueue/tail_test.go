package kafkaqueue

import (
	"context"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstcome/domain"
)

// endTransaction writes values in a transaction, which leaves a marker behind them on the partition.
func endTransaction(t *testing.T, cfg Config, commit bool, values ...string) {
	t.Helper()
	producer := beginTransaction(t, cfg, values...)
	defer producer.Close()
	if commit {
		require.NoError(t, producer.CommitTxn())
	} else {
		require.NoError(t, producer.AbortTxn())
	}
}

func beginTransaction(t *testing.T, cfg Config, values ...string) sarama.SyncProducer {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Producer.Return.Successes = true
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Producer.Idempotent = true
	conf.Net.MaxOpenRequests = 1
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.Transaction.ID = "transaction_" + cfg.Topic
	producer, err := sarama.NewSyncProducer(cfg.Brokers, conf)
	require.NoError(t, err)
	require.NoError(t, producer.BeginTxn())
	for _, value := range values {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: cfg.Topic, Value: sarama.StringEncoder(value)})
		require.NoError(t, err)
	}
	return producer
}

// testTransactionMarkers has offsets without a record in the middle and at the end: a reader that waits for the last
// offset's record would wait without end.
func testTransactionMarkers(t *testing.T, brokers ...string) {
	t.Helper()
	cfg := newConfig(brokers...)
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	put(t, cfg, []byte("1"), nil)
	endTransaction(t, cfg, true, "2", "3")
	put(t, cfg, []byte("4"), nil)
	endTransaction(t, cfg, true, "5")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var users []domain.UserID
	tail := openTail(t, cfg)
	_, err := tail.ReadTail(ctx, nil, func(delivery domain.Delivery) error {
		users = append(users, delivery.Winner.UserID)
		return delivery.Problem
	})
	require.NoError(t, err)
	assert.Equal(t, []domain.UserID{1, 2, 3, 4, 5}, users)
	positions, err := tail.Positions(ctx)
	require.NoError(t, err)
	assert.Equal(t, int64(7), positions[0].End, "five records and two markers")

	requireStored := func(part domain.StoredPart, whole bool, wanted ...domain.UserID) domain.TailEnds {
		t.Helper()
		var users []domain.UserID
		read, err := tail.ReadStored(ctx, part, func(delivery domain.Delivery) error {
			users = append(users, delivery.Winner.UserID)
			return delivery.Problem
		})
		require.NoError(t, err)
		assert.Equal(t, whole, read.Whole)
		assert.Equal(t, wanted, users)
		return read.Ends
	}
	source := openedSource(t, cfg)
	batch := pollAll(t, source, 5)
	before := requireStored(domain.StoredPart{Newest: 100}, true)
	require.NoError(t, source.Commit(t.Context(), batch[:2]))
	first := requireStored(domain.StoredPart{Newest: 100, After: before}, true, 1, 2)
	require.NoError(t, source.Commit(t.Context(), batch[2:]))
	requireStored(domain.StoredPart{Newest: 100, After: first}, true, 3, 4, 5)
	requireStored(domain.StoredPart{Newest: 100}, true, 1, 2, 3, 4, 5)
	requireStored(domain.StoredPart{Newest: 3}, false, 4, 5) // the last marker may be committed or not
	first[0] = domain.TailEnd{Offset: first[0].Offset, Log: "of a topic that was deleted"}
	requireStored(domain.StoredPart{Newest: 100, After: first}, true, 1, 2, 3, 4, 5)
	_, err = tail.ReadStored(ctx, domain.StoredPart{Newest: 100}, func(domain.Delivery) error { return context.Canceled })
	require.ErrorIs(t, err, context.Canceled, "what the visitor says is said")
	_, err = tail.ReadTail(ctx, nil, func(domain.Delivery) error { t.Error("all is committed"); return nil })
	require.NoError(t, err)
}

// testUndecidedTransactions has records of transactions that were given up, and one that is open for as long as the
// test lasts, before a winner of ours.
func testUndecidedTransactions(t *testing.T, brokers ...string) {
	t.Helper()
	cfg := newConfig(brokers...)
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	endTransaction(t, cfg, false, "101", "102")
	endTransaction(t, cfg, true, "1")
	endTransaction(t, cfg, false, "103")
	put(t, cfg, []byte("2"), nil)
	open := beginTransaction(t, cfg, "104")
	t.Cleanup(func() { _ = open.Close() })
	publishEventually(t, openPublisher(t, cfg), winner(3))
	assert.Equal(t, []domain.UserID{1, 2, 3}, tailUsers(t, cfg), "a winner behind an open transaction is a winner")

	source := openedSource(t, cfg)
	read := pollAll(t, source, 2)
	assert.Equal(t, []domain.UserID{1, 2}, []domain.UserID{read[0].Winner.UserID, read[1].Winner.UserID})
	require.NoError(t, source.Commit(t.Context(), read))
	assert.Equal(t, []domain.UserID{3}, tailUsers(t, cfg))
	require.NoError(t, open.AbortTxn())
	read = pollAll(t, source, 1)
	assert.Equal(t, domain.UserID(3), read[0].Winner.UserID)
	require.NoError(t, source.Commit(t.Context(), read))
	assert.Empty(t, tailUsers(t, cfg))
}

func TestRecordsOfTransactionsThatWereNotCommittedAreNobodysCoupons(t *testing.T) {
	t.Parallel()
	testUndecidedTransactions(t, startKafka(t).Addr())
}

func TestTransactionMarkersDoNotHoldUpTheTail(t *testing.T) {
	t.Parallel()
	testTransactionMarkers(t, startKafka(t).Addr())
}

func TestCompactedOffsetsDoNotHoldUpTheTail(t *testing.T) {
	t.Parallel()
	reader := &rangeReader{tail: &Tail{}, next: 3, end: 9}
	var offsets []int64
	visit := func(delivery domain.Delivery) error {
		offsets = append(offsets, delivery.Position.Offset)
		return nil
	}
	record := func(delta int64) *sarama.Record { return &sarama.Record{OffsetDelta: delta, Value: []byte("1")} }
	// Offsets 0 to 10, of which compaction left three; one is committed, one was written after the end was noted.
	batch := &sarama.RecordBatch{LastOffsetDelta: 10, Records: []*sarama.Record{record(2), record(5), record(9)}}
	require.NoError(t, reader.visitBatch(batch, true, visit))
	assert.Equal(t, []int64{5}, offsets)
	assert.Equal(t, int64(11), reader.next, "nothing of the batch is left to wait for")
}

func TestTheTailOutlastsPassingErrors(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publishEventually(t, openPublisher(t, cfg), winners(20)...)
	fetching := kfake.Fault{Topic: cfg.Topic, Err: kerr.NotLeaderForPartition, Count: 3}
	fetching.Keys = append(fetching.Keys, 1)
	coordinating := kfake.Fault{Group: cfg.Group, Err: kerr.NotCoordinator}
	coordinating.Keys = append(coordinating.Keys, 9)
	failing := kafka.Fault(fetching, coordinating)
	assert.Len(t, tailUsers(t, cfg), 20)
	assert.Equal(t, 4, failing.Hits())
}

func TestTheTailSaysThatKafkaIsAway(t *testing.T) {
	t.Parallel()
	tail := openTail(t, newConfig(freeAddress(t)))
	_, err := tail.ReadTail(t.Context(), nil, func(domain.Delivery) error { return nil })
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))

	kafka := startFaultyKafka(t)
	hung := openTail(t, newTopic(t, kafka.addr))
	require.NoError(t, hung.Ping(t.Context()))
	kafka.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, hung.Ping(ctx), context.DeadlineExceeded)
	_, err = hung.ReadTail(ctx, nil, func(domain.Delivery) error { return nil })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	kafka.thaw()
}

func TestRetentionMayOvertakeTheTail(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newConfig(kafka.addr)
	cfg.Partitions = 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publishEventually(t, openPublisher(t, cfg), winners(10)...)
	reader := &rangeReader{tail: openTail(t, cfg), next: 0, stable: 10, end: 10}
	require.NoError(t, kafka.DeleteRecords(cfg.Topic, 0, 7))
	visited := 0
	require.NoError(t, reader.read(t.Context(), func(domain.Delivery) error { visited++; return nil }))
	assert.Equal(t, 3, visited)
}
