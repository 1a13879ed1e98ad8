package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// Queue is one topic with two or more partitions and a consumer group of its own, for one test.
type Queue struct {
	Publisher func(t *testing.T) domain.Publisher
	// Source joins the group as one more member. The test closes it, and may do so twice.
	Source func(t *testing.T) QueueSource
	Tail   func(t *testing.T) domain.TailReader
	// Put appends a record to partition 0 as another program might.
	Put func(t *testing.T, value []byte, headers map[string]string)
}

// QueueSource is a source that can leave its group.
type QueueSource interface {
	domain.Source
	Close() error
}

// queuePatience is how long a test waits for what must come.
const queuePatience = 40 * time.Second

// RunQueue runs the conformance suite of domain.Publisher, domain.Source and domain.TailReader. newQueue must give
// each test an empty queue of its own: the tests run side by side.
func RunQueue(t *testing.T, newQueue func(t *testing.T) Queue) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Queue){
		"EveryFieldSurvivesTheTopic":                testQueueRoundTrip,
		"PollKeepsTheOrderOfEachPartition":          testQueueOrder,
		"PollKeepsItsLimit":                         testQueueLimit,
		"PollGivesUncommittedRecordsAgain":          testQueuePollAgain,
		"PollGivesAgainWhatItTookWhenItsContextEnd": testQueuePollContext,
		"UncommittedRecordsSurviveAReopening":       testQueueReopenUncommitted,
		"CommittedRecordsDoNotComeBack":             testQueueReopenCommitted,
		"CommitPassesNoOlderRecord":                 testQueueCommitGap,
		"CommitOfForeignRecordsIsHarmless":          testQueueCommitForeign,
		"WhatIsPutBackIsGivenAgain":                 testQueuePutBack,
		"TwoSourcesShareThePartitions":              testQueueShare,
		"NothingIsLostWhenPartitionsMove":           testQueueRebalance,
		"UnreadableRecordsAreDelivered":             testQueuePoison,
		"RecordsFromOutsideAreMarked":               testQueueExternal,
		"AMegabyteIsDelivered":                      testQueueLargeValue,
		"TheTailIsWhatIsNotCommitted":               testQueueTail,
		"TheTailGoesOnWhereItStopped":               testQueueTailGoesOn,
		"TheTailEndsWithTheVisitorsError":           testQueueTailError,
		"PublishAnswersWhenItsContextEnds":          testQueuePublishContext,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newQueue(t))
		})
	}
}

func queueContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), queuePatience)
	t.Cleanup(cancel)
	return ctx
}

// queueWinners gives n winners whose slots and times follow the order of their user IDs.
func queueWinners(n int) []domain.Winner {
	start := time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)
	winners := make([]domain.Winner, n)
	for i := range winners {
		winners[i] = domain.Winner{
			Campaign: "spring", UserID: domain.UserID(1000 + i), Slot: domain.Slot(i + 1),
			AdmittedAt: start.Add(time.Duration(i) * time.Microsecond), Epoch: 7,
		}
	}
	return winners
}

func publishQueue(t *testing.T, queue Queue, winners []domain.Winner) {
	t.Helper()
	require.NoError(t, publishUntilDone(queueContext(t), queue.Publisher(t), winners))
}

// publishUntilDone sends again what had no answer, as the relay does.
func publishUntilDone(ctx context.Context, publisher domain.Publisher, winners []domain.Winner) error {
	for {
		err := publisher.PublishAll(ctx, winners)
		if err == nil || ctx.Err() != nil || domain.CodeOf(err) != domain.CodeOutcomeUnknown {
			return err
		}
	}
}

// drain polls until n different records have come, and gives them in the order in which they came first. Each batch
// is committed if commit says so.
func drain(t *testing.T, source domain.Source, n int, commit bool) []domain.Delivery {
	t.Helper()
	ctx := queueContext(t)
	var deliveries []domain.Delivery
	seen := map[domain.RecordPosition]bool{}
	for len(seen) < n {
		batch, err := source.Poll(ctx, n, 10*time.Millisecond)
		require.NoError(t, err, "%d of %d records came", len(seen), n)
		for _, delivery := range batch {
			if !seen[delivery.Position] {
				seen[delivery.Position] = true
				deliveries = append(deliveries, delivery)
			}
		}
		if commit {
			commitQueue(t, source, batch)
		}
	}
	return deliveries
}

// commitQueue commits again while the brokers can't be reached.
func commitQueue(t *testing.T, source domain.Source, deliveries []domain.Delivery) {
	t.Helper()
	ctx := queueContext(t)
	err := source.Commit(ctx, deliveries)
	for domain.CodeOf(err) == domain.CodeUnavailable && ctx.Err() == nil {
		err = source.Commit(ctx, deliveries)
	}
	require.NoError(t, err)
}

func winnersOf(deliveries []domain.Delivery) []domain.Winner {
	winners := make([]domain.Winner, len(deliveries))
	for i, delivery := range deliveries {
		winners[i] = delivery.Winner
	}
	return winners
}

// openQueueSource is closed when the test ends.
func openQueueSource(t *testing.T, queue Queue) QueueSource {
	t.Helper()
	source := queue.Source(t)
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func closeSource(t *testing.T, source QueueSource) {
	t.Helper()
	require.NoError(t, source.Close())
}

func testQueueRoundTrip(t *testing.T, queue Queue) {
	winner := domain.Winner{
		Campaign: "spring-2030", UserID: 9_223_372_036_854_775_807, Slot: 10_000_000, Epoch: 9_000_000_000,
		AdmittedAt: time.Date(2030, 5, 1, 23, 59, 59, 123_456_000, time.UTC),
	}
	require.NoError(t, publishUntilDone(queueContext(t), onePublisher{queue.Publisher(t)}, []domain.Winner{winner}))
	source := openQueueSource(t, queue)
	delivery := drain(t, source, 1, true)[0]
	require.NoError(t, delivery.Problem)
	assert.Equal(t, winner, delivery.Winner)
	assert.False(t, delivery.External)
	assert.Equal(t, "9223372036854775807", string(delivery.Raw), "what any other consumer of the topic expects")
	assert.NotEmpty(t, delivery.Position.Topic)
}

// onePublisher sends by Publish what publishUntilDone gives to PublishAll.
type onePublisher struct{ domain.Publisher }

// PublishAll publishes the one winner that it is given.
func (p onePublisher) PublishAll(ctx context.Context, winners []domain.Winner) error {
	return p.Publish(ctx, winners[0])
}

func testQueueOrder(t *testing.T, queue Queue) {
	const records = 300
	publisher := queue.Publisher(t)
	for _, winner := range queueWinners(records) {
		require.NoError(t, publishUntilDone(queueContext(t), publisher, []domain.Winner{winner}))
	}
	source := openQueueSource(t, queue)
	last := map[int32]domain.Delivery{}
	for _, delivery := range drain(t, source, records, true) {
		before, known := last[delivery.Position.Partition]
		if known {
			assert.Greater(t, delivery.Position.Offset, before.Position.Offset)
			assert.Greater(t, delivery.Winner.Slot, before.Winner.Slot)
		}
		last[delivery.Position.Partition] = delivery
	}
	assert.Greater(t, len(last), 1, "users are spread over the partitions")
}
