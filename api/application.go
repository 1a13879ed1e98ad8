package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// The steps of one application. What a crash of this process leaves behind stands after each.
//
//  1. The body is decoded; a bad one is refused. Nothing is left behind.
//  2. The campaign is looked up in memory (directory). While it is sold out, paused, not started or ended, whom the
//     gate doesn't know is refused from memory as well (refusals.go). Nothing is left behind.
//  3. The application waits in its campaign's line (line.go) while earlier ones are with the gate, and is taken from
//     there with all who came meanwhile: from here on they go together (batch.go), and each waits for one thing, the
//     answer. A client that has left before the batch is taken is not admitted, and who has waited for too long is
//     refused as overloaded (overload.go). Afterwards nobody listens to the clients any more: an admission is never
//     undone. The gate decides for all in one step (AdmitAll). For the new winners it writes, in the same step, the
//     users and one pending entry. Who is refused or known already is answered now.
//     Crash: the users are admitted and the pending entry is there; the relay publishes the records. The clients got
//     no answer, ask again, and are told about the same slots.
//  4. The records of the new winners are published together (acks=all). Whose record is not acknowledged within
//     ProduceTimeout: 202 "reserved", without a slot; the relay goes on. Such an answer does not survive the loss of Redis
//     as well, because nothing else knows of it yet. Where each end of the process loses it (Config.VolatileGate), the
//     answer is 503 "outcome-unknown" in place of "reserved", here and in step 5.
//     Crash: the records are perhaps on the topic; the relay publishes them again, the consumer knows the duplicates.
//  5. The gate is told (Acknowledge), which removes the pending entry once all of its records are acknowledged, if the
//     gate was not rebuilt since the admission. Who is acknowledged before the others is answered before them: the gate
//     then only says whether it was rebuilt.
//     Crash: the records are on the topic, the entry remains; the relay publishes again, as above.
//     - Not rebuilt: 202 "accepted" with the slot.
//     - Closed, or no answer: the winner waits, up to confirmPatience, until the gate confirms or was rebuilt, and hears
//     202 "reserved" without a slot at the end (confirm.go says why). Whoever waits holds up nobody who comes later.
//     Crash: as before the confirmation; a rebuild that missed the record leaves it to the consumer, which brings the
//     user to the gate. Nothing was promised meanwhile.
//     - Rebuilt meanwhile: the rebuild perhaps did not see the record, so the slot may be somebody else's now. The gate
//     is asked again, as the consumer will when it meets the record (Honour: window and state no longer matter, because
//     the record exists), and what holds now is answered. No slot left: 202 "accepted" and delayed, because the user is
//     owed one, and the record becomes a fail event that waits for it. A slot given anew is published and confirmed once
//     more; should that fail, 202 "accepted" without a slot. It is answered once no process can refuse the user from
//     memory any more.
//     Crash: the gate knows the user, and the relay and the consumer go on.
//
// So "accepted" is only ever said when Kafka has acknowledged a record and, after that, an open gate has said that it
// knows the user; and a slot only when the gate has confirmed it under the epoch at which it was given.

type applications struct {
	gate           domain.Admitter
	publisher      domain.Publisher
	keeper         *refusalKeeper
	produceTimeout time.Duration
	admitTimeout   time.Duration
	volatileGate   bool
	limits         lineLimits
	pool           sync.Pool // spares an application and its channel a request
	logger         *slog.Logger
	warn           rate.Sometimes
}

func newApplications(cfg Config, ports Ports, logger *slog.Logger) *applications {
	return &applications{
		gate: ports.Admitter, publisher: ports.Publisher, keeper: newRefusalKeeper(cfg, ports, logger),
		produceTimeout: cfg.ProduceTimeout, admitTimeout: cfg.AdmitTimeout, volatileGate: cfg.VolatileGate,
		limits: lineLimits{
			maxBatch: cfg.MaxBatch, workers: cfg.GateCalls, batches: cfg.BatchesUnderWay, patience: holdPatience,
			kafkaCrowd: cfg.KafkaCrowd, waiting: places{most: int64(cfg.MaxWaiting)},
			unconfirmed: places{most: maxUnconfirmed},
		},
		pool: sync.Pool{New: newApplication}, logger: logger, warn: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// longest is how long one application can take: its wait in line, the admission, Kafka and the first confirmation, the
// wait for a gate that does not confirm with the last questions to it, and what a slot given anew costs.
func (a *applications) longest() time.Duration {
	first := a.admitTimeout + a.produceTimeout + a.admitTimeout
	honoured := 2*a.admitTimeout + honourWait + a.produceTimeout + a.admitTimeout
	return burstWait + first + confirmPatience + honoured
}

// apply carries an application through steps 2 to 5: unless it is refused from memory, it waits in the campaign's line,
// and is taken from there with others (batch.go). The answer's error is a refusal, or a failure after which the client
// may ask again.
func (a *applications) apply(ctx context.Context, known *knownCampaign, user domain.UserID) answer {
	crashpoint.Reach(crashpoint.APIFound)
	now := time.Now()
	if err := known.refusals.refuse(user, now); err != nil {
		return answer{err: err}
	}
	asked, _ := a.pool.Get().(*application)
	asked.ctx, asked.user, asked.since = ctx, user, now
	startWorker, err := known.line.join(asked)
	if err != nil {
		a.pool.Put(asked)
		holdBack(ctx, now)
		return answer{err: err}
	}
	if startWorker {
		go a.work(known)
	}
	<-asked.done
	given := a.withoutVolatile(asked.answer)
	asked.ctx, asked.answer = nil, answer{}
	a.pool.Put(asked)
	if given.err != nil {
		if errors.Is(given.err, errOverloaded) {
			holdBack(ctx, now)
		}
		given.err = withStart(given.err, &known.Campaign)
	}
	return given
}

// withoutVolatile leaves out an answer that stands on a gate which a kill empties.
func (a *applications) withoutVolatile(given answer) answer {
	if a.volatileGate && given.err == nil && given.view.Status == statusReserved {
		return answer{err: errOnlyReserved}
	}
	return given
}

var errOnlyReserved = domain.Errorf(domain.CodeOutcomeUnknown, "Kafka did not acknowledge the record, and the gate is kept in memory alone")

// warnOf logs now and then: while a store is away every application fails in the same way.
func (a *applications) warnOf(message string, err error) {
	a.warn.Do(func() { a.logger.Warn(message, "error", err) })
}

// withStart tells who came too early when to come again.
func withStart(err error, campaign *domain.Campaign) error {
	coded, ok := errors.AsType[*domain.Error](err)
	if !ok || coded.Code != domain.CodeNotStarted || coded.RetryAfter > 0 {
		return err
	}
	timed := *coded
	timed.RetryAfter = time.Until(campaign.StartsAt)
	return &timed
}
