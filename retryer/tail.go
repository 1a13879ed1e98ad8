package retryer

import (
	"context"
	"sync"

	"firstcome/domain"
)

// sharedTail lets all who want the topic's tail at the same time read it together: after the loss of Redis every gate
// is rebuilt, and each rebuild needs the whole tail. Whoever asks takes part in the next reading to begin, never in one
// that is under way, so that what was on the topic when they asked is seen. One reading is under way at a time.
type sharedTail struct {
	reader domain.TailReader
	// reading is held by the one who reads.
	reading chan struct{}

	mu   sync.Mutex
	next *tailReading
}

// tailReading is one reading and those who take part in it. Whoever came first reads for all.
type tailReading struct {
	done chan struct{}
	err  error

	mu    sync.Mutex
	users []*tailUser
}

// tailUser is somebody who takes part.
type tailUser struct {
	visit func(domain.Delivery) error
	// left is set when the user's context has ended or visit has failed: visit is not called any more.
	left bool
	err  error
}

func newSharedTail(reader domain.TailReader) *sharedTail {
	return &sharedTail{reader: reader, reading: make(chan struct{}, 1)}
}

// ReadTail implements domain.TailReader. If the context of whoever reads for the others ends, they are refused with
// CodeUnavailable, and ask again.
func (s *sharedTail) ReadTail(ctx context.Context, visit func(domain.Delivery) error) error {
	user := &tailUser{visit: visit}
	reading, first := s.join(user)
	if first {
		s.read(ctx, reading)
	}
	select {
	case <-reading.done:
	case <-ctx.Done():
		reading.leave(user)
		return ctx.Err()
	}
	switch {
	case user.err != nil:
		return user.err
	case first || reading.err == nil:
		return reading.err
	}
	return domain.Wrap(domain.CodeUnavailable, reading.err, "read the topic's tail together with others")
}

func (s *sharedTail) join(user *tailUser) (reading *tailReading, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next, first = &tailReading{done: make(chan struct{})}, true
	}
	s.next.users = append(s.next.users, user)
	return s.next, first
}

// read waits for the reading before, closes this one to newcomers, and reads.
func (s *sharedTail) read(ctx context.Context, reading *tailReading) {
	defer close(reading.done)
	reading.err = domain.Errorf(domain.CodeInternal, "reading the topic's tail panicked")
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
		s.closeToNewcomers()
		reading.err = s.reader.ReadTail(ctx, reading.show)
	case <-ctx.Done():
		s.closeToNewcomers()
		reading.err = ctx.Err()
	}
}

func (s *sharedTail) closeToNewcomers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = nil
}

// show gives a record to all who still want it. The error is that of the last one, when nobody does any more.
func (t *tailReading) show(delivery domain.Delivery) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wanted := false
	var last error
	for _, user := range t.users {
		if user.left {
			continue
		}
		if user.err = user.visit(delivery); user.err != nil {
			user.left, last = true, user.err
			continue
		}
		wanted = true
	}
	if wanted {
		return nil
	}
	return last
}

func (t *tailReading) leave(user *tailUser) {
	t.mu.Lock()
	defer t.mu.Unlock()
	user.left = true
}
