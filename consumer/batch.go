package consumer

import (
	"cmp"
	"slices"

	"firstcome/domain"
)

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

// batch is what one poll gave, in the order of each partition.
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

func (b *batch) undone(want func(*item) bool) []*item {
	var found []*item
	for _, i := range b.items {
		if !i.done && want(i) {
			found = append(found, i)
		}
	}
	return found
}

func (b *batch) unparsable() []*item {
	return b.undone(func(i *item) bool { return i.delivery.Problem != nil })
}

func (b *batch) external() []*item {
	return b.undone(func(i *item) bool { return i.delivery.Problem == nil && !i.admitted })
}

func (b *batch) storable() []*item {
	return b.undone(func(i *item) bool { return i.delivery.Problem == nil && i.admitted })
}

// pay counts the rows for which the throttle was not asked yet: a batch that is tried again pays once.
func (b *batch) pay() int {
	rows := 0
	for _, i := range b.storable() {
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

// byCampaign sorts the items into groups of one campaign each, in the order of the codes.
func byCampaign(items []*item) [][]*item {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b *item) int { return cmp.Compare(a.winner.Campaign, b.winner.Campaign) })
	var groups [][]*item
	for start, i := 0, 1; i <= len(sorted); i++ {
		if i == len(sorted) || sorted[i].winner.Campaign != sorted[start].winner.Campaign {
			groups = append(groups, sorted[start:i])
			start = i
		}
	}
	return groups
}

// donePrefix gives, of each partition, the deliveries before its first undone one: only their offsets may be
// committed, because a committed offset says that everything before it is done as well.
func (b *batch) donePrefix() []domain.Delivery {
	type partition struct {
		topic  string
		number int32
	}
	stopped := map[partition]bool{}
	var done []domain.Delivery
	for _, i := range b.items {
		at := partition{i.delivery.Position.Topic, i.delivery.Position.Partition}
		if !i.done {
			stopped[at] = true
		}
		if !stopped[at] {
			done = append(done, i.delivery)
		}
	}
	return done
}
