package admission

import (
	"context"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// What becomes of winners whose records are in Kafka and that the gate did not confirm (step 5): the gate is closed, did
// not answer, or was rebuilt since their admission.
//
// Kafka's acknowledgement alone is no promise that can be kept. A rebuild under way may have read the topic before the
// record was there: it then opens a gate that does not know the user, and that gate may give the last slot to somebody
// else before the consumer meets the record. So nothing is promised before an open gate knows the user: from then on each
// rebuild finds the record on the topic, or the user in the ledger.

const (
	// confirmPatience is how long winners wait for a gate that does not confirm, until they hear "reserved".
	confirmPatience = 5 * time.Second
	// confirmPause is how long after the first try the gate is asked again, and longestConfirmPause how long at most: the
	// pause doubles. All winners of a batch wait for one question.
	confirmPause, longestConfirmPause = 50 * time.Millisecond, 400 * time.Millisecond
	// maxUnconfirmed is how many winners of this process wait for gates, those of one campaign up to their share (places);
	// further ones hear "reserved" at once.
	maxUnconfirmed = 8192
	// honourWait is how long domain.HonourAll may take beyond a call of the gate.
	honourWait = 2 * refusalLease
)

// confirmLater answers winners as soon as the gate is open and knows them, or at the end of confirmPatience.
func (s *Service) confirmLater(known *knownCampaign, left unconfirmed) {
	deadline := time.Now()
	if n := int64(len(left.winners)); known.line.awaitsGate(n) {
		defer known.line.heardOfGate(n)
		deadline = deadline.Add(confirmPatience)
	}
	for pause := confirmPause; ; pause = min(2*pause, longestConfirmPause) {
		switch left.code {
		case "":
			for _, w := range left.winners {
				w.hearsSlot()
			}
			return
		case domain.CodeEpochChanged:
			if left.winners = s.honour(known, left.winners); len(left.winners) == 0 {
				return
			}
		}
		if time.Until(deadline) < pause {
			break
		}
		time.Sleep(pause)
		left.code = s.confirm(known, &left.winners[0].admission, left.entryIsDone)
	}
	for _, w := range left.winners {
		w.hears(StatusReserved)
	}
}

// confirm gives the code of the gate's answer, "" when the admissions of this one's epoch hold.
func (s *Service) confirm(known *knownCampaign, admission *domain.Admission, entryIsDone bool) domain.Code {
	var entries []string
	if entryIsDone {
		entries = []string{admission.EntryID}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.admitTimeout)
	defer cancel()
	err := s.gate.Acknowledge(ctx, known.Code, admission.Epoch, entries)
	if err == nil && known.epoch.isAfter(admission.Epoch) {
		err = errOutdated
	}
	if err != nil {
		s.warnOf("the gate did not confirm", err)
	}
	return domain.CodeOf(err)
}

// honour asks a gate that was rebuilt since what holds now for winners whose records are in Kafka. It gives those for
// which the gate had no answer; all others know now what holds.
func (s *Service) honour(known *knownCampaign, winners []*winner) []*winner {
	var space decisionSpace
	space.fit(len(winners))
	for i, w := range winners {
		space.users[i] = w.admission.UserID
	}
	ask := func(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
		return domain.HonourAll(ctx, s.gate, campaign, users, decisions)
	}
	err := s.askGate(ask, known.Code, s.admitTimeout+honourWait, &space)
	if err == nil && known.epoch.isAfter(space.decisions[0].Epoch) {
		err = errOutdated
	}
	if err != nil {
		s.warnOf("the rebuilt gate did not answer", err)
		return winners
	}
	crashpoint.Reach(crashpoint.APIHonoured)
	var left, again []*winner
	for i, w := range winners {
		decision := &space.decisions[i]
		switch domain.CodeOf(decision.Err) {
		case "":
			w.admission = decision.Admission
			if decision.New {
				again = append(again, w)
				continue
			}
			w.answered(Answer{Winner: durable(&w.admission)})
		case domain.CodeSoldOut: // no refusal here: the record becomes a fail event, which waits for the next free slot
			owed := winnerOf(&w.admission, StatusAccepted)
			owed.Delayed = true
			w.answered(Answer{Winner: owed})
		case domain.CodeRevoked:
			w.answered(Answer{Err: decision.Err})
		default:
			left = append(left, w)
		}
	}
	if len(again) > 0 {
		s.publishAgain(known, again)
	}
	return left
}

// publishAgain is for winners that got a new slot from a rebuilt gate. They are accepted whatever happens now: an open
// gate knows them, and their first records are in Kafka. The slot is told if the gate confirms it once more.
func (s *Service) publishAgain(known *knownCampaign, winners []*winner) {
	unsettled, allAcknowledged := len(winners), true
	s.publishEach(winners, func(some []*winner, err error) {
		unsettled -= len(some)
		if err != nil {
			allAcknowledged = false
			s.unpublished(some, StatusAccepted, err)
			return
		}
		confirmed := s.confirm(known, &some[0].admission, unsettled == 0 && allAcknowledged) == ""
		for _, w := range some {
			if confirmed {
				w.hearsSlot()
			} else {
				w.hears(StatusAccepted)
			}
		}
	})
}

// durable is what a winner hears whose record is in Kafka and that the rebuilt gate knows already.
func durable(admission *domain.Admission) Winner {
	if admission.InQueue {
		return withSlot(admission)
	}
	return winnerOf(admission, StatusAccepted)
}
