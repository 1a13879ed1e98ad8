package kafkaqueue

import (
	"time"

	"github.com/IBM/sarama"
)

// produceVersion is the newest form of a produce request that brokers of 2.8 know; the client lowers it for older ones.
const produceVersion = 9

// What stands in a batch of records of a producer that is not idempotent.
const (
	batchVersion    = 2
	noProducerID    = -1
	noProducerEpoch = -1
)

func (c *connection) newRequest() *sarama.ProduceRequest {
	producer := &c.client.Config().Producer
	return &sarama.ProduceRequest{
		RequiredAcks: producer.RequiredAcks, Timeout: int32(producer.Timeout.Milliseconds()), Version: produceVersion,
	}
}

// newBatch makes what goes to one partition. A record that is sent again gets its new place in the new batch.
func newBatch(records []sarama.Record, places []int) *sarama.RecordBatch {
	now := time.Now().Truncate(time.Millisecond)
	batch := &sarama.RecordBatch{
		Version: batchVersion, ProducerID: noProducerID, ProducerEpoch: noProducerEpoch,
		FirstTimestamp: now, MaxTimestamp: now,
		LastOffsetDelta: int32(len(places) - 1), Records: make([]*sarama.Record, len(places)),
	}
	for i, place := range places {
		record := records[place] // a copy: the one before may still be under way
		record.OffsetDelta = int64(i)
		batch.Records[i] = &record
	}
	return batch
}
