package retryer

import (
	"fmt"
	"slices"
	"time"

	"firstcome/domain"
)

// maxSuspects bounds the users, and the slots, that are looked at again.
const maxSuspects = 10_000

// comparison is the first reading of one campaign. Of each user of the gate it keeps 24 bytes, so 240 MB at the
// largest quota, and of each slot three bits; of users that the gate does not know, up to maxSuspects.
type comparison struct {
	campaign domain.Campaign
	// since is when the reading began, by the gate's clock: anybody who was admitted later is left to the next audit.
	since time.Time
	// count is the highest slot handed out by then.
	count int64

	winners []seen
	others  map[domain.UserID]*seen
	// dropped counts what was passed over because as many others have to be looked at again already.
	dropped int64

	held, free, rows *slotSet
	duplicated       map[domain.Slot]bool
	// certain is wrong whatever moved meanwhile; overQuota is, unless the quota was raised.
	certain, overQuota []domain.AuditDifference
	suspectSlots       map[domain.Slot]bool
	counts             domain.AuditCounts
}

func newComparison(campaign domain.Campaign, report domain.GateReport) *comparison {
	return &comparison{
		campaign: campaign, since: report.ServerTime, count: min(report.Count, domain.MaxQuota),
		winners: make([]seen, 0, min(report.Winners+report.Revoked, domain.MaxQuota)),
		others:  map[domain.UserID]*seen{},
		held:    newSlotSet(), free: newSlotSet(), rows: newSlotSet(),
		duplicated: map[domain.Slot]bool{}, suspectSlots: map[domain.Slot]bool{},
	}
}

func (c *comparison) addFree(slot domain.Slot) {
	c.counts.Free++
	if !c.free.take(slot) {
		c.suspect(slot)
	}
}

func (c *comparison) addWinner(winner domain.GateWinner) {
	s := seen{user: winner.UserID}
	s.addWinner(winner)
	c.winners = append(c.winners, s)
}

// sortWinners ends the reading of the gate's users. A scan may give a user more than once, even with another slot
// each time when it changed meanwhile; a later look settles which holds.
func (c *comparison) sortWinners() {
	slices.SortStableFunc(c.winners, func(a, b seen) int { return compareUsers(a, b.user) })
	c.winners = slices.CompactFunc(c.winners, func(a, b seen) bool { return a.user == b.user })
	for i := range c.winners {
		switch slot := domain.Slot(c.winners[i].gateSlot); slot {
		case domain.NoSlot:
			c.counts.Revoked++
			continue
		case domain.SlotOwed:
			c.counts.Owed++
		default:
			if !c.held.take(slot) {
				c.suspect(slot)
			}
		}
		c.counts.Admitted++
	}
	for slot := domain.Slot(1); slot <= domain.Slot(c.count); slot++ {
		if c.held.has(slot) == c.free.has(slot) {
			c.suspect(slot)
		}
	}
}

func compareUsers(s seen, user domain.UserID) int {
	switch {
	case s.user < user:
		return -1
	case s.user > user:
		return 1
	}
	return 0
}

func (c *comparison) suspect(slot domain.Slot) {
	if len(c.suspectSlots) < maxSuspects {
		c.suspectSlots[slot] = true
	} else if !c.suspectSlots[slot] {
		c.dropped++
	}
}

// see gives the user's seen places; nil for a user that the gate does not know and who need not, or can't, be kept.
func (c *comparison) see(user domain.UserID, admittedAt time.Time) *seen {
	if i, known := slices.BinarySearchFunc(c.winners, user, compareUsers); known {
		return &c.winners[i]
	}
	if !admittedAt.Before(c.since) {
		return nil
	}
	if known := c.others[user]; known != nil {
		return known
	}
	if len(c.others) >= maxSuspects {
		c.dropped++
		return nil
	}
	added := &seen{user: user}
	c.others[user] = added
	return added
}

func (c *comparison) addPending(winner domain.Winner) {
	c.counts.Pending++
	if s := c.see(winner.UserID, winner.AdmittedAt); s != nil {
		s.addPending(winner)
	}
}

func (c *comparison) addRecord(winner domain.Winner) {
	c.counts.InTopic++
	if i, known := slices.BinarySearchFunc(c.winners, winner.UserID, compareUsers); known {
		c.winners[i].addRecord(winner, c.campaign.Epoch)
		return
	}
	// A record of another epoch asks the gate when it is consumed; there is nothing to compare before that.
	if winner.Epoch != c.campaign.Epoch {
		return
	}
	if s := c.see(winner.UserID, winner.AdmittedAt); s != nil {
		s.addRecord(winner, c.campaign.Epoch)
	}
}

func (c *comparison) addHolder(holder domain.Holder) {
	if !holder.ByFailEvent && holder.Slot != domain.NoSlot {
		c.counts.Issued++
		c.addRow(holder)
	}
	s := c.see(holder.UserID, holder.AdmittedAt)
	if s != nil && s.addHolder(holder) {
		c.note(&c.certain, domain.AuditDifference{
			Kind: domain.AuditUserDuplicated, UserID: holder.UserID, Slot: holder.Slot, Found: []string{domain.PlaceCoupon},
			Detail: "the user has two coupons; this is the slot of the second",
		})
	}
}

// note adds to a list of bounded length.
func (c *comparison) note(list *[]domain.AuditDifference, difference domain.AuditDifference) {
	if len(*list) < maxSuspects {
		*list = append(*list, difference)
	} else {
		c.dropped++
	}
}

func (c *comparison) addRow(holder domain.Holder) {
	switch {
	case int64(holder.Slot) > c.campaign.HighestSlot() || holder.Slot < 1:
		c.note(&c.overQuota, domain.AuditDifference{
			Kind: domain.AuditSlotOverQuota, UserID: holder.UserID, Slot: holder.Slot, Found: []string{domain.PlaceCoupon},
			Detail: fmt.Sprintf("slot %d is above %d, the highest that somebody may hold", holder.Slot, c.campaign.HighestSlot()),
		})
	case !c.rows.take(holder.Slot):
		c.duplicated[holder.Slot] = true
	}
}

// noteDuplicates names every coupon that has its slot together with another one.
func (c *comparison) noteDuplicates() {
	if len(c.duplicated) == 0 {
		return
	}
	c.each(func(s *seen) {
		if s.is(hasCoupon) && c.duplicated[domain.Slot(s.ledgerSlot)] {
			c.note(&c.certain, s.difference(domain.AuditSlotDuplicated, s.ledgerSlot,
				fmt.Sprintf("slot %d has more than one coupon; this is one of them", s.ledgerSlot)))
		}
	})
}

func (c *comparison) each(do func(*seen)) {
	for i := range c.winners {
		do(&c.winners[i])
	}
	for _, s := range c.others {
		do(s)
	}
}

// suspectUsers gives the users who have to be looked at again.
func (c *comparison) suspectUsers() []domain.UserID {
	var users []domain.UserID
	c.each(func(s *seen) {
		if _, wrong := c.judge(s); !wrong {
			return
		}
		if len(users) >= maxSuspects {
			c.dropped++
			return
		}
		users = append(users, s.user)
	})
	slices.Sort(users)
	return users
}

// judge says what is wrong with a user. A coupon whose slot is also another one's is reported by itself, so what follows
// from it is not: a rebuild owes such a user a slot.
func (c *comparison) judge(s *seen) (domain.AuditDifference, bool) {
	kind, slot, detail := s.judge()
	if kind == "" || domain.Slot(s.gateSlot) == domain.SlotOwed && s.is(hasCoupon) && c.duplicated[domain.Slot(s.ledgerSlot)] {
		return domain.AuditDifference{}, false
	}
	return s.difference(kind, slot, detail), true
}

// forgetUsers drops every suspicion of users and slots: the gate's keys say nothing now.
func (c *comparison) forgetUsers() {
	c.winners, c.others, c.suspectSlots, c.dropped = nil, map[domain.UserID]*seen{}, map[domain.Slot]bool{}, 0
}
