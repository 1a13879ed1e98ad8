package retryer

import (
	"context"
	"errors"
	"sync"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// sending is a row of entries of one epoch. entryOf says, for each winner, which of them it stands in.
type sending struct {
	epoch   int64
	ids     []string
	winners []domain.Winner
	entryOf []int
}

func byEpoch(entries []domain.PendingEntry) []sending {
	var groups []sending
	for _, entry := range entries {
		if len(entry.Winners) == 0 {
			continue
		}
		epoch := entry.Winners[0].Epoch
		if len(groups) == 0 || groups[len(groups)-1].epoch != epoch {
			groups = append(groups, sending{epoch: epoch})
		}
		last := &groups[len(groups)-1]
		last.ids = append(last.ids, entry.ID)
		last.winners = append(last.winners, entry.Winners...)
		for range entry.Winners {
			last.entryOf = append(last.entryOf, len(last.ids)-1)
		}
	}
	return groups
}

// maxRelayed bounds the winners that the relay remembers to have sent of entries that are not done; about 100 bytes each.
const maxRelayed = 100_000

// relayed remembers who was taken of entries that are not done yet: however slow Kafka is, each run gets further.
type relayed struct {
	mu   sync.Mutex
	seen map[relayedWinner]bool
}

// relayedWinner is a winner in an entry; the same ID may stand in several campaigns.
type relayedWinner struct {
	campaign, entry string
	epoch           int64
	user            domain.UserID
}

func (r *relayed) has(one relayedWinner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[one]
}

func (r *relayed) add(one relayedWinner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil || len(r.seen) >= maxRelayed {
		r.seen = map[relayedWinner]bool{} // who is forgotten is sent twice
	}
	r.seen[one] = true
}

func (r *relayed) forget(group sending, undone []bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for place, winner := range group.winners {
		if !undone[group.entryOf[place]] {
			delete(r.seen, group.relayedWinner(place, winner))
		}
	}
}

func (s sending) relayedWinner(place int, winner domain.Winner) relayedWinner {
	return relayedWinner{winner.Campaign, s.ids[s.entryOf[place]], s.epoch, winner.UserID}
}

// send sends the winners who were not taken before, removes the entries that are done by that, and says how many
// winners were taken. The error is that of the first winner who was not.
func (r *Retryer) send(ctx context.Context, code string, group sending) (int, error) {
	left, places := r.notRelayed(group)
	limited, cancel := context.WithTimeout(ctx, relayTimeout)
	defer cancel()
	taken, failure := 0, error(nil)
	settle := func(place int, err error) {
		if domain.CodeOf(err) == domain.CodeRecordRefused {
			err = r.keepRefused(limited, group.winners[place], err)
		}
		if err != nil {
			failure = errors.Join(failure, err)
			return
		}
		r.relayed.add(group.relayedWinner(place, group.winners[place]))
		taken++
	}
	r.ports.Publisher.PublishEach(limited, left, func(settled []int, err error) {
		for _, one := range settled {
			if err == nil || failure == nil {
				settle(places[one], err)
			}
		}
	})
	crashpoint.Reach(crashpoint.RelayPublished)
	r.metrics.relayed.Add(float64(taken))
	return taken, errors.Join(failure, r.acknowledgeDone(ctx, code, group))
}

// notRelayed gives the winners of the group who were not taken by an earlier run, and their places in it.
func (r *Retryer) notRelayed(group sending) (left []domain.Winner, places []int) {
	for place, winner := range group.winners {
		if !r.relayed.has(group.relayedWinner(place, winner)) {
			left, places = append(left, winner), append(places, place)
		}
	}
	return left, places
}

// acknowledgeDone removes the entries all of whose winners were taken.
func (r *Retryer) acknowledgeDone(ctx context.Context, code string, group sending) error {
	undone := make([]bool, len(group.ids))
	for place, winner := range group.winners {
		if !r.relayed.has(group.relayedWinner(place, winner)) {
			undone[group.entryOf[place]] = true
		}
	}
	var done []string
	for entry, id := range group.ids {
		if !undone[entry] {
			done = append(done, id)
		}
	}
	if len(done) == 0 {
		return nil
	}
	err := r.ports.Pending.Acknowledge(ctx, code, group.epoch, done)
	switch domain.CodeOf(err) {
	case "":
		crashpoint.Reach(crashpoint.RelayAcknowledged)
	case domain.CodeEpochChanged, domain.CodeGateClosed:
		err = nil
	default:
		return err
	}
	r.relayed.forget(group, undone)
	return err
}

// keepRefused keeps a winner whose record Kafka refuses as a fail event, from which the coupon is stored. An event of
// another epoch is not kept: the rebuild knows the winner from the pending entry.
func (r *Retryer) keepRefused(ctx context.Context, winner domain.Winner, refusal error) error {
	err := r.ports.Events.RecordFailEvent(ctx, domain.FailEvent{
		Winner: winner, Status: domain.FailStatusFail, Reason: domain.ReasonRecordRefused, ErrorMessage: reasonOf(refusal),
		Raw: []byte(winner.UserID.String()), Position: domain.RecordPosition{Topic: "", Partition: -1, Offset: -1},
	})
	if err == nil {
		r.logger.Error("Kafka refuses the record of a winner; the coupon is stored from a fail event",
			"campaign", winner.Campaign, "user_id", winner.UserID, "error", refusal)
	}
	return err
}
