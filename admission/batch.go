package admission

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// holdPatience is how long a batch at most waits for those before it to come back from Kafka.
const holdPatience = 25 * time.Millisecond

// work decides batches until nobody waits in the line.
func (s *Service) work(known *knownCampaign) {
	var batch, late []*application
	var dismissed bool
	var space decisionSpace
	for {
		batch, late, dismissed = known.line.take(batch, late)
		if dismissed {
			return
		}
		for _, asked := range late {
			asked.answered(Answer{Err: errOverloaded})
		}
		if len(batch) == 0 {
			continue
		}
		crashpoint.Reach(crashpoint.APITaken)
		winners := s.admit(known, stillThere(batch), &space)
		if len(winners) == 0 {
			continue
		}
		gone := known.line.handedOn(len(winners))
		go s.settleBatch(known, gone, winners)
	}
}

// stillThere leaves out, answered, who left the line before it was their turn.
func stillThere(batch []*application) []*application {
	staying := batch[:0]
	for _, asked := range batch {
		if err := asked.ctx.Err(); err != nil {
			asked.answered(Answer{Err: err})
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

// winner is an applicant who has a slot at the gate, on the way to Kafka.
type winner struct {
	asked     *application // nil once answered
	admission domain.Admission
}

func (w *winner) answered(given Answer) {
	asked := w.asked
	w.asked = nil
	asked.answered(given)
}

func (w *winner) hears(status Status) { w.answered(Answer{Winner: winnerOf(&w.admission, status)}) }

func (w *winner) hearsSlot() { w.answered(Answer{Winner: withSlot(&w.admission)}) }

// admit is step 3 for a batch. It answers all but the new winners, and gives those.
func (s *Service) admit(known *knownCampaign, batch []*application, space *decisionSpace) []*winner {
	if len(batch) == 0 {
		return nil
	}
	space.fit(len(batch))
	for i, asked := range batch {
		space.users[i] = asked.user
	}
	err := s.askGate(s.gate.AdmitAll, known.Code, s.admitTimeout, space)
	if err == nil && known.epoch.isAfter(space.decisions[0].Epoch) {
		err = errOutdated // who was admitted is pending there: a rebuild reads it, or it was never promised
	}
	s.keeper.learn(known.refusals, space.decisions, err)
	var made []winner
	for i, asked := range batch {
		decision := &space.decisions[i]
		switch {
		case err != nil:
			asked.answered(Answer{Err: err})
		case decision.Err != nil:
			asked.answered(Answer{Err: decision.Err})
		case !decision.New:
			asked.answeredIn(decision.TellIn, Answer{Known: true, Winner: knownWinner(&decision.Admission)})
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

// askGate asks one of the gate's questions, with so much time for the answer. A panic of a store is an error to those who
// wait.
func (s *Service) askGate(
	question func(context.Context, string, []domain.UserID, []domain.Decision) error, campaign string,
	within time.Duration, space *decisionSpace,
) (err error) {
	defer func() { err = s.recovered(recover(), err) }()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return question(ctx, campaign, space.users, space.decisions)
}

func (s *Service) recovered(reason any, err error) error {
	if reason == nil {
		return err
	}
	s.logger.Error("the work on applications panicked", "reason", reason, "stack", string(debug.Stack()))
	return domain.Wrap(domain.CodeInternal, fmt.Errorf("panic: %v", reason), "the work on the application panicked")
}

// settleBatch is steps 4 and 5 for winners of one pending entry. While they wait for a gate to open they are no longer on
// the way to Kafka: they hold up nobody who comes after them.
func (s *Service) settleBatch(known *knownCampaign, gone *trip, winners []*winner) {
	defer func() {
		if err := s.recovered(recover(), nil); err != nil {
			for _, w := range winners {
				if w.asked != nil {
					w.answered(Answer{Err: err})
				}
			}
		}
	}()
	crashpoint.Reach(crashpoint.APIAdmitted)
	left := s.publish(known, gone, winners)
	if len(left.winners) > 0 {
		s.confirmLater(known, left)
	}
}

// unconfirmed are winners of one pending entry whose records are in Kafka, and that the gate did not confirm.
type unconfirmed struct {
	winners []*winner
	// entryIsDone says that all who share the entry are in Kafka.
	entryIsDone bool
	// code is what the gate said last.
	code domain.Code
}

// publish is step 4, and the first try of step 5. It gives the winners who wait for the gate, and answers all others.
func (s *Service) publish(known *knownCampaign, gone *trip, winners []*winner) unconfirmed {
	defer known.line.cameBack(gone)
	unsettled := len(winners)
	left := unconfirmed{entryIsDone: true}
	s.publishEach(winners, func(some []*winner, err error) {
		unsettled -= len(some)
		if err != nil {
			left.entryIsDone = false
			s.unpublished(some, StatusReserved, err)
			return
		}
		crashpoint.Reach(crashpoint.APIPublished)
		// Once the gate did not confirm, one question for all who are left is enough.
		if left.code == "" {
			left.code = s.confirm(known, &some[0].admission, unsettled == 0 && left.entryIsDone)
			crashpoint.Reach(crashpoint.APIConfirmed)
		}
		if left.code != "" {
			left.winners = append(left.winners, some...)
			return
		}
		for _, w := range some {
			w.hearsSlot()
		}
	})
	return left
}

// publishEach publishes the records of the winners, and tells of each once, in groups, as Kafka answers.
func (s *Service) publishEach(winners []*winner, settled func(some []*winner, err error)) {
	ctx, cancel := context.WithTimeout(context.Background(), s.produceTimeout)
	defer cancel()
	records := make([]domain.Winner, len(winners))
	for i, w := range winners {
		records[i] = w.admission.Winner
	}
	s.publisher.PublishEach(ctx, records, func(places []int, err error) { settled(pick(winners, places), err) })
}

func pick(winners []*winner, places []int) []*winner {
	some := make([]*winner, len(places))
	for i, place := range places {
		some[i] = winners[place]
	}
	return some
}

// unpublished answers winners whose records Kafka did not acknowledge in time; they may be there all the same.
func (s *Service) unpublished(winners []*winner, status Status, err error) {
	s.warnOf("Kafka did not acknowledge in time; the relay goes on", err)
	for _, w := range winners {
		w.hears(status)
	}
}

// knownWinner is what somebody hears who was admitted earlier: the slot is told once the record is certainly in Kafka.
func knownWinner(admission *domain.Admission) Winner {
	if admission.InQueue {
		return withSlot(admission)
	}
	return winnerOf(admission, StatusReserved)
}
