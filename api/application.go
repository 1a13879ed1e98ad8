package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"firstcome/domain"
)

// The steps of one application. What a crash of this process leaves behind stands after each.
//
//  1. The body is decoded; a bad one is refused. Nothing is left behind.
//  2. The campaign is looked up in memory (directory). Nothing is left behind.
//  3. The gate decides (Admit). For a new winner it writes, in the same atomic step, the user and a pending entry.
//     A known winner is answered now: 200. A client that leaves before the gate has taken the application up is not
//     admitted. From the admission on the client is not listened to any more: steps 4 and 5 run on a context of their
//     own, because an admission is never undone.
//     Crash: the user is admitted and the pending entry is there; the relay publishes the record. The client got no
//     answer, asks again, and is told about the same slot.
//  4. The record is published (acks=all). Kafka not reached within ProduceTimeout: 202 "reserved", without a slot; the
//     relay goes on. Such an answer does not survive the loss of Redis as well, because nothing else knows of it yet.
//     Crash: the record is perhaps on the topic; the relay publishes it again, the consumer knows the duplicate.
//  5. The gate is told (Confirm), which removes the pending entry if the gate was not rebuilt since the admission.
//     Crash: the record is on the topic, the entry remains; the relay publishes again, as above.
//     - Confirmed: 202 "accepted" with the slot.
//     - Rebuilt meanwhile: the rebuild perhaps did not see the record, so the slot may be somebody else's now. The gate
//     is asked again, as the consumer will when it meets the record (Honour: window and state no longer matter, because
//     the record exists), and what holds now is answered: at most maxConfirmations times. No slot left: 202 "accepted"
//     and delayed, because the record becomes a fail event that waits for one.
//     - No answer, or the gate is closed: 202 "accepted", without a slot. "accepted" says that the record is durable
//     in Kafka, and it is: it ends as a coupon row or as a fail event that an operator sees. The slot is left out since
//     a rebuild under way may change it.
//
// So "accepted" is only ever said after an acknowledgement by Kafka, and a slot only when the gate has confirmed it
// under the epoch at which it was given.

// maxConfirmations bounds how often a rebuilt gate is asked again for one application.
const maxConfirmations = 3

type applications struct {
	directory      *directory
	admitter       domain.Admitter
	publisher      domain.Publisher
	produceTimeout time.Duration
	admitTimeout   time.Duration
	outcomes       *prometheus.CounterVec
	funnel         FunnelCounter
	logger         *slog.Logger
	warn           rate.Sometimes
}

func newApplications(cfg Config, ports Ports, directory *directory, metrics *metrics, logger *slog.Logger) *applications {
	return &applications{
		directory: directory, admitter: ports.Admitter, publisher: ports.Publisher,
		produceTimeout: cfg.ProduceTimeout, admitTimeout: cfg.AdmitTimeout,
		outcomes: metrics.applications, funnel: ports.Funnel, logger: logger, warn: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// longest is how long one application can take.
func (a *applications) longest() time.Duration {
	return maxConfirmations * (a.produceTimeout + 2*a.admitTimeout)
}

// apply carries an application through steps 2 to 5 and gives the HTTP status and what the winner is told. An error is
// a refusal, or a failure after which the client may ask again.
func (a *applications) apply(ctx context.Context, code string, user domain.UserID) (int, winnerView, error) {
	status, view, err := a.decide(ctx, code, user)
	var outcome string
	switch {
	case err != nil:
		outcome = string(codeOf(err))
	case status == http.StatusOK:
		outcome = string(domain.FunnelKnown)
	default:
		outcome = view.Status
	}
	a.outcomes.WithLabelValues(outcome).Inc()
	if _, known := a.directory.lookUp(code); known {
		a.funnel.Count(code, domain.FunnelOutcome(outcome), 1)
	}
	return status, view, err
}

func (a *applications) decide(ctx context.Context, code string, user domain.UserID) (int, winnerView, error) {
	campaign, err := a.directory.find(ctx, code)
	if err != nil {
		return 0, winnerView{}, err
	}
	admission, err := a.ask(ctx, a.admitter.Admit, campaign.Code, user)
	switch {
	case err != nil:
		return 0, winnerView{}, withStart(err, campaign)
	case !admission.New:
		return http.StatusOK, knownWinner(admission), nil
	}
	view, err := a.settle(context.WithoutCancel(ctx), admission)
	return http.StatusAccepted, view, err
}

// settle is steps 4 and 5 for a new winner.
func (a *applications) settle(ctx context.Context, admission domain.Admission) (winnerView, error) {
	if !a.publish(ctx, admission.Winner) {
		return viewOf(admission, statusReserved), nil
	}
	for range maxConfirmations {
		switch a.confirm(ctx, admission) {
		case "":
			return withSlot(admission), nil
		case domain.CodeEpochChanged:
		default:
			return viewOf(admission, statusAccepted), nil
		}
		again, err := a.ask(ctx, a.admitter.Honour, admission.Campaign, admission.UserID)
		if err != nil {
			return a.afterRebuild(admission, err)
		}
		admission = again
		if !admission.New {
			return durable(admission), nil
		}
		if !a.publish(ctx, admission.Winner) {
			break
		}
	}
	return viewOf(admission, statusAccepted), nil
}

// afterRebuild is what a winner hears whose record is in Kafka and to whom the rebuilt gate gave no slot. Sold out is
// no refusal here: the record becomes a fail event, which waits for the next free slot.
func (a *applications) afterRebuild(admission domain.Admission, err error) (winnerView, error) {
	view := viewOf(admission, statusAccepted)
	switch domain.CodeOf(err) {
	case domain.CodeRevoked:
		return winnerView{}, err
	case domain.CodeSoldOut:
		view.Delayed = true
	default:
		a.warnOf("the rebuilt gate did not answer", err)
	}
	return view, nil
}

func (a *applications) ask(ctx context.Context, question func(context.Context, string, domain.UserID) (domain.Admission, error),
	campaign string, user domain.UserID,
) (domain.Admission, error) {
	ctx, cancel := context.WithTimeout(ctx, a.admitTimeout)
	defer cancel()
	return question(ctx, campaign, user)
}

// publish says whether Kafka acknowledged the record. When it did not, the record may be there all the same.
func (a *applications) publish(ctx context.Context, winner domain.Winner) bool {
	ctx, cancel := context.WithTimeout(ctx, a.produceTimeout)
	defer cancel()
	err := a.publisher.Publish(ctx, winner)
	if err != nil {
		a.warnOf("Kafka did not acknowledge in time; the relay goes on", err)
	}
	return err == nil
}

// confirm gives the code of the gate's answer, "" when the admission is confirmed.
func (a *applications) confirm(ctx context.Context, admission domain.Admission) domain.Code {
	ctx, cancel := context.WithTimeout(ctx, a.admitTimeout)
	defer cancel()
	err := a.admitter.Confirm(ctx, admission)
	if err != nil {
		a.warnOf("the gate did not confirm", err)
	}
	return domain.CodeOf(err)
}

// warnOf logs now and then: while a store is away every application fails in the same way.
func (a *applications) warnOf(message string, err error) {
	a.warn.Do(func() { a.logger.Warn(message, "error", err) })
}

// knownWinner is what somebody hears who was admitted earlier: the slot is told once the record is certainly in Kafka.
func knownWinner(admission domain.Admission) winnerView {
	if admission.InQueue {
		return withSlot(admission)
	}
	return viewOf(admission, statusReserved)
}

// durable is what a new winner hears whose record is in Kafka and whom the rebuilt gate knows already.
func durable(admission domain.Admission) winnerView {
	if admission.InQueue {
		return withSlot(admission)
	}
	return viewOf(admission, statusAccepted)
}

// withStart tells who came too early when to come again.
func withStart(err error, campaign domain.Campaign) error {
	coded, ok := errors.AsType[*domain.Error](err)
	if !ok || coded.Code != domain.CodeNotStarted || coded.RetryAfter > 0 {
		return err
	}
	timed := *coded
	timed.RetryAfter = time.Until(campaign.StartsAt)
	return &timed
}
