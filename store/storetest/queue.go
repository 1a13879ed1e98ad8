package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// Queue is one topic with two or more partitions and a consumer group of its own, for one test.
type Queue struct {
	Publisher func(t *testing.T) domain.Publisher
	// Source joins the group as one more member. The test closes it; closing it twice is never done.
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
		"TwoSourcesShareThePartitions":              testQueueShare,
		"NothingIsLostWhenPartitionsMove":           testQueueRebalance,
		"UnreadableRecordsAreDelivered":             testQueuePoison,
		"RecordsFromOutsideAreMarked":               testQueueExternal,
		"AMegabyteIsDelivered":                      testQueueLargeValue,
		"TheTailIsWhatIsNotCommitted":               testQueueTail,
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
	source := queue.Source(t)
	defer source.Close()
	delivery := drain(t, source, 1, true)[0]
	require.NoError(t, delivery.Problem)
	assert.Equal(t, winner, delivery.Winner)
	assert.False(t, delivery.External)
	assert.Equal(t, "9223372036854775807", string(delivery.Raw), "what any other consumer of the topic expects")
	assert.NotEmpty(t, delivery.Position.Topic)
}

// onePublisher sends by Publish what publishUntilDone gives to PublishAll.
type onePublisher struct{ domain.Publisher }

func (p onePublisher) PublishAll(ctx context.Context, winners []domain.Winner) error {
	return p.Publish(ctx, winners[0])
}

func testQueueOrder(t *testing.T, queue Queue) {
	const records = 300
	publisher := queue.Publisher(t)
	for _, winner := range queueWinners(records) {
		require.NoError(t, publishUntilDone(queueContext(t), publisher, []domain.Winner{winner}))
	}
	source := queue.Source(t)
	defer source.Close()
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

func testQueueLimit(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(25))
	source := queue.Source(t)
	defer source.Close()
	seen := map[domain.RecordPosition]bool{}
	for len(seen) < 25 {
		batch, err := source.Poll(queueContext(t), 4, time.Second)
		require.NoError(t, err)
		require.LessOrEqual(t, len(batch), 4)
		for _, delivery := range batch {
			require.False(t, seen[delivery.Position], "a committed record came again")
			seen[delivery.Position] = true
		}
		commitQueue(t, source, batch)
	}
}

func testQueuePollAgain(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(10))
	source := queue.Source(t)
	defer source.Close()
	first, err := source.Poll(queueContext(t), 4, time.Second)
	require.NoError(t, err)
	again, err := source.Poll(queueContext(t), len(first), 0)
	require.NoError(t, err)
	assert.Equal(t, first, again, "a batch that could not be stored must not be passed over")
	commitQueue(t, source, again)
	drain(t, source, 10-len(first), true)
}

func testQueuePollContext(t *testing.T, queue Queue) {
	source := queue.Source(t)
	defer source.Close()
	waiting, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := source.Poll(waiting, 10, time.Millisecond)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	// The linger outlasts the context, so whatever this Poll takes it must give back.
	publishQueue(t, queue, queueWinners(5))
	lingering, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = source.Poll(lingering, 1000, time.Hour)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ElementsMatch(t, queueWinners(5), winnersOf(drain(t, source, 5, true)))
}

func testQueueReopenUncommitted(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(20))
	source := queue.Source(t)
	drain(t, source, 20, false)
	closeSource(t, source)

	reopened := queue.Source(t)
	defer reopened.Close()
	assert.ElementsMatch(t, queueWinners(20), winnersOf(drain(t, reopened, 20, true)))
}

func testQueueReopenCommitted(t *testing.T, queue Queue) {
	winners := queueWinners(40)
	publishQueue(t, queue, winners[:20])
	source := queue.Source(t)
	drain(t, source, 20, true)
	closeSource(t, source)

	publishQueue(t, queue, winners[20:])
	reopened := queue.Source(t)
	defer reopened.Close()
	assert.ElementsMatch(t, winners[20:], winnersOf(drain(t, reopened, 20, true)), "only what was not committed")
}

func testQueueCommitGap(t *testing.T, queue Queue) {
	for user := 1; user <= 6; user++ {
		queue.Put(t, []byte(fmt.Sprint(user)), nil)
	}
	source := queue.Source(t)
	deliveries := drain(t, source, 6, false)
	commitQueue(t, source, deliveries[2:])
	commitQueue(t, source, deliveries[:1])
	closeSource(t, source)

	reopened := queue.Source(t)
	defer reopened.Close()
	first, err := reopened.Poll(queueContext(t), 1, 0)
	require.NoError(t, err)
	assert.Equal(t, deliveries[1], first[0], "the record that nobody committed comes again")
}

func testQueueCommitForeign(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(3))
	source := queue.Source(t)
	defer source.Close()
	deliveries := drain(t, source, 3, false)
	foreign := deliveries[0]
	foreign.Position.Offset += 1000
	commitQueue(t, source, []domain.Delivery{foreign})
	again, err := source.Poll(queueContext(t), 3, time.Second)
	require.NoError(t, err)
	assert.ElementsMatch(t, deliveries, again, "a record that was never given commits nothing")
}

func testQueueShare(t *testing.T, queue Queue) {
	one := queue.Source(t)
	defer one.Close()
	var total int
	require.Eventually(t, func() bool {
		var owned int
		owned, total = one.Share()
		return owned == total
	}, queuePatience, 10*time.Millisecond, "a lone source owns all partitions")
	require.Greater(t, total, 1)

	two := queue.Source(t)
	require.Eventually(t, func() bool {
		ownedByOne, _ := one.Share()
		ownedByTwo, _ := two.Share()
		return ownedByOne > 0 && ownedByTwo > 0 && ownedByOne+ownedByTwo == total
	}, queuePatience, 10*time.Millisecond, "two sources own every partition once")
	closeSource(t, two)
	require.Eventually(t, func() bool {
		owned, _ := one.Share()
		return owned == total
	}, queuePatience, 10*time.Millisecond, "a source that leaves gives its partitions back at once")
}

// testQueueRebalance lets a second source join and leave while the first one has a batch in its hands.
func testQueueRebalance(t *testing.T, queue Queue) {
	const records = 200
	publishQueue(t, queue, queueWinners(records))
	stored := map[domain.UserID]bool{}
	store := func(source domain.Source, batch []domain.Delivery) {
		for _, delivery := range batch {
			stored[delivery.Winner.UserID] = true
		}
		commitQueue(t, source, batch)
	}
	poll := func(source domain.Source) []domain.Delivery {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		batch, err := source.Poll(ctx, 10, time.Millisecond)
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		return batch
	}
	one := queue.Source(t)
	defer one.Close()
	inHand := poll(one)
	two := queue.Source(t)
	require.Eventually(t, func() bool { owned, _ := two.Share(); return owned > 0 }, queuePatience, 10*time.Millisecond)
	store(one, inHand)
	store(two, poll(two))
	abandoned := poll(two)
	closeSource(t, two)
	assert.LessOrEqual(t, len(abandoned), 10)
	deadline := queueContext(t)
	for len(stored) < records && deadline.Err() == nil {
		store(one, poll(one))
	}
	assert.Len(t, stored, records, "every record comes to one of the sources")
}

var ourHeaders = map[string]string{"campaign": "spring", "slot": "3", "admitted_at": "2030-05-01T12:00:00.000001Z", "epoch": "1"}

func with(headers map[string]string, name, value string) map[string]string {
	changed := map[string]string{name: value}
	for other, kept := range headers {
		if other != name {
			changed[other] = kept
		}
	}
	return changed
}

func without(headers map[string]string, name string) map[string]string {
	changed := with(headers, name, "")
	delete(changed, name)
	return changed
}

func testQueuePoison(t *testing.T, queue Queue) {
	type record struct {
		value   string
		headers map[string]string
	}
	poison := []record{
		{"", nil}, {"abc", nil}, {"0", nil}, {"-1", nil}, {" 7", nil}, {"7\n\n", nil}, {"\xff\xfe", nil},
		{strings.Repeat("9", 5000), nil}, {"9223372036854775808", nil}, {`{"user_id":7}`, nil},
		{"7\n", ourHeaders}, {"", ourHeaders}, {"x", ourHeaders},
		{"7", with(ourHeaders, "slot", "0")}, {"7", with(ourHeaders, "slot", "3.5")}, {"7", with(ourHeaders, "slot", "")},
		{"7", with(ourHeaders, "epoch", "-1")}, {"7", with(ourHeaders, "campaign", "No Such")},
		{"7", with(ourHeaders, "admitted_at", "yesterday")}, {"7", with(ourHeaders, "admitted_at", "0001-01-01T00:00:00Z")},
		{"7", without(ourHeaders, "slot")}, {"7", without(ourHeaders, "campaign")}, {"7", map[string]string{"epoch": "1"}},
	}
	for _, record := range poison {
		queue.Put(t, []byte(record.value), record.headers)
	}
	queue.Put(t, []byte("7"), ourHeaders)
	source := queue.Source(t)
	defer source.Close()
	deliveries := drain(t, source, len(poison)+1, true)
	for i, record := range poison {
		var problem *domain.Error
		require.ErrorAs(t, deliveries[i].Problem, &problem, "%q %v", record.value, record.headers)
		assert.NotEmpty(t, problem.Message)
		assert.LessOrEqual(t, len(problem.Message), domain.MaxErrorMessageBytes)
		assert.Equal(t, record.value, string(deliveries[i].Raw), "an operator sees what came")
		assert.Empty(t, deliveries[i].Winner)
		assert.False(t, deliveries[i].External)
	}
	require.NoError(t, deliveries[len(poison)].Problem, "the partition is not stuck")
	assert.Equal(t, domain.UserID(7), deliveries[len(poison)].Winner.UserID)
}

func testQueueExternal(t *testing.T, queue Queue) {
	for _, value := range []string{"42", "42\n", "42\r\n"} {
		queue.Put(t, []byte(value), nil)
	}
	queue.Put(t, []byte("42"), map[string]string{"traceparent": "00-1-2-01"})
	source := queue.Source(t)
	defer source.Close()
	for _, delivery := range drain(t, source, 4, true) {
		require.NoError(t, delivery.Problem)
		assert.True(t, delivery.External)
		assert.Equal(t, domain.Winner{UserID: 42}, delivery.Winner)
	}
}

func testQueueLargeValue(t *testing.T, queue Queue) {
	large := bytes.Repeat([]byte("7"), 1_000_000)
	queue.Put(t, large, nil)
	queue.Put(t, []byte("8"), nil)
	visited := 0
	require.NoError(t, queue.Tail(t).ReadTail(queueContext(t), func(domain.Delivery) error { visited++; return nil }))
	assert.Equal(t, 2, visited)
	source := queue.Source(t)
	defer source.Close()
	deliveries := drain(t, source, 2, true)
	require.Error(t, deliveries[0].Problem)
	assert.True(t, bytes.Equal(large, deliveries[0].Raw), "the value came whole")
	assert.Equal(t, domain.UserID(8), deliveries[1].Winner.UserID)
}

func readTail(t *testing.T, tail domain.TailReader) []domain.Winner {
	t.Helper()
	winners := []domain.Winner{}
	require.NoError(t, tail.ReadTail(queueContext(t), func(delivery domain.Delivery) error {
		winners = append(winners, delivery.Winner)
		return delivery.Problem
	}))
	return winners
}

func testQueueTail(t *testing.T, queue Queue) {
	winners := queueWinners(60)
	tail := queue.Tail(t)
	assert.Empty(t, readTail(t, tail), "of an empty topic")
	publishQueue(t, queue, winners[:40])
	assert.ElementsMatch(t, winners[:40], readTail(t, tail), "of a group that never was")

	source := queue.Source(t)
	batch, err := source.Poll(queueContext(t), 15, time.Second)
	require.NoError(t, err)
	assert.ElementsMatch(t, winners[:40], readTail(t, tail), "what was only polled is not committed")
	commitQueue(t, source, batch)
	rest := readTail(t, tail)
	assert.ElementsMatch(t, winners[:40], append(winnersOf(batch), rest...), "each record is committed or in the tail")

	drain(t, source, 40-len(batch), true)
	closeSource(t, source)
	assert.Empty(t, readTail(t, tail))
	publishQueue(t, queue, winners[40:])
	assert.ElementsMatch(t, winners[40:], readTail(t, tail), "of a group without members")
}

func testQueueTailError(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(5))
	refusal, visits := errors.New("no more"), 0
	err := queue.Tail(t).ReadTail(queueContext(t), func(domain.Delivery) error { visits++; return refusal })
	require.ErrorIs(t, err, refusal)
	assert.Equal(t, 1, visits)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, queue.Tail(t).ReadTail(ended, func(domain.Delivery) error { return nil }), context.Canceled)
}

func testQueuePublishContext(t *testing.T, queue Queue) {
	publisher := queue.Publisher(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := publisher.Publish(ended, queueWinners(1)[0])
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, publisher.PublishAll(ended, nil), "nothing to send is nothing to wait for")
	require.NoError(t, publishUntilDone(queueContext(t), publisher, queueWinners(3)), "an abandoned call harms no other")
}
