package kafkaqueue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// PublishEach implements domain.Publisher. The records go in parcels, one after the other, each for at most
// PublishTimeout; all of them together for at most that for each maxParcel records. What passes (errors.go) is sent again
// until then. An acknowledgement that comes later is dropped: who got no answer sends the record again.
func (p *Publisher) PublishEach(ctx context.Context, winners []domain.Winner, settled func(places []int, err error)) {
	if len(winners) == 0 {
		return
	}
	limit := p.cfg.PublishTimeout * time.Duration((len(winners)+maxParcel-1)/maxParcel)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	records := encode(winners)
	for first := 0; first < len(records); {
		size := min(p.parcels.size(time.Now()), p.cfg.MaxInFlight, len(records)-first)
		places := make([]int, size)
		for i := range places {
			places[i] = first + i
		}
		p.deliver(ctx, &delivery{publisher: p, records: records, settled: settled}, places)
		first += size
	}
}

// deliver sends one parcel, and the halves of what was too large for the brokers.
func (p *Publisher) deliver(ctx context.Context, d *delivery, places []int) {
	limited, cancel := context.WithTimeout(ctx, p.cfg.PublishTimeout)
	defer cancel()
	d.run(limited, places)
	for len(d.tooLarge) > 0 {
		half := d.tooLarge[len(d.tooLarge)-1]
		d.tooLarge = d.tooLarge[:len(d.tooLarge)-1]
		d.run(limited, half)
	}
}

// delivery is some records on their way, until each of them is settled.
type delivery struct {
	publisher *Publisher
	records   []sarama.Record
	settled   func(places []int, err error)
	// why is what the brokers last said to those that are sent again.
	why error
	// tooLarge are the halves of what was too large, each of which is sent by itself.
	tooLarge [][]int
}

// run sends the records at these places, and again those that were not taken, until all are settled or ctx ends.
func (d *delivery) run(ctx context.Context, places []int) {
	started := time.Now()
	var wait backoff
	// The first time that a connection broke, the next one is tried at once: it may have been closed for being idle.
	for tries := 0; ; tries++ {
		receipt, err := d.send(ctx, places)
		if err != nil {
			d.giveUp(places, err)
			return
		}
		crashpoint.Reach(crashpoint.QueueHanded)
		places, err = d.await(ctx, receipt, places)
		if len(places) == 0 {
			d.publisher.metrics.ackSeconds.Observe(time.Since(started).Seconds())
			return
		}
		if err == nil && (isAnswer(d.why) || tries > 0) {
			err = wait.wait(ctx)
		}
		if err != nil {
			d.giveUp(places, err)
			return
		}
	}
}

// send hands records to the current connection, waiting for a connection and for free slots.
func (d *delivery) send(ctx context.Context, places []int) (*receipt, error) {
	p := d.publisher
	receipt := &receipt{news: make(chan struct{}, 1)}
	for {
		connection, err := p.connection(ctx)
		if err != nil {
			return nil, err
		}
		if err := p.slots.Acquire(ctx, int64(len(places))); err != nil {
			return nil, err
		}
		p.metrics.inFlight.Add(float64(len(places)))
		err = connection.send(parcel{d.records, places, d.why != nil, func(some []int, err error) {
			p.release(len(some))
			p.count(len(some), err)
			receipt.add(verdict{some, err})
		}})
		if err == nil {
			return receipt, nil
		}
		p.release(len(places))
	}
}

func (p *Publisher) release(records int) {
	p.slots.Release(int64(records))
	p.metrics.inFlight.Sub(float64(records))
}

// count counts what became of records, those for which nobody waits any more too.
func (p *Publisher) count(records int, err error) {
	switch {
	case err == nil:
		crashpoint.Reach(crashpoint.QueueAcknowledged)
		p.metrics.records.WithLabelValues(resultAcknowledged).Add(float64(records))
	case !passes(err):
		p.metrics.records.WithLabelValues(resultFailed).Add(float64(records))
	}
}

// await settles records as the brokers answer, and gives those that are to be sent again. The error is ctx's: then the
// brokers have not answered some of those.
func (d *delivery) await(ctx context.Context, receipt *receipt, places []int) ([]int, error) {
	var again []int
	answered, left := make([]bool, len(d.records)), len(places)
	for left > 0 {
		verdicts := receipt.wait(ctx)
		if len(verdicts) == 0 {
			for _, place := range places {
				if !answered[place] {
					again = append(again, place)
				}
			}
			return again, ctx.Err()
		}
		for _, verdict := range verdicts {
			left -= len(verdict.places)
			for _, place := range verdict.places {
				answered[place] = true
			}
			again = d.settle(verdict, again)
		}
	}
	return again, nil
}

// settle appends to again what is to be sent again, and settles the rest.
func (d *delivery) settle(verdict verdict, again []int) []int {
	switch {
	case verdict.err == nil:
		d.settled(verdict.places, nil)
	case passes(verdict.err):
		d.why = verdict.err
		return append(again, verdict.places...)
	case refusesRecords(verdict.err) && len(verdict.places) > 1:
		half := len(verdict.places) / 2
		d.tooLarge = append(d.tooLarge, verdict.places[:half], verdict.places[half:])
		d.publisher.parcels.shrink(len(d.records), time.Now())
	case refusesRecords(verdict.err):
		d.settled(verdict.places, domain.Wrap(domain.CodeRecordRefused, verdict.err, "Kafka refuses the record: "+verdict.err.Error()))
	default:
		d.settled(verdict.places, outcomeUnknown(verdict.err))
	}
	return again
}

func (d *delivery) giveUp(places []int, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		d.publisher.parcels.shrink(len(places), time.Now())
	}
	d.publisher.metrics.records.WithLabelValues(resultTimedOut).Add(float64(len(places)))
	d.settled(places, outcomeUnknown(errors.Join(err, d.why)))
}

var errClosed = errors.New("the publisher is closed")

func outcomeUnknown(err error) error {
	return domain.Wrap(domain.CodeOutcomeUnknown, err, "Kafka did not acknowledge the record; it may or may not be on the topic")
}

// verdict is what became of some records; nil: they were acknowledged.
type verdict struct {
	places []int
	err    error
}

// receipt collects what brokers answer.
type receipt struct {
	// news holds a token while there is something to take.
	news     chan struct{}
	mu       sync.Mutex
	verdicts []verdict
}

// add notes an answer; what was acknowledged since the last take becomes one verdict.
func (r *receipt) add(v verdict) {
	r.mu.Lock()
	if v.err == nil && len(r.verdicts) > 0 && r.verdicts[0].err == nil {
		r.verdicts[0].places = append(r.verdicts[0].places, v.places...)
	} else {
		r.verdicts = append(r.verdicts, v)
	}
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// wait gives what came since it was called last, as soon as there is something; nothing only if nothing came before ctx
// ended. While the caller settles some records the others' answers come in: they count, however long that took.
func (r *receipt) wait(ctx context.Context) []verdict {
	for {
		select {
		case <-r.news:
		case <-ctx.Done():
			return r.take()
		}
		if verdicts := r.take(); len(verdicts) > 0 {
			return verdicts
		}
	}
}

// take gives all that came since it was called last.
func (r *receipt) take() []verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.verdicts
	r.verdicts = nil
	return taken
}
