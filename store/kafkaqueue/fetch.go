package kafkaqueue

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// fetchQuestion is what one fetch asks for.
type fetchQuestion struct {
	partition int32
	from      int64
	bytes     int32
	isolation sarama.IsolationLevel
}

// fetch sends one fetch. An offset that is out of range is told in the block's Err, everything else as an error.
func (o *offsets) fetch(ctx context.Context, q fetchQuestion) (*sarama.FetchResponseBlock, error) {
	topic, client := o.cfg.Topic, o.client
	return within(ctx, o.calls, twice(func() (*sarama.FetchResponseBlock, error) {
		leader, epoch, err := client.LeaderAndEpoch(topic, q.partition)
		if err != nil {
			return nil, err
		}
		request := &sarama.FetchRequest{
			Version: 11, MinBytes: 1, MaxWaitTime: int32(fetchWait.Milliseconds()), MaxBytes: maxFetchBytes,
			Isolation: q.isolation, SessionEpoch: -1,
		}
		request.AddBlock(topic, q.partition, q.from, q.bytes, epoch)
		response, err := leader.Fetch(request)
		if err != nil {
			// The connection is of no more use; the client makes a new one. An error says that it was closed before.
			_ = leader.Close()
			return nil, errors.Join(err, client.RefreshMetadata(topic))
		}
		block := response.GetBlock(topic, q.partition)
		if block == nil {
			return nil, sarama.ErrIncompleteResponse
		}
		if block.Err != sarama.ErrNoError && !errors.Is(block.Err, sarama.ErrOffsetOutOfRange) {
			return nil, errors.Join(block.Err, client.RefreshMetadata(topic))
		}
		return block, nil
	}))
}

// smallestFetch asks for one batch: brokers give the first one whole, however little is asked for.
const smallestFetch = 1

// fingerprintAt gives the fingerprint of the record at an offset, empty when another kind of batch stands there. known is
// false when the log begins or ends before that offset by now.
func (o *offsets) fingerprintAt(ctx context.Context, partition int32, offset int64) (found fingerprint, known bool, err error) {
	block, err := o.fetch(ctx, fetchQuestion{partition, offset, smallestFetch, sarama.ReadUncommitted})
	if err != nil || errors.Is(block.Err, sarama.ErrOffsetOutOfRange) {
		return "", false, err
	}
	if len(block.RecordsSet) == 0 {
		return "", false, sarama.ErrOffsetNotAvailable // a leader that was elected a moment ago
	}
	for _, records := range block.RecordsSet {
		if records.RecordBatch == nil || records.RecordBatch.Control {
			continue
		}
		for _, entry := range records.RecordBatch.Records {
			if records.RecordBatch.FirstOffset+entry.OffsetDelta == offset {
				digest := record{key: entry.Key, value: entry.Value, headers: entry.Headers}.digest()
				return fingerprintOf(digest, writtenAt(records.RecordBatch, entry).UnixMilli()), true, nil
			}
		}
	}
	return "", true, nil
}

// writtenAt is the time that stands in a record: the broker's, or its producer's, as the topic is set up.
func writtenAt(batch *sarama.RecordBatch, entry *sarama.Record) time.Time {
	if batch.LogAppendTime {
		return batch.MaxTimestamp
	}
	return batch.FirstTimestamp.Add(entry.TimestampDelta)
}

// decided tells, in the order of a fetch's batches, which of them hold records that count.
type decided struct {
	// aborted are the transactions that were given up, by their first offset, of which none was seen yet; open are the
	// producers of those under way at the batch in hand.
	aborted []*sarama.AbortedTransaction
	open    map[int64]bool
	// undecided is set for what lies behind an open transaction: nothing that belongs to any transaction counts there.
	undecided bool
}

// counts says whether a batch's records count: not those of a transaction that was given up or is not decided yet.
func (d *decided) counts(records *sarama.Records) bool {
	batch := records.RecordBatch
	for len(d.aborted) > 0 && d.aborted[0].FirstOffset <= batch.LastOffset() {
		d.open[d.aborted[0].ProducerID] = true
		d.aborted = d.aborted[1:]
	}
	if batch.Control {
		delete(d.open, batch.ProducerID)
		return false
	}
	return !batch.IsTransactional || !d.undecided && !d.open[batch.ProducerID]
}
