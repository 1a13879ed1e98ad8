package retryer

import (
	"context"
	"maps"
	"sync"

	"firstcome/domain"
)

// sharedTail lets all who want the topic's tail at the same time read it together: after the loss of Redis every gate
// is rebuilt, and each rebuild needs the whole tail, and then once more what came meanwhile. Anybody who asks takes part in
// the next reading to begin, never in one that is under way, so that what was on the topic when they asked is seen.
type sharedTail struct {
	reader domain.TailReader
	// whole are the readings from the committed offsets, which may take long; onward those that go on where an earlier
	// one stopped, which must not wait for a long one. Of each, one reading is under way at a time.
	whole, onward tailLane
}

// tailLane is a row of readings, one after the other.
type tailLane struct {
	// reading is held by the one who reads.
	reading chan struct{}

	mu   sync.Mutex
	next *tailReading
}

// tailReading is one reading and those who take part in it. The first one reads for all.
type tailReading struct {
	done chan struct{}
	ends domain.TailEnds
	err  error

	mu    sync.Mutex
	users []*tailUser
}

// tailUser is somebody who takes part.
type tailUser struct {
	from  domain.TailEnds
	visit func(domain.Delivery) error
	// left is set when the user's context has ended or visit has failed: visit is not called any more.
	left bool
	err  error
}

func newSharedTail(reader domain.TailReader) *sharedTail {
	return &sharedTail{reader, tailLane{reading: make(chan struct{}, 1)}, tailLane{reading: make(chan struct{}, 1)}}
}

// ReadTail implements domain.TailReader. If the context of the one who reads for the others ends, they are refused with
// CodeUnavailable, and ask again.
func (s *sharedTail) ReadTail(
	ctx context.Context, from domain.TailEnds, visit func(domain.Delivery) error,
) (domain.TailEnds, error) {
	user, lane := &tailUser{from: from, visit: visit}, &s.whole
	if from != nil {
		lane = &s.onward
	}
	reading, first := lane.join(user)
	if first {
		lane.read(ctx, s.reader, reading)
	}
	select {
	case <-reading.done:
	case <-ctx.Done():
		reading.leave(user)
		return nil, ctx.Err()
	}
	switch {
	case user.err != nil:
		return nil, user.err
	case first || reading.err == nil:
		return reading.ends, reading.err
	}
	return nil, domain.Wrap(domain.CodeUnavailable, reading.err, "read the topic's tail together with others")
}

func (l *tailLane) join(user *tailUser) (reading *tailReading, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next, first = &tailReading{done: make(chan struct{})}, true
	}
	l.next.users = append(l.next.users, user)
	return l.next, first
}

// read waits for the reading before, closes this one to newcomers, and reads.
func (l *tailLane) read(ctx context.Context, reader domain.TailReader, reading *tailReading) {
	defer close(reading.done)
	reading.err = domain.Errorf(domain.CodeInternal, "reading the topic's tail panicked")
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
		l.closeToNewcomers()
		reading.ends, reading.err = reader.ReadTail(ctx, reading.from(), reading.show)
	case <-ctx.Done():
		l.closeToNewcomers()
		reading.err = ctx.Err()
	}
}

func (l *tailLane) closeToNewcomers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = nil
}

// from gives the earliest ends of those who take part: the others are shown some records again.
func (t *tailReading) from() domain.TailEnds {
	earliest := maps.Clone(t.users[0].from)
	for _, user := range t.users[1:] {
		for partition, end := range earliest {
			other, named := user.from[partition]
			switch {
			case !named || other.Log != end.Log:
				delete(earliest, partition)
			case other.Offset < end.Offset:
				earliest[partition] = other
			}
		}
	}
	return earliest
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
