package redisgate

import (
	"context"
	"sync"
	"sync/atomic"
)

// callsUnderWay is how many batches of one line may be on their way at a time. With one, Redis is idle while its answer
// is read and handed out; with more than two, batches become smaller and Redis busier for the same number of users.
const callsUnderWay = 2

// The states of a call: it waits, until a worker takes it or its caller leaves.
const (
	waiting int32 = iota
	taken
	left
)

// call is one caller's question, and later the answer.
type call[In, Out any] struct {
	in    In
	out   Out
	err   error
	state atomic.Int32
	done  chan struct{}
}

// line is where the calls of one kind on one campaign wait.
type line[In, Out any] struct {
	mu      sync.Mutex
	calls   []*call[In, Out]
	workers int
}

func (l *line[In, Out]) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.workers == 0
}

// join puts a call into the line, and says whether a worker is to be started for it.
func (l *line[In, Out]) join(c *call[In, Out]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
	if l.workers == callsUnderWay {
		return false
	}
	l.workers++
	return true
}

// take appends up to limit waiting calls to batch, and says how many left the line. When nobody waits the worker that
// asks is dismissed.
func (l *line[In, Out]) take(batch []*call[In, Out], limit int) (_ []*call[In, Out], gone int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; gone < len(l.calls) && len(batch) < limit; gone++ {
		if l.calls[gone].state.CompareAndSwap(waiting, taken) {
			batch = append(batch, l.calls[gone])
		}
	}
	rest := copy(l.calls, l.calls[gone:])
	clear(l.calls[rest:])
	l.calls = l.calls[:rest]
	if len(batch) == 0 {
		l.workers--
	}
	return batch, gone
}

// crew counts what is waiting and who is working, over all lines of a process.
type crew struct {
	maxWaiting int64
	waiting    atomic.Int64

	mu      sync.Mutex
	stopped bool
	working sync.WaitGroup
}

// enter counts a call in, unless too many wait or the process is stopping. The caller then runs a worker if needed.
func (c *crew) enter() error {
	if c.waiting.Add(1) > c.maxWaiting {
		c.waiting.Add(-1)
		return errOverloaded
	}
	return nil
}

func (c *crew) startWorker() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.working.Add(1)
	return true
}

// stop lets the workers finish what waits, and waits for them.
func (c *crew) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.working.Wait()
}

// batcher turns the calls of many callers into few calls of run, without a timer: what arrives while calls are under
// way is taken together as soon as one of them ends.
type batcher[In, Out any] struct {
	crew     *crew
	maxBatch int
	// run answers each call of the batch by setting its out or err.
	run   func(c *campaign, batch []*call[In, Out])
	calls sync.Pool
}

// do waits for the answer to one call. A call whose context ends before a worker took it is never made, and answers
// the context's error; one whose context ends later answers CodeOutcomeUnknown.
func (b *batcher[In, Out]) do(ctx context.Context, c *campaign, l *line[In, Out], in In) (Out, error) {
	var none Out
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := b.crew.enter(); err != nil {
		return none, err
	}
	asked := b.newCall(in)
	if l.join(asked) {
		b.startWorker(c, l)
	}
	select {
	case <-asked.done:
		return b.answer(asked)
	case <-ctx.Done():
	}
	if asked.state.CompareAndSwap(waiting, left) {
		return none, ctx.Err()
	}
	select {
	case <-asked.done:
		return b.answer(asked)
	default:
		return none, errOutcomeUnknown
	}
}

func (b *batcher[In, Out]) newCall(in In) *call[In, Out] {
	if reused, ok := b.calls.Get().(*call[In, Out]); ok {
		reused.in = in
		return reused
	}
	return &call[In, Out]{in: in, done: make(chan struct{}, 1)}
}

// answer takes the answer out of the call and keeps the call for reuse. Calls whose caller left are not reused: a
// worker may still hold them.
func (b *batcher[In, Out]) answer(answered *call[In, Out]) (Out, error) {
	out, err := answered.out, answered.err
	var noIn In
	var noOut Out
	answered.in, answered.out, answered.err = noIn, noOut, nil
	answered.state.Store(waiting)
	b.calls.Put(answered)
	return out, err
}

func (b *batcher[In, Out]) startWorker(c *campaign, l *line[In, Out]) {
	if b.crew.startWorker() {
		go func() {
			defer b.crew.working.Done()
			b.work(c, l, b.run)
		}()
		return
	}
	b.work(c, l, refuseStopping)
}

// refuseStopping answers a batch that came after the process began to stop.
func refuseStopping[In, Out any](_ *campaign, batch []*call[In, Out]) {
	for _, asked := range batch {
		asked.err = errStopping
	}
}

// work runs batches until nobody waits in the line.
func (b *batcher[In, Out]) work(c *campaign, l *line[In, Out], run func(*campaign, []*call[In, Out])) {
	var batch []*call[In, Out]
	for {
		var gone int
		batch, gone = l.take(batch[:0], b.maxBatch)
		b.crew.waiting.Add(int64(-gone))
		if len(batch) == 0 {
			return
		}
		run(c, batch)
		for i, asked := range batch {
			batch[i] = nil
			asked.done <- struct{}{}
		}
	}
}
