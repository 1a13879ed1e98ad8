package consumer

import "firstcome/domain"

// item is one record on its way. It is done when its user has a row, or a fail event was recorded, or a record
// from outside was refused.
type item struct {
	delivery domain.Delivery
	// winner is what the record says, or what the gate said last.
	winner domain.Winner
	// admission is the gate's last answer, kept because a new one has to be confirmed.
	admission domain.Admission
	// admitted is false for a record from outside that has not asked the gate yet.
	admitted bool
	// paid is true once the throttle let the item pass.
	paid bool
	done bool
}

func (i *item) take(admission domain.Admission) {
	i.admission, i.winner, i.admitted = admission, admission.Winner, true
}

// batch is what a round has in hand: what the poll gave, in the order of each partition. It may hold again what earlier
// rounds could not finish.
type batch struct {
	items []*item
}

func newBatch(deliveries []domain.Delivery) *batch {
	b := &batch{items: make([]*item, len(deliveries))}
	all := make([]item, len(deliveries))
	for i, delivery := range deliveries {
		all[i] = item{delivery: delivery, winner: delivery.Winner, admitted: !delivery.External}
		b.items[i] = &all[i]
	}
	return b
}

// in gives the lane in which the item waits for its next step.
func (i *item) in() lane {
	switch {
	case i.delivery.Problem != nil:
		return lane{kind: unreadable}
	case !i.admitted:
		return lane{kind: fromOutside}
	}
	return lane{kind: ofCampaign, campaign: i.winner.Campaign}
}

// lanes gives what is not done, by lane; within each in the order of arrival.
func (b *batch) lanes() map[lane][]*item {
	lanes := map[lane][]*item{}
	for _, i := range b.items {
		if !i.done {
			lanes[i.in()] = append(lanes[i.in()], i)
		}
	}
	return lanes
}

// pay counts the rows for which the throttle was not asked yet: an item that is tried again pays once.
func pay(items []*item) int {
	rows := 0
	for _, i := range items {
		if !i.paid {
			i.paid = true
			rows++
		}
	}
	return rows
}

// admissionsOf is where and under which epoch users were admitted.
type admissionsOf struct {
	campaign string
	epoch    int64
}

// entriesDone gives the pending entries all of whose winners are done.
func (b *batch) entriesDone() map[admissionsOf][]string {
	type entry struct {
		made admissionsOf
		id   string
	}
	winnersDone := map[entry]int{}
	entries := map[admissionsOf][]string{}
	for _, i := range b.items {
		if !i.admission.New || !i.done {
			continue
		}
		one := entry{admissionsOf{i.admission.Campaign, i.admission.Epoch}, i.admission.EntryID}
		winnersDone[one]++
		if winnersDone[one] == i.admission.EntrySize {
			entries[one.made] = append(entries[one.made], one.id)
		}
	}
	return entries
}

// finished gives the deliveries that are done. The source commits an offset only when everything before it is done too.
func (b *batch) finished() []domain.Delivery {
	var done []domain.Delivery
	for _, i := range b.items {
		if i.done {
			done = append(done, i.delivery)
		}
	}
	return done
}
