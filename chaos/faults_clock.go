package main

import (
	"context"
	"time"
)

// clockFaults shift the clock of a server while it runs, ahead or back, and set it right again, which is a jump too.
// The processes' own clock is not shifted: Go programs do not ask the library that libfaketime replaces.
var clockFaults = []fault{
	{lasting("clock ahead", 2*time.Second, 8*time.Second, redisServer, mysqlServer).ofClock(), shiftClock(+1)},
	{lasting("clock back", 2*time.Second, 8*time.Second, redisServer, mysqlServer).ofClock(), shiftClock(-1)},
}

// ofClock leaves the server itself to other faults.
func (k kind) ofClock() kind {
	k.occupies = func(target string) []string { return []string{"clock of " + target} }
	return k
}

func shiftClock(direction int) func(context.Context, *world, step) (healing, error) {
	return func(_ context.Context, w *world, s step) (healing, error) {
		seconds := s.between(1, 13)
		seconds *= seconds // 1 s to about 3 minutes, the short ones more often
		from := w.timeline.now()
		return func(context.Context) error {
			err := w.servers.shiftClock(s.Target, 0)
			if s.Target == redisServer {
				// A stream never goes back: for as long as the clock was ahead, it gives the same time again.
				to := w.timeline.now() + time.Duration(max(direction, 0)*seconds)*time.Second
				w.record.change(func(r *record) { r.clockShifted = append(r.clockShifted, span{from, to}) })
			}
			return err
		}, w.servers.shiftClock(s.Target, direction*seconds)
	}
}
