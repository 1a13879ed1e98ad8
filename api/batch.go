package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// holdPatience is how long a batch at most waits for those before it to come back from Kafka.
const holdPatience = 25 * time.Millisecond

// work decides batches until nobody waits in the line.
func (a *applications) work(known *knownCampaign) {
	var batch, late []*application
	var dismissed bool
	var space decisionSpace
	for {
		batch, late, dismissed = known.line.take(batch, late)
		if dismissed {
			return
		}
		for _, asked := range late {
			asked.answered(0, winnerView{}, errOverloaded)
		}
		if len(batch) == 0 {
			continue
		}
		crashpoint.Reach(crashpoint.APITaken)
		winners := a.admit(known, stillThere(batch), &space)
		if len(winners) == 0 {
			continue
		}
		gone := known.line.handedOn(len(winners))
		go a.settleBatch(known.line, gone, winners)
	}
}

// stillThere leaves out, answered, who left the line before it was their turn.
func stillThere(batch []*application) []*application {
	staying := batch[:0]
	for _, asked := range batch {
		if err := asked.ctx.Err(); err != nil {
			asked.answered(0, winnerView{}, err)
			continue
		}
		staying = append(staying, asked)
	}
	return staying
}

// decisionSpace is what a worker needs to ask the gate, kept from batch to batch.
type decisionSpace struct {
	users     []domain.UserID
	decisions []domain.Decision
}

func (s *decisionSpace) fit(n int) {
	if cap(s.users) < n {
		s.users, s.decisions = make([]domain.UserID, n), make([]domain.Decision, n)
	}
	s.users, s.decisions = s.users[:n], s.decisions[:n]
}

// winner is an applicant for whom the gate has a slot, on the way to Kafka.
type winner struct {
	asked     *application // nil once answered
	admission domain.Admission
}

func (w *winner) answered(status int, view winnerView, err error) {
	asked := w.asked
	w.asked = nil
	asked.answered(status, view, err)
}

func (w *winner) hears(status string) {
	w.answered(http.StatusAccepted, viewOf(&w.admission, status), nil)
}

func (w *winner) hearsSlot() { w.answered(http.StatusAccepted, withSlot(&w.admission), nil) }

// admit is step 3 for a batch. It answers all but the new winners, and gives those.
func (a *applications) admit(known *knownCampaign, batch []*application, space *decisionSpace) []*winner {
	if len(batch) == 0 {
		return nil
	}
	space.fit(len(batch))
	for i, asked := range batch {
		space.users[i] = asked.user
	}
	err := a.askGate(a.gate.AdmitAll, known.Code, space)
	a.keeper.learn(known.refusals, space.decisions, err)
	var made []winner
	for i, asked := range batch {
		decision := &space.decisions[i]
		switch {
		case err != nil:
			asked.answered(0, winnerView{}, err)
		case decision.Err != nil:
			asked.answered(0, winnerView{}, decision.Err)
		case !decision.New:
			asked.answered(http.StatusOK, knownWinner(&decision.Admission), nil)
		default:
			if made == nil {
				made = make([]winner, 0, len(batch)-i)
			}
			made = append(made, winner{asked, decision.Admission})
		}
	}
	winners := make([]*winner, len(made))
	for i := range made {
		winners[i] = &made[i]
	}
	return winners
}

// askGate asks one of the gate's questions, within AdmitTimeout. A panic of a store is an error to those who wait.
func (a *applications) askGate(
	question func(context.Context, string, []domain.UserID, []domain.Decision) error, campaign string, space *decisionSpace,
) (err error) {
	defer func() { err = a.recovered(recover(), err) }()
	ctx, cancel := context.WithTimeout(context.Background(), a.admitTimeout)
	defer cancel()
	return question(ctx, campaign, space.users, space.decisions)
}

func (a *applications) recovered(reason any, err error) error {
	if reason == nil {
		return err
	}
	a.logger.Error("the work on applications panicked", "reason", reason, "stack", string(debug.Stack()))
	return domain.Wrap(domain.CodeInternal, fmt.Errorf("panic: %v", reason), "the work on the application panicked")
}

func (a *applications) settleBatch(l *line, gone *trip, winners []*winner) {
	defer l.cameBack(gone)
	defer func() {
		if err := a.recovered(recover(), nil); err != nil {
			for _, w := range winners {
				if w.asked != nil {
					w.answered(0, winnerView{}, err)
				}
			}
		}
	}()
	crashpoint.Reach(crashpoint.APIAdmitted)
	a.settle(winners, 0)
}

// settle is steps 4 and 5 for winners of one pending entry. In the rounds after the first, they are winners whose gate
// was rebuilt since: their first records are in Kafka, so whatever happens they are accepted.
func (a *applications) settle(winners []*winner, round int) {
	ctx, cancel := context.WithTimeout(context.Background(), a.produceTimeout)
	defer cancel()
	records := make([]domain.Winner, len(winners))
	for i, w := range winners {
		records[i] = w.admission.Winner
	}
	unsettled, allAcknowledged := len(winners), true
	a.publisher.PublishEach(ctx, records, func(places []int, err error) {
		some := pick(winners, places)
		unsettled -= len(some)
		if err != nil {
			allAcknowledged = false
			a.unpublished(some, round, err)
			return
		}
		crashpoint.Reach(crashpoint.APIPublished)
		a.published(some, round, unsettled == 0 && allAcknowledged)
	})
}

func pick(winners []*winner, places []int) []*winner {
	some := make([]*winner, len(places))
	for i, place := range places {
		some[i] = winners[place]
	}
	return some
}

// unpublished answers winners whose records Kafka did not acknowledge in time; they may be there all the same.
func (a *applications) unpublished(winners []*winner, round int, err error) {
	a.warnOf("Kafka did not acknowledge in time; the relay goes on", err)
	status := statusReserved
	if round > 0 {
		status = statusAccepted
	}
	for _, w := range winners {
		w.hears(status)
	}
}

// published answers winners whose records are in Kafka. Their entry goes once all who share it are there.
func (a *applications) published(winners []*winner, round int, entryIsDone bool) {
	code := domain.CodeEpochChanged
	if round < maxConfirmations {
		code = a.confirm(&winners[0].admission, entryIsDone)
		crashpoint.Reach(crashpoint.APIConfirmed)
	}
	switch {
	case code == "":
		for _, w := range winners {
			w.hearsSlot()
		}
	case code == domain.CodeEpochChanged && round < maxConfirmations:
		a.askAgain(winners, round+1)
	default:
		for _, w := range winners {
			w.hears(statusAccepted)
		}
	}
}

// confirm gives the code of the gate's answer, "" when the admissions of this one's epoch hold.
func (a *applications) confirm(admission *domain.Admission, entryIsDone bool) domain.Code {
	var entries []string
	if entryIsDone {
		entries = []string{admission.EntryID}
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.admitTimeout)
	defer cancel()
	err := a.gate.Acknowledge(ctx, admission.Campaign, admission.Epoch, entries)
	if err != nil {
		a.warnOf("the gate did not confirm", err)
	}
	return domain.CodeOf(err)
}

// askAgain asks a gate that was rebuilt since what holds now for winners whose records are in Kafka.
func (a *applications) askAgain(winners []*winner, round int) {
	var space decisionSpace
	space.fit(len(winners))
	for i, w := range winners {
		space.users[i] = w.admission.UserID
	}
	err := a.askGate(a.gate.HonourAll, winners[0].admission.Campaign, &space)
	crashpoint.Reach(crashpoint.APIHonoured)
	time.Sleep(refusalLease) // leases from before know nothing of these users
	var again []*winner
	for i, w := range winners {
		decision := &space.decisions[i]
		switch {
		case err != nil:
			a.afterRebuild(w, err)
		case decision.Err != nil:
			a.afterRebuild(w, decision.Err)
		case decision.New:
			w.admission = decision.Admission
			again = append(again, w)
		default:
			w.answered(http.StatusAccepted, durable(&decision.Admission), nil)
		}
	}
	if len(again) > 0 {
		a.settle(again, round)
	}
}

// afterRebuild is what a winner hears whose record is in Kafka and to whom the rebuilt gate gave no slot. Sold out is
// no refusal here: the record becomes a fail event, which waits for the next free slot.
func (a *applications) afterRebuild(w *winner, err error) {
	view := viewOf(&w.admission, statusAccepted)
	switch domain.CodeOf(err) {
	case domain.CodeRevoked:
		w.answered(0, winnerView{}, err)
		return
	case domain.CodeSoldOut:
		view.Delayed = true
	default:
		a.warnOf("the rebuilt gate did not answer", err)
	}
	w.answered(http.StatusAccepted, view, nil)
}

// knownWinner is what somebody hears who was admitted earlier: the slot is told once the record is certainly in Kafka.
func knownWinner(admission *domain.Admission) winnerView {
	if admission.InQueue {
		return withSlot(admission)
	}
	return viewOf(admission, statusReserved)
}

// durable is what a new winner hears whose record is in Kafka and whom the rebuilt gate knows already.
func durable(admission *domain.Admission) winnerView {
	if admission.InQueue {
		return withSlot(admission)
	}
	return viewOf(admission, statusAccepted)
}
