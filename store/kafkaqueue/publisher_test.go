package kafkaqueue

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstcome/domain"
)

func winner(user int) domain.Winner {
	return domain.Winner{
		Campaign: "spring", UserID: domain.UserID(user), Slot: domain.Slot(user), Epoch: 1,
		AdmittedAt: time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC),
	}
}

func winners(n int) []domain.Winner {
	all := make([]domain.Winner, n)
	for i := range all {
		all[i] = winner(i + 1)
	}
	return all
}

// publishEventually sends again until it is acknowledged, as the relay does.
func publishEventually(t *testing.T, publisher *Publisher, winners ...domain.Winner) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := publisher.PublishAll(t.Context(), winners)
		if err != nil {
			require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
		}
		return err == nil
	}, patience, time.Millisecond)
}

// tailUsers gives the users of the records on the topic, each user once.
func tailUsers(t *testing.T, cfg Config) []domain.UserID {
	t.Helper()
	seen := map[domain.UserID]bool{}
	users := []domain.UserID{}
	_, err := openTail(t, cfg).ReadTail(t.Context(), nil, func(delivery domain.Delivery) error {
		if !seen[delivery.Winner.UserID] {
			users = append(users, delivery.Winner.UserID)
		}
		seen[delivery.Winner.UserID] = true
		return delivery.Problem
	})
	require.NoError(t, err)
	return users
}

func TestPublishSucceedsDespiteAPassingError(t *testing.T) {
	t.Parallel()
	for _, passing := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut} {
		t.Run(passing.Message, func(t *testing.T) {
			t.Parallel()
			kafka := startFaultyKafka(t)
			cfg := newTopic(t, kafka.addr)
			publisher := openPublisher(t, cfg)
			kafka.Fault(ofProduce(kfake.Fault{Topic: cfg.Topic, Err: passing}))
			require.NoError(t, publisher.Publish(t.Context(), winner(1)))
			assert.Equal(t, []domain.UserID{1}, tailUsers(t, cfg))
		})
	}
}

func TestARefusedRecordIsNotReportedAsAcknowledged(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winners(10)...)
	refusing := kafka.Fault(ofProduce(kfake.Fault{Topic: cfg.Topic, Err: kerr.TopicAuthorizationFailed, Count: -1}))
	err := publisher.PublishAll(t.Context(), winners(10))
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
	require.Positive(t, refusing.Hits())
	refusing.Remove()
	publishEventually(t, publisher, winner(11))
}

func TestOneRefusedRecordOfManyIsReported(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publisher := openPublisher(t, cfg)
	kafka.Fault(ofProduce(kfake.Fault{
		Topic: cfg.Topic, Partitions: []int32{2}, Err: kerr.TopicAuthorizationFailed, Count: -1,
	}))
	err := publisher.PublishAll(t.Context(), winners(50))
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "nil only when every one was acknowledged")
	assert.NotEmpty(t, tailUsers(t, cfg), "the other partitions took theirs")
}

// TestHungBrokersDelayNobodyBeyondTheirContext covers the limit of records in flight: with all slots taken by records
// without an answer, further ones wait for their context, and late acknowledgements free the slots.
func TestHungBrokersDelayNobodyBeyondTheirContext(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	cfg.MaxInFlight = 4
	registry := prometheus.NewRegistry()
	publisher, err := OpenPublisher(cfg, registry, testLogger(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	publishEventually(t, publisher, winner(1))

	kafka.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for user := range 20 {
		all.Go(func() {
			err := publisher.Publish(ctx, winner(100+user))
			assert.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
	all.Wait()
	assert.LessOrEqual(t, testutil.ToFloat64(publisher.metrics.inFlight), 4.0)
	assert.Positive(t, testutil.ToFloat64(publisher.metrics.inFlight))

	kafka.thaw()
	publishEventually(t, publisher, winner(2))
	require.Eventually(t, func() bool { return testutil.ToFloat64(publisher.metrics.inFlight) == 0 }, patience, time.Millisecond)
	assert.Contains(t, tailUsers(t, cfg), domain.UserID(2))
}

func TestPublisherWaitsForKafkaAndMakesItsTopic(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cfg := newConfig(address)
	cfg.PublishTimeout = 100 * time.Millisecond
	publisher := openPublisher(t, cfg)
	err := publisher.Publish(t.Context(), winner(1))
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err))
	require.ErrorIs(t, err, context.DeadlineExceeded, "without an end of its own, a call ends with the timeout")

	startKafkaAt(t, "", address)
	publishEventually(t, publisher, winner(1))
	positions, err := openTail(t, cfg).Positions(t.Context())
	require.NoError(t, err)
	assert.Len(t, positions, int(cfg.Partitions))
}

func TestClosedPublisherAnswers(t *testing.T) {
	t.Parallel()
	publisher, err := OpenPublisher(newTopic(t, startKafka(t).Addr()), prometheus.NewRegistry(), testLogger(t))
	require.NoError(t, err)
	publishEventually(t, publisher, winner(1))
	require.NoError(t, publisher.Close())
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(publisher.Publish(t.Context(), winner(2))))
}

func TestClosingWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	publisher, err := OpenPublisher(cfg, prometheus.NewRegistry(), testLogger(t))
	require.NoError(t, err)
	publishEventually(t, publisher, winner(1))
	kafka.freeze()
	answered := make(chan error, 1)
	go func() { answered <- publisher.Publish(t.Context(), winner(2)) }()
	require.Eventually(t, func() bool { return testutil.ToFloat64(publisher.metrics.inFlight) == 1 }, patience, time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- publisher.Close() }()
	kafka.thaw()
	require.NoError(t, <-answered)
	require.NoError(t, <-closed)
}

func TestPublishesAreCounted(t *testing.T) {
	t.Parallel()
	cfg := newTopic(t, startKafka(t).Addr())
	publisher := openPublisher(t, cfg)
	require.NoError(t, publisher.PublishAll(t.Context(), winners(5)))
	assert.InDelta(t, 5, testutil.ToFloat64(publisher.metrics.records.WithLabelValues(resultAcknowledged)), 0)
	assert.Equal(t, 1, testutil.CollectAndCount(publisher.metrics.ackSeconds))
	assert.InDelta(t, 1, testutil.ToFloat64(publisher.metrics.connected), 0)
}

// The fakes have one replica, so only the configuration tells whether an answer waits for the others.
func TestAnAcknowledgementIsThatOfAllReplicas(t *testing.T) {
	conf := newConfig("127.0.0.1:1").withDefaults().producing()
	assert.Equal(t, sarama.WaitForAll, conf.Producer.RequiredAcks)
	assert.False(t, conf.Metadata.AllowAutoTopicCreation, "a topic that brokers make by themselves has other partitions")
}

func TestAnAcknowledgementThatCameInTimeCountsHoweverLongTheCallerTookForAnother(t *testing.T) {
	for range 64 { // chance decides between two things that are ready at once
		ctx, endOfPatience := context.WithCancel(t.Context())
		receipt := &receipt{news: make(chan struct{}, 1)}
		var acknowledged []int
		d := &delivery{records: make([]sarama.Record, 2), settled: func(places []int, err error) {
			require.NoError(t, err)
			if acknowledged = append(acknowledged, places...); len(acknowledged) == 1 {
				receipt.add(verdict{places: []int{1}}) // another broker's, while this one's winners are answered
				endOfPatience()
			}
		}}
		receipt.add(verdict{places: []int{0}})
		again, err := d.await(ctx, receipt, []int{0, 1})
		require.NoError(t, err)
		require.Empty(t, again, "its winner would hear \"reserved\" without need")
		require.Equal(t, []int{0, 1}, acknowledged)
	}
}
