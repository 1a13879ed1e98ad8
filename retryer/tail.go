package retryer

import (
	"context"
	"maps"
	"sync"

	"firstcome/domain"
)

// sharedTail lets all who want the topic's tail at the same time read it together: after the loss of Redis every gate
// is rebuilt, and each rebuild needs the whole tail, and then once more what came meanwhile.
type sharedTail struct {
	reader domain.TailReader
	// whole are the readings from the committed offsets, which may take long; onward those that go on where an earlier
	// one stopped, which must not wait for a long one.
	whole, onward *together[*tailUser, domain.TailEnds]
}

// tailUser is somebody who takes part in a reading.
type tailUser struct {
	from  domain.TailEnds
	visit func(domain.Delivery) error

	mu sync.Mutex
	// left is set when the user's context has ended or visit has failed: visit is not called any more.
	left bool
	err  error
}

func newSharedTail(reader domain.TailReader) *sharedTail {
	const what = "read the topic's tail"
	return &sharedTail{reader, newTogether[*tailUser, domain.TailEnds](what), newTogether[*tailUser, domain.TailEnds](what)}
}

// ReadTail implements domain.TailReader. If the context of the one who reads for the others ends, they are refused with
// CodeUnavailable, and ask again.
func (s *sharedTail) ReadTail(
	ctx context.Context, from domain.TailEnds, visit func(domain.Delivery) error,
) (domain.TailEnds, error) {
	user, readings := &tailUser{from: from, visit: visit}, s.whole
	if from != nil {
		readings = s.onward
	}
	ends, err := readings.do(ctx, user, s.read)
	if refused := user.leave(); refused != nil {
		return nil, refused
	}
	return ends, err
}

func (s *sharedTail) read(ctx context.Context, users []*tailUser) (domain.TailEnds, error) {
	return s.reader.ReadTail(ctx, earliest(users), func(delivery domain.Delivery) error { return show(users, delivery) })
}

// earliest gives the earliest ends of those who take part: the others are shown some records again.
func earliest(users []*tailUser) domain.TailEnds {
	earliest := maps.Clone(users[0].from)
	for _, user := range users[1:] {
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
func show(users []*tailUser, delivery domain.Delivery) error {
	wanted := false
	var last error
	for _, user := range users {
		wants, err := user.see(delivery)
		wanted = wanted || wants
		if err != nil {
			last = err
		}
	}
	if wanted {
		return nil
	}
	return last
}

// see shows a record to the user, who may have left or leave by that, and says whether the user wants more.
func (u *tailUser) see(delivery domain.Delivery) (wants bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left {
		return false, nil
	}
	u.err = u.visit(delivery)
	u.left = u.err != nil
	return !u.left, u.err
}

// leave has the user be shown nothing more, and gives the error of a visit that failed.
func (u *tailUser) leave() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.left = true
	return u.err
}
