package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"firstcome/domain"
)

// outcome is what an answer means to its user.
type outcome string

// The outcomes.
const (
	// accepted: a coupon is promised; "issued" is as good.
	accepted outcome = "accepted"
	// reserved: admitted, but not in Kafka; may be lost with Redis.
	reserved outcome = "reserved"
	// soldOut: there was nothing left.
	soldOut outcome = "sold-out"
	// revoked: an operator has taken the coupon back.
	revoked outcome = "revoked"
	// refused: not now, because the campaign is paused.
	refused outcome = "refused"
	// unknown: no answer, or one that says nothing about a coupon.
	unknown outcome = "unknown"
)

// answer is one request and what came of it. Times are moments of the run.
type answer struct {
	user           domain.UserID
	sent, answered time.Duration
	outcome        outcome
	// slot is the slot named, or 0.
	slot domain.Slot
	// via is the api that was asked; text is the status and the code, or the error.
	via, text string
}

// record is everything that the verdict has to know of a run in addition to what the stores hold at the end.
type record struct {
	mu      sync.Mutex
	answers []answer
	// lost are the moments at which Redis lost data, settled those at which nothing was on its way.
	lost, settled []time.Duration
	// marks are taken while nothing is on its way, at the start and whenever all has settled.
	marks []mark
	// clockShifted are the spans in which Redis's clock was wrong, or what it had said still counted.
	clockShifted []span
	// strangers are users who came by records that the supervisor made, and not by an application.
	strangers map[domain.UserID]bool
	// givenUp are users whose coupon or fail event an operator took away.
	givenUp map[domain.UserID]bool
}

type span struct{ from, to time.Duration }

func newRecord() *record {
	return &record{strangers: map[domain.UserID]bool{}, givenUp: map[domain.UserID]bool{}}
}

// change lets a fault or an applicant write down what happened.
func (r *record) change(write func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	write(r)
}

// write lists all answers, for anybody who looks for the cause of a difference.
func (r *record) write(path string) error {
	var text bytes.Buffer
	for _, a := range r.answers {
		fmt.Fprintf(&text, "%9.3f %9.3f %s user %d %s slot %d: %s\n",
			a.sent.Seconds(), a.answered.Seconds(), a.via, a.user, a.outcome, a.slot, a.text)
	}
	return os.WriteFile(path, text.Bytes(), 0o644) //nolint:gosec // nothing secret
}

// excuses says whether Redis lost data at a moment that lets a promise be forgotten: after the user may have been
// admitted, and before everything that was answered until then had come to rest.
func (r *record) excuses(mayBeAdmitted, answered time.Duration) bool {
	return slices.ContainsFunc(r.lost, func(lost time.Duration) bool {
		return lost >= mayBeAdmitted && !slices.ContainsFunc(r.settled, func(settled time.Duration) bool {
			return settled >= answered && settled <= lost
		})
	})
}
