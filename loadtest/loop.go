package loadtest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"firstcome/domain"
)

// send lets up to concurrency workers apply for the users, and gives the answers in the order of users. When the
// context ends, the rest of the users stay NotSent.
//
// In the closed loop each worker applies for the next user as soon as it has an answer. In the open loop it waits for
// that user's time. A server that stalls holds up all workers in the end; the users who come meanwhile are sent late,
// and the time since they were to be sent counts, so the stall shows in the latencies of all of them.
func send(ctx context.Context, sender *applicant, users []domain.UserID, cfg Config) []Answer {
	answers := make([]Answer, len(users))
	times := arrivalsOf(cfg)
	began := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(cfg.Concurrency, len(users)) {
		workers.Go(func() {
			way := sender.open()
			defer way.close()
			for ctx.Err() == nil {
				index := int(next.Add(1)) - 1
				if index >= len(users) {
					return
				}
				intended := time.Now()
				if times.open() {
					intended = began.Add(times.at(index))
					if !sender.waitUntil(ctx, intended) {
						return
					}
				}
				answers[index] = sender.apply(ctx, way, users[index], intended)
				sender.recorder.answered.Add(1)
			}
		})
	}
	workers.Wait()
	return answers
}

// waitUntil notes by how much the moment has been missed already.
func (a *applicant) waitUntil(ctx context.Context, moment time.Time) bool {
	left := time.Until(moment)
	if left <= 0 {
		a.recorder.late(-left)
		return true
	}
	return wait(ctx, left)
}
