package kafkaqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// rangeReader reads the records of one partition from next up to end. It sends fetches of its own, because sarama's
// consumer tells of records only: an offset range that ends in a transaction marker or in a compacted gap would leave
// it waiting, and a reader that stops waiting after a while would at times stop too early.
type rangeReader struct {
	tail      *Tail
	partition int32
	next, end int64
	// fetchBytes grows when a batch does not fit.
	fetchBytes int32
}

// visitError marks the error of the visitor, which is returned as it is.
type visitError struct{ cause error }

func (e *visitError) Error() string { return e.cause.Error() }

const (
	// stallLimit is how long a read may come no further.
	stallLimit    = 10 * time.Second
	minFetchBytes = 4 << 20
	maxFetchBytes = 64 << 20
)

func (r *rangeReader) read(ctx context.Context, visit func(domain.Delivery) error) error {
	r.fetchBytes = minFetchBytes
	moved := time.Now()
	var wait backoff
	for r.next < r.end {
		before := r.next
		err := r.readOnce(ctx, visit)
		var visited *visitError
		if errors.As(err, &visited) || ctx.Err() != nil {
			return err
		}
		if r.next > before {
			moved = time.Now()
			wait.reset()
			continue
		}
		if time.Since(moved) > stallLimit {
			return errors.Join(fmt.Errorf("partition %d came no further than offset %d of %d", r.partition, r.next, r.end), err)
		}
		if err := wait.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readOnce sends one fetch and visits what it brought.
func (r *rangeReader) readOnce(ctx context.Context, visit func(domain.Delivery) error) error {
	block, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	if errors.Is(block.Err, sarama.ErrOffsetOutOfRange) {
		return r.skipExpired(ctx)
	}
	for _, records := range block.RecordsSet {
		if records.RecordBatch == nil {
			return errors.New("the partition holds records in the format of before Kafka 0.11")
		}
		if err := r.visitBatch(records.RecordBatch, visit); err != nil {
			return err
		}
	}
	return nil
}

func (r *rangeReader) fetch(ctx context.Context) (*sarama.FetchResponseBlock, error) {
	topic, client := r.tail.cfg.Topic, r.tail.offsets.client
	partition, next, bytes := r.partition, r.next, r.fetchBytes
	return within(ctx, r.tail.offsets.calls, func() (*sarama.FetchResponseBlock, error) {
		leader, epoch, err := client.LeaderAndEpoch(topic, partition)
		if err != nil {
			return nil, err
		}
		request := &sarama.FetchRequest{
			Version: 11, MinBytes: 1, MaxWaitTime: int32(fetchWait.Milliseconds()), MaxBytes: maxFetchBytes,
			Isolation: sarama.ReadUncommitted, SessionEpoch: -1,
		}
		request.AddBlock(topic, partition, next, bytes, epoch)
		response, err := leader.Fetch(request)
		if err != nil {
			// The connection is of no more use; the client makes a new one. An error says that it was closed before.
			_ = leader.Close()
			return nil, errors.Join(err, client.RefreshMetadata(topic))
		}
		block := response.GetBlock(topic, partition)
		if block == nil {
			return nil, sarama.ErrIncompleteResponse
		}
		if block.Err != sarama.ErrNoError && !errors.Is(block.Err, sarama.ErrOffsetOutOfRange) {
			return nil, errors.Join(block.Err, client.RefreshMetadata(topic))
		}
		return block, nil
	})
}

// visitBatch visits the batch's records that are in the range, and moves past the whole batch: its last offset counts
// even if the record there is a transaction's marker or was compacted away.
func (r *rangeReader) visitBatch(batch *sarama.RecordBatch, visit func(domain.Delivery) error) error {
	if batch.PartialTrailingRecord {
		if len(batch.Records) == 0 {
			r.fetchBytes = min(r.fetchBytes*2, maxFetchBytes)
		}
		return nil
	}
	for _, entry := range batch.Records {
		offset := batch.FirstOffset + entry.OffsetDelta
		if batch.Control || offset < r.next || offset >= r.end {
			continue
		}
		position := domain.RecordPosition{Topic: r.tail.cfg.Topic, Partition: r.partition, Offset: offset}
		if err := visit(decode(record{position, entry.Key, entry.Value, entry.Headers})); err != nil {
			return &visitError{err}
		}
		r.next = offset + 1
	}
	r.next = max(r.next, batch.LastOffset()+1)
	return nil
}

// skipExpired goes on with the oldest record, after retention deleted those that were next.
func (r *rangeReader) skipExpired(ctx context.Context) error {
	oldest, err := r.tail.offsets.at(ctx, []int32{r.partition}, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	if oldest[r.partition] > r.next {
		r.tail.logger.Error("records were deleted by retention while they were read",
			"topic", r.tail.cfg.Topic, "partition", r.partition, "from", r.next, "to", oldest[r.partition])
	}
	r.next = max(r.next, oldest[r.partition])
	return nil
}
