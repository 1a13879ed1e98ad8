package kafkaqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	// stable is up to where all transactions are decided.
	stable int64
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
	block, decided, err := r.fetch(ctx)
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
		if records.RecordBatch.PartialTrailingRecord {
			if len(records.RecordBatch.Records) == 0 {
				r.fetchBytes = min(r.fetchBytes*2, maxFetchBytes)
			}
			return nil
		}
		if err := r.visitBatch(records.RecordBatch, decided.counts(records), visit); err != nil {
			return err
		}
	}
	return nil
}

// fetch asks for decided records up to the stable offset, and for everything behind it: what an open transaction keeps
// the consumer from reading may be winners of ours, who are not part of it.
func (r *rangeReader) fetch(ctx context.Context) (*sarama.FetchResponseBlock, decided, error) {
	question := fetchQuestion{partition: r.partition, from: r.next, bytes: r.fetchBytes, isolation: sarama.ReadCommitted}
	if r.next >= r.stable {
		question.isolation = sarama.ReadUncommitted
	}
	block, err := r.tail.offsets.fetch(ctx, question)
	if err != nil {
		return nil, decided{}, err
	}
	aborted := slices.Clone(block.AbortedTransactions)
	slices.SortFunc(aborted, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return block, decided{aborted: aborted, open: map[int64]bool{}, undecided: r.next >= r.stable}, nil
}

// visitBatch visits the batch's records that are in the range, if they count, and moves past the whole batch: its last
// offset counts even if the record there is a transaction's marker or was compacted away.
func (r *rangeReader) visitBatch(batch *sarama.RecordBatch, counts bool, visit func(domain.Delivery) error) error {
	for _, entry := range batch.Records {
		offset := batch.FirstOffset + entry.OffsetDelta
		if !counts || offset < r.next || offset >= r.end {
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
