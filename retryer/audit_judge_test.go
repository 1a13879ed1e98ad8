package retryer

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// look says what each place showed of user 7; a zero slot and false mean that the place did not have the user.
type look struct {
	inGate      bool
	gate        domain.Slot
	pending     domain.Slot
	topic       bool
	topicEpoch  int64
	coupon      domain.Slot
	revoked     bool
	event       bool
	eventSlot   domain.Slot
	wantKind    domain.AuditKind
	wantSlot    domain.Slot
	wantFound   []string
	wantMissing []string
}

func (l look) seen() *seen {
	s := &seen{user: 7}
	if l.inGate {
		s.addWinner(domain.GateWinner{UserID: 7, Slot: l.gate})
	}
	if l.pending != 0 {
		s.addPending(domain.Winner{UserID: 7, Slot: l.pending})
	}
	if l.topic {
		s.addRecord(domain.Winner{UserID: 7, Epoch: l.topicEpoch}, 3)
	}
	if l.coupon != 0 {
		s.addHolder(domain.Holder{UserID: 7, Slot: l.coupon})
	}
	if l.revoked {
		s.addHolder(domain.Holder{UserID: 7, Slot: domain.NoSlot})
	}
	if l.event {
		s.addHolder(domain.Holder{UserID: 7, Slot: l.eventSlot, ByFailEvent: true})
	}
	return s
}

func TestWhatIsWrongWithAUser(t *testing.T) {
	for name, c := range map[string]look{
		"admitted, not yet in Kafka":         {inGate: true, gate: 5, pending: 5},
		"in Kafka, not yet stored":           {inGate: true, gate: 5, topic: true, topicEpoch: 3},
		"in Kafka under an older epoch":      {inGate: true, gate: 5, topic: true, topicEpoch: 2},
		"stored":                             {inGate: true, gate: 5, coupon: 5},
		"stored and sent again":              {inGate: true, gate: 5, coupon: 5, pending: 5, topic: true, topicEpoch: 3},
		"a fail event":                       {inGate: true, gate: 5, event: true, eventSlot: 5},
		"a fail event that was given a slot": {inGate: true, gate: 5, event: true, eventSlot: domain.SlotOwed},
		"owed, with a fail event":            {inGate: true, gate: domain.SlotOwed, event: true, eventSlot: domain.SlotOwed},
		"owed, and sent to the topic":        {inGate: true, gate: domain.SlotOwed, topic: true, topicEpoch: 2},
		"revoked":                            {inGate: true, gate: domain.NoSlot, revoked: true},
		"revoked, with a late duplicate":     {inGate: true, gate: domain.NoSlot, revoked: true, pending: 5, topic: true},
		"an event for which no slot is left": {event: true, eventSlot: domain.SlotOwed},
		"a record that asks the gate first":  {topic: true, topicEpoch: 2},
		"known nowhere":                      {},

		"lost": {
			inGate: true, gate: 5, wantKind: domain.AuditWinnerLost, wantSlot: 5,
			wantFound: []string{"gate"}, wantMissing: []string{"pending", "topic", "coupon", "fail event"},
		},
		"owed and lost": {
			inGate: true, gate: domain.SlotOwed, wantKind: domain.AuditWinnerLost,
			wantFound: []string{"gate"}, wantMissing: []string{"pending", "topic", "coupon", "fail event"},
		},
		"a coupon unknown to the gate": {
			coupon: 5, wantKind: domain.AuditUnknownToGate, wantSlot: 5,
			wantFound: []string{"coupon"}, wantMissing: []string{"gate"},
		},
		"a revoked coupon unknown to the gate": {
			revoked: true, wantKind: domain.AuditUnknownToGate,
			wantFound: []string{"revoked coupon"}, wantMissing: []string{"gate"},
		},
		"a fail event with a slot unknown to the gate": {
			event: true, eventSlot: 5, wantKind: domain.AuditUnknownToGate, wantSlot: 5,
			wantFound: []string{"fail event"}, wantMissing: []string{"gate"},
		},
		"another slot in the ledger": {
			inGate: true, gate: 5, coupon: 6, wantKind: domain.AuditSlotMismatch, wantSlot: 6,
			wantFound: []string{"gate", "coupon"},
		},
		"owed, with a good coupon": {
			inGate: true, gate: domain.SlotOwed, coupon: 6, wantKind: domain.AuditSlotMismatch, wantSlot: 6,
			wantFound: []string{"gate", "coupon"},
		},
		"revoked in the gate alone": {
			inGate: true, gate: domain.NoSlot, coupon: 6, wantKind: domain.AuditSlotMismatch, wantSlot: 6,
			wantFound: []string{"gate", "coupon"},
		},
		"revoked in the ledger alone": {
			inGate: true, gate: 5, revoked: true, wantKind: domain.AuditSlotMismatch, wantSlot: 5,
			wantFound: []string{"gate", "revoked coupon"},
		},
		"a revocation that nothing proves": {
			inGate: true, gate: domain.NoSlot, wantKind: domain.AuditRevocationLost,
			wantFound: []string{"gate"}, wantMissing: []string{"revoked coupon"},
		},
		"another slot in pending": {
			inGate: true, gate: 5, pending: 6, wantKind: domain.AuditSlotMismatch, wantSlot: 5,
			wantFound: []string{"gate", "pending"},
		},
		"pending without a winner": {
			pending: 6, wantKind: domain.AuditPendingWithoutWinner, wantSlot: 6,
			wantFound: []string{"pending"}, wantMissing: []string{"gate"},
		},
		"a record of this epoch without a winner": {
			topic: true, topicEpoch: 3, wantKind: domain.AuditRecordWithoutWinner,
			wantFound: []string{"topic"}, wantMissing: []string{"gate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.seen()
			kind, slot, detail := s.judge()
			assert.Equal(t, c.wantKind, kind)
			if kind == "" {
				return
			}
			got := s.difference(kind, slot, detail)
			assert.Equal(t, c.wantSlot, got.Slot)
			assert.Equal(t, c.wantFound, got.Found)
			assert.Equal(t, c.wantMissing, got.Missing)
			assert.NotEmpty(t, got.Detail)
			assert.EqualValues(t, 7, got.UserID)
		})
	}
}

func TestWhatIsWrongWithASlot(t *testing.T) {
	for name, c := range map[string]struct {
		holders []domain.UserID
		free    bool
		want    domain.AuditKind
	}{
		"held":          {holders: []domain.UserID{1}},
		"free":          {free: true},
		"orphan":        {want: domain.AuditSlotOrphan},
		"held twice":    {holders: []domain.UserID{1, 2}, want: domain.AuditSlotHeldTwice},
		"free and held": {holders: []domain.UserID{1}, free: true, want: domain.AuditSlotFreeAndHeld},
	} {
		t.Run(name, func(t *testing.T) {
			got, wrong := judgeSlot(4, c.holders, c.free)
			assert.Equal(t, c.want != "", wrong)
			if wrong {
				assert.Equal(t, c.want, got.Kind)
				assert.EqualValues(t, 4, got.Slot)
			}
		})
	}
}

func TestWhatIsWrongWithAGate(t *testing.T) {
	campaign := domain.Campaign{Epoch: 3, Quota: 10}
	for name, c := range map[string]struct {
		report domain.GateReport
		want   []domain.AuditKind
	}{
		"in line":       {report: domain.GateReport{Epoch: 3, Quota: 10}},
		"closed":        {report: domain.GateReport{Epoch: 3, Closed: "sum"}, want: []domain.AuditKind{domain.AuditGateClosed}},
		"missing":       {report: domain.GateReport{Closed: "missing"}, want: []domain.AuditKind{domain.AuditGateClosed, domain.AuditEpochMismatch}},
		"older epoch":   {report: domain.GateReport{Epoch: 2, Quota: 10}, want: []domain.AuditKind{domain.AuditEpochMismatch}},
		"another quota": {report: domain.GateReport{Epoch: 3, Quota: 11}, want: []domain.AuditKind{domain.AuditQuotaMismatch}},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []domain.AuditKind
			for _, difference := range judgeGate(campaign, c.report) {
				kinds = append(kinds, difference.Kind)
			}
			assert.Equal(t, c.want, kinds)
		})
	}
}

// began is when the readings of these tests began, by the gate's clock.
var began = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func readingOf(quota, count int64) *comparison {
	return newComparison(domain.Campaign{Epoch: 3, Quota: quota}, domain.GateReport{Count: count, ServerTime: began})
}

func TestWhoeverWasAdmittedDuringTheReadingIsNoSuspect(t *testing.T) {
	c := readingOf(10, 1)
	c.addWinner(domain.GateWinner{UserID: 1, Slot: 1})
	c.sortWinners()
	c.addHolder(domain.Holder{UserID: 1, Slot: 1, AdmittedAt: began.Add(-time.Second)})
	c.addPending(domain.Winner{UserID: 2, Slot: 2, AdmittedAt: began})
	c.addRecord(domain.Winner{UserID: 3, Slot: 3, Epoch: 3, AdmittedAt: began.Add(time.Second)})
	c.addHolder(domain.Holder{UserID: 4, Slot: 4, AdmittedAt: began.Add(time.Second)})
	assert.Empty(t, c.suspectUsers())
	assert.Empty(t, c.suspectSlots)

	c.addHolder(domain.Holder{UserID: 5, Slot: 5, AdmittedAt: began.Add(-time.Millisecond)})
	assert.Equal(t, []domain.UserID{5}, c.suspectUsers(), "who was admitted before must be known to the gate")
}

func TestTheBoundOnSuspectsIsStatedAndNothingIsPassedOverInSilence(t *testing.T) {
	c := readingOf(2*maxSuspects, 2*maxSuspects)
	for user := range domain.UserID(2 * maxSuspects) {
		c.addWinner(domain.GateWinner{UserID: user + 1, Slot: domain.Slot(user + 1)})
	}
	c.sortWinners()
	assert.Len(t, c.suspectUsers(), maxSuspects)
	assert.EqualValues(t, maxSuspects, c.dropped)

	c = readingOf(2*maxSuspects, 2*maxSuspects)
	c.sortWinners()
	assert.Len(t, c.suspectSlots, maxSuspects)
	assert.EqualValues(t, maxSuspects, c.dropped)
}

func TestTwoCouponsAreNamedBoth(t *testing.T) {
	c := readingOf(2, 2)
	c.addWinner(domain.GateWinner{UserID: 1, Slot: 1})
	c.addWinner(domain.GateWinner{UserID: 2, Slot: domain.SlotOwed})
	c.sortWinners()
	for _, row := range []domain.Holder{{UserID: 1, Slot: 1}, {UserID: 2, Slot: 1}, {UserID: 3, Slot: 9}, {UserID: 1, Slot: 2}} {
		c.addHolder(row)
	}
	c.noteDuplicates()
	var named []string
	for _, difference := range append(c.certain, c.overQuota...) {
		named = append(named, fmt.Sprintf("%s %s %d", difference.Kind, difference.UserID, difference.Slot))
	}
	assert.Contains(t, named, "user-duplicated 1 2")
	assert.Contains(t, named, "slot-duplicated 2 1")
	assert.Contains(t, named, "slot-over-quota 3 9")
	assert.EqualValues(t, 4, c.counts.Issued)
	assert.NotContains(t, c.suspectUsers(), domain.UserID(2), "what follows from the duplicate is not reported as well")
}

// A user who moves on while the places are read one after the other is never a suspect, wherever the reading meets them.
func TestMovingOnIsNeverALoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const way = 4 // admitted; in Kafka and still pending; in Kafka; stored
		s := &seen{user: 1}
		s.addWinner(domain.GateWinner{UserID: 1, Slot: 1})
		step := 0
		move := func(label string) { step = rapid.IntRange(step, way-1).Draw(t, label) }
		move("before pending")
		if step <= 1 {
			s.addPending(domain.Winner{UserID: 1, Slot: 1})
		}
		move("before the topic")
		if step == 1 || step == 2 {
			s.addRecord(domain.Winner{UserID: 1, Slot: 1, Epoch: 3}, 3)
		}
		move("before the ledger")
		if step == 3 {
			if rapid.Bool().Draw(t, "stored") {
				s.addHolder(domain.Holder{UserID: 1, Slot: 1})
			} else {
				s.addHolder(domain.Holder{UserID: 1, Slot: 1, ByFailEvent: true})
			}
		}
		kind, _, _ := s.judge()
		assert.Empty(t, kind)
	})
}
