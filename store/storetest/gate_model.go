package storetest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// gateModel is what the gate should hold, kept in the plainest way, beside a gate that is driven at random.
type gateModel struct {
	*sale
	slots map[domain.UserID]domain.Slot
	// unconfirmed are the new winners whose entry is still there, by user.
	unconfirmed map[domain.UserID]domain.Admission
	free        []domain.Slot
	count       domain.Slot
	closed      bool
	// leasedFrom is when a sold-out campaign last got new capacity.
	leasedFrom time.Time
}

// The model looks at few users and slots, so that the rare cases meet each other often.
const (
	modelUsers = 8
	modelQuota = 6
	// leaseIsSure is how long a lease certainly still holds; after it the model does not ask until the next rebuild.
	leaseIsSure = time.Second
)

func testGateModel(t *testing.T, s *sale) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &gateModel{sale: newSale(t, func(*testing.T) Gate { return s.Gate }), slots: map[domain.UserID]domain.Slot{}}
		m.campaign.Quota = rapid.Int64Range(1, modelQuota).Draw(rt, "quota")
		m.rebuild(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":           m.check,
			"admit":      m.admitOne,
			"admit more": m.admitOne,
			"honour":     m.honourOne,
			"confirm":    m.confirmOne,
			"release":    m.releaseOne,
			"settings":   m.change,
			"dispute":    m.disputeOne,
			"rebuild":    m.rebuild,
		})
	})
}

func drawUser(t *rapid.T) domain.UserID {
	return domain.UserID(rapid.Int64Range(1, modelUsers).Draw(t, "user"))
}

// nextSlot is the slot that the next new winner gets, 0 when there is none.
func (m *gateModel) nextSlot() domain.Slot {
	if len(m.free) > 0 {
		return slices.Min(m.free)
	}
	if int64(m.count) < m.campaign.Quota {
		return m.count + 1
	}
	return 0
}

func (m *gateModel) soldOut() bool { return m.nextSlot() == 0 }

func (m *gateModel) give(user domain.UserID, slot domain.Slot) {
	m.slots[user] = slot
	m.count = max(m.count, slot)
	m.free = slices.DeleteFunc(m.free, func(free domain.Slot) bool { return free == slot })
}

func (m *gateModel) admitOne(t *rapid.T) {
	user := drawUser(t)
	slot, known := m.slots[user]
	leased := !known && m.campaign.State == domain.CampaignOpen && !m.leasedFrom.IsZero()
	if leased && time.Since(m.leasedFrom) > leaseIsSure {
		return
	}
	admission, err := m.Admit(context.Background(), m.campaign.Code, user)
	switch {
	case m.closed:
		requireCode(t, domain.CodeGateClosed, err)
	case known && slot == domain.NoSlot:
		requireCode(t, domain.CodeRevoked, err)
	case known:
		m.requireKnown(t, user, admission, err)
	case m.campaign.State == domain.CampaignPaused:
		requireCode(t, domain.CodePaused, err)
	case leased:
		requireCode(t, domain.CodeSoldOut, err)
	default:
		m.requireNew(t, user, admission, err)
	}
}

func (m *gateModel) honourOne(t *rapid.T) {
	user := drawUser(t)
	slot, known := m.slots[user]
	admission, err := m.Honour(context.Background(), m.campaign.Code, user)
	switch {
	case m.closed:
		requireCode(t, domain.CodeGateClosed, err)
	case known && slot == domain.NoSlot:
		requireCode(t, domain.CodeRevoked, err)
	case known && slot != domain.SlotOwed:
		m.requireKnown(t, user, admission, err)
	default:
		if m.nextSlot() == 0 {
			m.slots[user] = domain.SlotOwed
			requireCode(t, domain.CodeSoldOut, err)
			return
		}
		m.requireNew(t, user, admission, err)
	}
}

func (m *gateModel) requireKnown(t *rapid.T, user domain.UserID, admission domain.Admission, err error) {
	require.NoError(t, err)
	require.Equal(t, m.slots[user], admission.Slot)
	require.False(t, admission.New)
	if _, unconfirmed := m.unconfirmed[user]; unconfirmed {
		require.False(t, admission.InQueue, "user %d's record is not known to be in Kafka", user)
	}
	if len(m.unconfirmed) == 0 {
		require.True(t, admission.InQueue)
	}
}

func (m *gateModel) requireNew(t *rapid.T, user domain.UserID, admission domain.Admission, err error) {
	slot := m.nextSlot()
	if slot == 0 {
		requireCode(t, domain.CodeSoldOut, err)
		return
	}
	require.NoError(t, err)
	require.True(t, admission.New)
	require.Equal(t, slot, admission.Slot)
	require.Equal(t, 1, admission.EntrySize)
	m.give(user, slot)
	m.unconfirmed[user] = admission
}

func (m *gateModel) confirmOne(t *rapid.T) {
	if len(m.unconfirmed) == 0 {
		return
	}
	user := rapid.SampledFrom(slices.Sorted(maps.Keys(m.unconfirmed))).Draw(t, "confirmed")
	admission := m.unconfirmed[user]
	old := admission
	old.Epoch--
	if !m.closed {
		requireCode(t, domain.CodeEpochChanged, m.Confirm(context.Background(), old))
	}
	err := m.Confirm(context.Background(), admission)
	if m.closed {
		requireCode(t, domain.CodeGateClosed, err)
		return
	}
	require.NoError(t, err)
	delete(m.unconfirmed, user)
}

func (m *gateModel) releaseOne(t *rapid.T) {
	user := drawUser(t)
	slot, known := m.slots[user]
	said := slot
	if rapid.IntRange(0, 9).Draw(t, "wrong slot") == 0 {
		said++
	}
	soldOut := m.soldOut()
	err := m.Release(context.Background(), m.campaign.Code, user, said)
	if m.closed {
		requireCode(t, domain.CodeGateClosed, err)
		return
	}
	contradicts := known && slot > 0 && said != slot
	if contradicts {
		requireCode(t, domain.CodeGateClosed, err)
		m.closed = true
	} else {
		require.NoError(t, err)
	}
	m.slots[user] = domain.NoSlot
	if slot > 0 && !contradicts {
		m.free = append(m.free, slot)
		if soldOut {
			m.leasedFrom = time.Now()
		}
	}
}

func (m *gateModel) change(t *rapid.T) {
	changed := m.campaign
	changed.Quota = rapid.Int64Range(1, modelQuota).Draw(t, "quota")
	changed.State = rapid.SampledFrom([]domain.CampaignState{domain.CampaignOpen, domain.CampaignPaused}).Draw(t, "state")
	soldOut := m.soldOut()
	err := m.ApplySettings(context.Background(), changed)
	switch {
	case m.closed:
		requireCode(t, domain.CodeGateClosed, err)
	case changed.Quota < m.campaign.Quota:
		requireCode(t, domain.CodeConflict, err)
	default:
		require.NoError(t, err)
		if soldOut && changed.Quota > m.campaign.Quota {
			m.leasedFrom = time.Now()
		}
		m.campaign = changed
	}
}

func (m *gateModel) disputeOne(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "seldom") != 0 {
		return
	}
	user := drawUser(t)
	slot := domain.Slot(rapid.Int64Range(1, modelQuota).Draw(t, "slot"))
	epoch := m.campaign.Epoch - rapid.Int64Range(0, 1).Draw(t, "epochs ago")
	require.NoError(t, m.Dispute(context.Background(), domain.Winner{
		Campaign: m.campaign.Code, UserID: user, Slot: slot, Epoch: epoch,
	}))
	if m.slots[user] == slot && epoch == m.campaign.Epoch {
		m.closed = true
	}
}

// rebuild makes the gate anew from what a ledger might hold: some users were forgotten, some lost their slot, and some
// records have to be sent again.
func (m *gateModel) rebuild(t *rapid.T) {
	soldOut := m.soldOut() && m.campaign.Epoch > 0
	before := m.slots
	m.slots, m.unconfirmed, m.free, m.count = map[domain.UserID]domain.Slot{}, map[domain.UserID]domain.Admission{}, nil, 0
	var winners []domain.GateWinner
	for _, user := range slices.Sorted(maps.Keys(before)) {
		fate := rapid.IntRange(0, 9).Draw(t, "fate")
		if fate == 0 {
			continue
		}
		winner := holder(user, before[user])
		if fate == 1 && winner.Slot > 0 {
			winner.Slot = domain.SlotOwed
		}
		winner.Pending = fate > 6 && winner.Slot > 0
		m.slots[user] = winner.Slot
		m.count = max(m.count, winner.Slot)
		winners = append(winners, winner)
	}
	m.open(t, winners...)
	m.closed = false
	for slot := domain.Slot(1); slot < m.count; slot++ {
		if !slices.Contains(slices.Collect(maps.Values(m.slots)), slot) {
			m.free = append(m.free, slot)
		}
	}
	if soldOut && !m.soldOut() {
		m.leasedFrom = time.Now()
	}
	m.takePending(t)
}

// takePending confirms what the rebuild left to be sent, as the relay does.
func (m *gateModel) takePending(t *rapid.T) {
	entries, err := m.Pending(context.Background(), m.campaign.Code, "", 100)
	require.NoError(t, err)
	for _, entry := range entries {
		for _, winner := range entry.Winners {
			require.Equal(t, m.slots[winner.UserID], winner.Slot)
		}
		require.NoError(t, m.Acknowledge(context.Background(), m.campaign.Code, m.campaign.Epoch, []string{entry.ID}))
	}
}

// check compares the gate with the model after every step.
func (m *gateModel) check(t *rapid.T) {
	report := m.report(t)
	require.Equal(t, m.closed, report.Closed != "", report.Closed)
	revoked, winners := 0, 0
	for _, slot := range m.slots {
		if slot == domain.NoSlot {
			revoked++
		} else {
			winners++
		}
	}
	require.Equal(t, int64(winners), report.Winners)
	require.Equal(t, int64(revoked), report.Revoked)
	require.Equal(t, int64(m.count), report.Count)
	require.LessOrEqual(t, report.Count, report.Quota)
	require.Equal(t, int64(len(m.free)), report.Free)
	require.Equal(t, int64(len(m.unconfirmed)), report.PendingEntries)
	require.Equal(t, m.campaign.Quota, report.Quota)
	require.Equal(t, m.campaign.State, report.State)
	require.Equal(t, m.campaign.Epoch, report.Epoch)
}
