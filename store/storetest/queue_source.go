package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func testQueueLimit(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(25))
	source := openQueueSource(t, queue)
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
	source := openQueueSource(t, queue)
	first, err := source.Poll(queueContext(t), 4, time.Second)
	require.NoError(t, err)
	again, err := source.Poll(queueContext(t), len(first), 0)
	require.NoError(t, err)
	assert.Equal(t, first, again, "a batch that could not be stored must not be passed over")
	commitQueue(t, source, again)
	drain(t, source, 10-len(first), true)
}

func testQueuePollContext(t *testing.T, queue Queue) {
	source := openQueueSource(t, queue)
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
	source := openQueueSource(t, queue)
	drain(t, source, 20, false)
	closeSource(t, source)

	reopened := openQueueSource(t, queue)
	assert.ElementsMatch(t, queueWinners(20), winnersOf(drain(t, reopened, 20, true)))
}

func testQueueReopenCommitted(t *testing.T, queue Queue) {
	winners := queueWinners(40)
	publishQueue(t, queue, winners[:20])
	source := openQueueSource(t, queue)
	drain(t, source, 20, true)
	closeSource(t, source)

	publishQueue(t, queue, winners[20:])
	reopened := openQueueSource(t, queue)
	assert.ElementsMatch(t, winners[20:], winnersOf(drain(t, reopened, 20, true)), "only what was not committed")
}

func testQueueCommitGap(t *testing.T, queue Queue) {
	for user := 1; user <= 6; user++ {
		queue.Put(t, []byte(fmt.Sprint(user)), nil)
	}
	source := openQueueSource(t, queue)
	deliveries := drain(t, source, 6, false)
	commitQueue(t, source, deliveries[2:])
	commitQueue(t, source, deliveries[:1])
	closeSource(t, source)

	reopened := openQueueSource(t, queue)
	first, err := reopened.Poll(queueContext(t), 1, 0)
	require.NoError(t, err)
	assert.Equal(t, deliveries[1], first[0], "the record that nobody committed comes again")
}

// testQueuePutBack puts every third record back: neither what lies between is lost, nor what is behind, nor they.
func testQueuePutBack(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(60))
	source := openQueueSource(t, queue)
	var back, other []domain.Delivery
	for n, delivery := range drain(t, source, 60, false) {
		if n%3 == 0 {
			back = append(back, delivery)
		} else {
			other = append(other, delivery)
		}
	}
	require.Equal(t, len(back), source.PutBack(back))
	left, err := source.Poll(queueContext(t), 60, 50*time.Millisecond)
	require.NoError(t, err)
	assert.ElementsMatch(t, other, left, "what was put back is not given again")
	commitQueue(t, source, other)

	source.GiveAgain()
	again := drain(t, source, len(back), false)
	assert.ElementsMatch(t, back, again)
	require.Equal(t, len(again), source.PutBack(again), "and put back once more")
	closeSource(t, source)

	reopened := openQueueSource(t, queue)
	held := map[domain.RecordPosition]bool{}
	for len(held) < len(back) {
		batch, err := reopened.Poll(queueContext(t), 60, 50*time.Millisecond)
		require.NoError(t, err)
		for _, delivery := range batch {
			if slices.ContainsFunc(back, func(one domain.Delivery) bool { return one.Position == delivery.Position }) {
				held[delivery.Position] = true
			}
		}
		commitQueue(t, reopened, batch)
	}
	closeSource(t, reopened)
	publishQueue(t, queue, queueWinners(61)[60:])
	last := openQueueSource(t, queue)
	assert.Equal(t, queueWinners(61)[60:], winnersOf(drain(t, last, 1, true)), "no offset was passed, and none is left behind")
}

func testQueueCommitForeign(t *testing.T, queue Queue) {
	publishQueue(t, queue, queueWinners(3))
	source := openQueueSource(t, queue)
	deliveries := drain(t, source, 3, false)
	foreign := deliveries[0]
	foreign.Position.Offset += 1000
	commitQueue(t, source, []domain.Delivery{foreign})
	again, err := source.Poll(queueContext(t), 3, time.Second)
	require.NoError(t, err)
	assert.ElementsMatch(t, deliveries, again, "a record that was never given commits nothing")
}

func testQueueShare(t *testing.T, queue Queue) {
	one := openQueueSource(t, queue)
	var total int
	require.Eventually(t, func() bool {
		var owned int
		owned, total = one.Share()
		return owned == total
	}, queuePatience, 10*time.Millisecond, "a lone source owns all partitions")
	require.Greater(t, total, 1)

	two := openQueueSource(t, queue)
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
	one := openQueueSource(t, queue)
	inHand := poll(one)
	two := openQueueSource(t, queue)
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
