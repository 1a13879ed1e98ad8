package kafkaqueue

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firstcome/domain"
)

func TestParcelsFollowWhatTheBrokersTake(t *testing.T) {
	t.Parallel()
	var s parcelSize
	now := time.Unix(0, 0)
	assert.Equal(t, maxParcel, s.size(now))
	s.shrink(1024, now)
	assert.Equal(t, 512, s.size(now))
	s.shrink(300, now)
	assert.Equal(t, 150, s.size(now))
	for range 10 {
		s.shrink(1, now)
	}
	assert.Equal(t, minParcel, s.size(now))
	for n := range 10 {
		assert.Equal(t, min(minParcel<<(n+1), maxParcel), s.size(now.Add(time.Duration(n+1)*parcelGrows)))
	}
}

// limitKafka has each produce request take a time, and refuse a partition's records when there are more than most, or
// when one of a user is among them.
func limitKafka(kafka *faultyKafka, each time.Duration, refuse func(*kmsg.ProduceRequest) bool) {
	kafka.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		kafka.KeepControl()
		if each > 0 {
			kafka.SleepControl(func() { time.Sleep(each) })
		}
		asked := request.(*kmsg.ProduceRequest)
		if !refuse(asked) {
			return nil, nil, false
		}
		response := asked.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range asked.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				one := kmsg.NewProduceResponseTopicPartition()
				one.Partition, one.ErrorCode = partition.Partition, int16(sarama.ErrMessageSizeTooLarge)
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
}

func never(*kmsg.ProduceRequest) bool { return false }

// A page of the relay is up to 20 entries of 512 winners.
func TestAPageOfTheRelayAtASlowKafka(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	publisher := openPublisher(t, newTopic(t, kafka.addr))
	publishEventually(t, publisher, winner(1))
	limitKafka(kafka, 400*time.Millisecond, never)
	require.NoError(t, publisher.PublishAll(t.Context(), winners(20*512)), "ten parcels of 0.4 s each")
}

// The topic takes 3 KB at a time: what is larger is halved until it fits, and nobody is left out.
func TestParcelsAreHalvedUntilTheyFit(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newConfig(kafka.addr)
	cfg.Partitions = 1 // the fake looks at the first one of a request
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winner(1))
	limitKafka(kafka, 0, func(request *kmsg.ProduceRequest) bool { return len(request.Topics[0].Partitions[0].Records) > 3000 })
	require.NoError(t, publisher.PublishAll(t.Context(), winners(1200)))
	assert.Len(t, tailUsers(t, cfg), 1200)
	assert.Less(t, publisher.parcels.size(time.Now()), maxParcel, "the next parcels are smaller from the start")
}

func TestARecordThatKafkaRefusesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newConfig(kafka.addr)
	cfg.Partitions = 1 // the fake looks at the first one of a request
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	publisher := openPublisher(t, cfg)
	publishEventually(t, publisher, winner(1))
	large := winners(40)
	large[7].Campaign = "a-campaign-whose-records-are-larger-than-the-topic-takes-here"
	limitKafka(kafka, 0, func(request *kmsg.ProduceRequest) bool {
		return len(request.Topics[0].Partitions[0].Records) > 160
	})
	refused := map[int]domain.Code{}
	publisher.PublishEach(t.Context(), large, func(places []int, err error) {
		for _, place := range places {
			if err != nil {
				refused[place] = domain.CodeOf(err)
			}
		}
	})
	assert.Equal(t, map[int]domain.Code{7: domain.CodeRecordRefused}, refused)
}
