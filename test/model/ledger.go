package model

// outcome is what the ledger says of a winner.
type outcome int

// The outcomes, as domain.StoreOutcome has them; rowRefused is the database's own refusal.
const (
	stored outcome = iota
	alreadyStored
	hasOtherSlot
	otherEpoch
	overQuota
	slotTaken
	rowRefused
)

// store is settleOne of store/sqlledger/outcomes.go inside its transaction.
func (m *machine) store(record Record) outcome {
	l := &m.s.Ledger
	row := &l.Rows[record.User-1]
	switch {
	case *row&wasRevoked != 0 || *row != nobody && *row == record.Slot:
		return alreadyStored
	case *row != nobody && m.has(UniqueUser):
		return hasOtherSlot
	case *row != nobody:
		m.breaks(TwoCoupons)
		return alreadyStored
	case record.Epoch != l.Epoch && m.has(EpochAtInsert):
		return otherEpoch
	case record.Slot > m.highest(l.Quota, l.Limit) && m.has(QuotaAtInsert):
		return overQuota
	case l.holder(record.Slot) && m.has(UniqueSlot):
		return slotTaken
	case l.Refuses>>(record.User-1)&1 == 1:
		return rowRefused
	}
	if l.holder(record.Slot) {
		m.breaks(OverQuota)
	}
	*row = record.Slot
	return stored
}

// highest is the highest slot that somebody may hold.
func (m *machine) highest(quota, limit uint8) uint8 {
	if !m.has(SlotLimit) {
		return quota
	}
	return max(quota, limit)
}

// effectiveQuota is how many holders there may be before nobody gets another slot.
func (l *Ledger) effectiveQuota() uint8 {
	if l.Wanted != 0 {
		return l.Wanted
	}
	return l.Quota
}

// lower is Campaign.Lowered: the wish is granted if the holders fit.
func (m *machine) lower(holders, highest uint8) {
	l := &m.s.Ledger
	if l.Wanted == 0 || holders > l.Wanted && m.has(HoldersFit) {
		return
	}
	limit := min(highest, max(l.Quota, l.Limit))
	l.Quota, l.Wanted, l.Limit = l.Wanted, 0, 0
	if limit > l.Quota {
		l.Limit = limit
	}
	l.Version++
}

func (l *Ledger) holder(slot uint8) bool {
	for _, row := range l.Rows {
		if row == slot {
			return true
		}
	}
	return false
}

// keep is RecordFailEvent: kept is false when the event's slot is of another epoch; ok beyond the bounds of the model.
func (m *machine) keep(event Event) (kept, ok bool) {
	if event.Slot != nobody && event.Epoch != m.s.Ledger.Epoch && m.has(EpochOfEvent) {
		return false, true
	}
	for _, known := range m.s.Events {
		if known.Status != 0 && known.AtHead == 1 && (known.User == event.User || !m.has(EventByContent)) {
			return true, true
		}
	}
	for i := range m.s.Events {
		if m.s.Events[i].Status == 0 {
			event.Status, event.AtHead = statusFail, 1
			m.s.Events[i] = event
			return true, true
		}
	}
	return false, false
}
