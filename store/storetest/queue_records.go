package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

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
	source := openQueueSource(t, queue)
	deliveries := drain(t, source, len(poison)+1, true)
	for i, record := range poison {
		var problem *domain.Error
		require.ErrorAs(t, deliveries[i].Problem, &problem, "%q %v", record.value, record.headers)
		assert.NotEmpty(t, problem.Message)
		assert.LessOrEqual(t, len(problem.Message), domain.MaxErrorMessageBytes)
		assert.Equal(t, record.value[:min(len(record.value), domain.MaxRawBytes)], string(deliveries[i].Raw), "an operator sees what came")
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
	source := openQueueSource(t, queue)
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
	_, err := queue.Tail(t).ReadTail(queueContext(t), nil, func(domain.Delivery) error { visited++; return nil })
	require.NoError(t, err)
	assert.Equal(t, 2, visited)
	source := openQueueSource(t, queue)
	deliveries := drain(t, source, 2, true)
	require.Error(t, deliveries[0].Problem)
	assert.True(t, bytes.Equal(large[:domain.MaxRawBytes], deliveries[0].Raw), "what a fail event keeps of it, and no more memory")
	assert.Equal(t, domain.UserID(8), deliveries[1].Winner.UserID)
}

func readTail(t *testing.T, tail domain.TailReader) []domain.Winner {
	t.Helper()
	winners := []domain.Winner{}
	_, err := readTailFrom(t, tail, nil, &winners)
	require.NoError(t, err)
	return winners
}

func readTailFrom(
	t *testing.T, tail domain.TailReader, from domain.TailEnds, winners *[]domain.Winner,
) (domain.TailEnds, error) {
	t.Helper()
	return tail.ReadTail(queueContext(t), from, func(delivery domain.Delivery) error {
		*winners = append(*winners, delivery.Winner)
		return delivery.Problem
	})
}

func testQueueTailGoesOn(t *testing.T, queue Queue) {
	winners := queueWinners(60)
	tail := queue.Tail(t)
	read := func(from domain.TailEnds, want []domain.Winner, why string) domain.TailEnds {
		t.Helper()
		got := []domain.Winner{}
		ends, err := readTailFrom(t, tail, from, &got)
		require.NoError(t, err)
		assert.ElementsMatch(t, want, got, why)
		return ends
	}
	empty := read(nil, nil, "of an empty topic")
	publishQueue(t, queue, winners[:40])
	first := read(empty, winners[:40], "what came after the end of an empty topic")
	read(first, nil, "nothing came since")
	publishQueue(t, queue, winners[40:])
	read(first, winners[40:], "what came since, and nothing else")

	source := openQueueSource(t, queue)
	drain(t, source, 60, true)
	read(first, winners[40:], "that it is committed meanwhile changes nothing")
	read(nil, nil, "without ends the committed offsets count")
	beyond := domain.TailEnds{}
	for partition, end := range first {
		end.Offset += 1000
		beyond[partition] = end
	}
	read(beyond, winners, "ends that the topic does not have are those of a topic that is gone")
	for partition, end := range first {
		end.Log += " of before"
		beyond[partition] = end
	}
	read(beyond, winners, "ends of another topic that had this one's name")
}

func testQueueTail(t *testing.T, queue Queue) {
	winners := queueWinners(60)
	tail := queue.Tail(t)
	assert.Empty(t, readTail(t, tail), "of an empty topic")
	publishQueue(t, queue, winners[:40])
	assert.ElementsMatch(t, winners[:40], readTail(t, tail), "of a group that never was")

	source := openQueueSource(t, queue)
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
	_, err := queue.Tail(t).ReadTail(queueContext(t), nil, func(domain.Delivery) error { visits++; return refusal })
	require.ErrorIs(t, err, refusal)
	assert.Equal(t, 1, visits)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = queue.Tail(t).ReadTail(ended, nil, func(domain.Delivery) error { return nil })
	assert.ErrorIs(t, err, context.Canceled)
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
