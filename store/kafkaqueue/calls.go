package kafkaqueue

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// calls lets a caller leave a request of sarama, which knows no contexts, when the caller's context ends. The request
// itself ends with the client's network timeouts, or when the client is closed.
type calls struct {
	client  sarama.Client
	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup
}

func newCalls(client sarama.Client) *calls { return &calls{client: client} }

// outcome is what a call gave; it is passed on as a whole, because a call that was left goes on writing.
type outcome[T any] struct {
	value T
	err   error
}

// within makes a call, and leaves it when ctx ends first.
func within[T any](ctx context.Context, c *calls, call func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if !c.begin() {
		return none, sarama.ErrClosedClient
	}
	result := make(chan outcome[T], 1)
	go func() {
		defer c.pending.Done()
		value, err := call()
		result <- outcome[T]{value, err}
	}()
	select {
	case came := <-result:
		return came.value, came.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// twice makes a call again whose connection broke: brokers close connections on which nothing went on for a while, and
// the next call on one hears of it.
func twice[T any](call func() (T, error)) func() (T, error) {
	return func() (T, error) {
		value, err := call()
		if err == nil || isAnswer(err) || isOurs(err) {
			return value, err
		}
		return call()
	}
}

func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.pending.Add(1)
	}
	return !c.closed
}

// retire lets what is under way end, within the limit, and closes.
func (c *calls) retire(limit time.Duration) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	finishes(limit, c.pending.Wait)
	_ = c.client.Close() // fails what is still under way
	c.pending.Wait()
}

// close closes the client, which ends its connections, and waits for the calls that were left.
func (c *calls) close() {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		// The only error says that it was closed before.
		_ = c.client.Close()
	}
	c.pending.Wait()
}

// finishes says whether end came to its end within the limit. If not, it goes on alone.
func finishes(limit time.Duration, end func()) bool {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		end()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-finished:
		return true
	case <-timer.C:
		return false
	}
}
