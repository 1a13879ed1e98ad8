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
	// mostHolders is how many there may be at the next look: the quota, or more where it was lowered below the holders.
	mostHolders int64
	// heldFrom is when a gate that refused everybody was last let go on, heldAs what is said until the lease is over.
	heldFrom time.Time
	heldAs   domain.Code
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
		m.campaign.SettingsVersion, m.mostHolders = 1, modelQuota
		m.rebuild(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":           m.check,
			"admit":      m.admitSome,
			"admit more": m.admitSome,
			"honour":     m.honourSome,
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

// nextSlot is the slot that the next new winner gets, 0 when there is none. All but those who are owed a slot see only
// what is left once these have theirs.
func (m *gateModel) nextSlot(isOwed bool) domain.Slot {
	room := m.campaign.Quota - int64(m.count) + int64(len(m.free))
	if !isOwed {
		for _, slot := range m.slots {
			if slot == domain.SlotOwed {
				room--
			}
		}
	}
	switch {
	case room <= 0:
		return 0
	case len(m.free) > 0:
		return slices.Min(m.free)
	}
	return m.count + 1
}

func (m *gateModel) soldOut() bool { return m.nextSlot(false) == 0 }

func (m *gateModel) give(user domain.UserID, slot domain.Slot) {
	m.slots[user] = slot
	m.count = max(m.count, slot)
	m.free = slices.DeleteFunc(m.free, func(free domain.Slot) bool { return free == slot })
}

// drawUsers gives a batch, in which a user may come more than once.
func drawUsers(t *rapid.T) []domain.UserID {
	return rapid.SliceOfN(rapid.Map(rapid.Int64Range(1, modelUsers), func(user int64) domain.UserID {
		return domain.UserID(user)
	}), 1, 5).Draw(t, "users")
}

func (m *gateModel) admitSome(t *rapid.T) {
	refusal := refusalOf(m.campaign)
	if refusal == "" && !m.heldFrom.IsZero() && !m.soldOut() {
		if time.Since(m.heldFrom) > leaseIsSure {
			return
		}
		refusal = m.heldAs
	}
	m.ask(t, m.AdmitAll, func(user domain.UserID, decision domain.Decision) {
		slot, known := m.slots[user]
		switch {
		case known && slot == domain.NoSlot:
			requireCode(t, domain.CodeRevoked, decision.Err)
		case known:
			m.requireKnown(t, user, decision)
		case refusal != "":
			requireCode(t, refusal, decision.Err)
		default:
			m.requireNew(t, user, decision)
		}
	})
}

func (m *gateModel) honourSome(t *rapid.T) {
	// Who becomes owed a slot in this very batch hears the same again when they come in it twice.
	justOwed := map[domain.UserID]bool{}
	m.ask(t, m.HonourAll, func(user domain.UserID, decision domain.Decision) {
		slot, known := m.slots[user]
		switch {
		case known && slot == domain.NoSlot:
			requireCode(t, domain.CodeRevoked, decision.Err)
		case known && slot != domain.SlotOwed:
			m.requireKnown(t, user, decision)
		case justOwed[user] || m.nextSlot(known) == 0:
			m.slots[user], justOwed[user] = domain.SlotOwed, !known || justOwed[user]
			requireCode(t, domain.CodeSoldOut, decision.Err)
		default:
			m.requireNew(t, user, decision)
		}
	})
}

// ask asks for a batch, and has each decision compared with the model, in their order.
func (m *gateModel) ask(
	t *rapid.T, question func(context.Context, string, []domain.UserID, []domain.Decision) error,
	compare func(domain.UserID, domain.Decision),
) {
	users := drawUsers(t)
	decisions := make([]domain.Decision, len(users))
	err := question(context.Background(), m.campaign.Code, users, decisions)
	if m.closed {
		requireCode(t, domain.CodeGateClosed, err)
		return
	}
	require.NoError(t, err)
	var admitted []domain.Decision
	for i, decision := range decisions {
		compare(users[i], decision)
		if decision.New {
			admitted = append(admitted, decision)
		}
	}
	for _, decision := range admitted {
		require.Equal(t, len(admitted), decision.EntrySize)
		require.Equal(t, admitted[0].EntryID, decision.EntryID)
	}
}

func (m *gateModel) requireKnown(t *rapid.T, user domain.UserID, decision domain.Decision) {
	require.NoError(t, decision.Err)
	require.Equal(t, m.slots[user], decision.Slot)
	require.False(t, decision.New)
	if _, unconfirmed := m.unconfirmed[user]; unconfirmed {
		require.False(t, decision.InQueue, "user %d's record is not known to be in Kafka", user)
	}
	if len(m.unconfirmed) == 0 {
		require.True(t, decision.InQueue)
	}
}

func (m *gateModel) requireNew(t *rapid.T, user domain.UserID, decision domain.Decision) {
	_, isOwed := m.slots[user]
	slot := m.nextSlot(isOwed)
	if slot == 0 {
		requireCode(t, domain.CodeSoldOut, decision.Err)
		return
	}
	require.NoError(t, decision.Err)
	require.True(t, decision.New)
	require.Equal(t, slot, decision.Slot)
	m.give(user, slot)
	m.unconfirmed[user] = decision.Admission
}

// confirmOne acknowledges the entry of one winner, which may be that of others too.
func (m *gateModel) confirmOne(t *rapid.T) {
	if len(m.unconfirmed) == 0 {
		return
	}
	user := rapid.SampledFrom(slices.Sorted(maps.Keys(m.unconfirmed))).Draw(t, "confirmed")
	admission := m.unconfirmed[user]
	acknowledge := func(epoch int64) error {
		return m.Acknowledge(context.Background(), m.campaign.Code, epoch, []string{admission.EntryID})
	}
	if m.closed {
		requireCode(t, domain.CodeGateClosed, acknowledge(admission.Epoch))
		return
	}
	requireCode(t, domain.CodeEpochChanged, acknowledge(admission.Epoch-1))
	require.NoError(t, acknowledge(admission.Epoch))
	maps.DeleteFunc(m.unconfirmed, func(_ domain.UserID, other domain.Admission) bool {
		return other.EntryID == admission.EntryID
	})
}

// entries counts the pending entries that the gate should have.
func (m *gateModel) entries() int {
	ids := map[string]bool{}
	for _, admission := range m.unconfirmed {
		ids[admission.EntryID] = true
	}
	return len(ids)
}

func (m *gateModel) releaseOne(t *rapid.T) {
	user := drawUser(t)
	slot, known := m.slots[user]
	said := slot
	if rapid.IntRange(0, 9).Draw(t, "wrong slot") == 0 {
		said++
	}
	soldOut := m.soldOut()
	epoch, err := m.Release(context.Background(), m.campaign.Code, user, said)
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
		require.Equal(t, m.campaign.Epoch, epoch)
	}
	m.slots[user] = domain.NoSlot
	if slot > 0 && !contradicts {
		m.free = append(m.free, slot)
	}
	if soldOut && !m.soldOut() && !contradicts {
		m.hold(domain.CodeSoldOut)
	}
}

// refusalOf is what a campaign's state and window say.
func refusalOf(campaign domain.Campaign) domain.Code {
	now := time.Now()
	switch {
	case campaign.State == domain.CampaignEnded || !now.Before(campaign.EndsAt):
		return domain.CodeEnded
	case campaign.State == domain.CampaignPaused:
		return domain.CodePaused
	case now.Before(campaign.StartsAt):
		return domain.CodeNotStarted
	}
	return ""
}

func (m *gateModel) hold(as domain.Code) { m.heldFrom, m.heldAs = time.Now(), as }

// letGoOn notes what the change from what the campaign was to what it is now does to those that the gate doesn't know.
func (m *gateModel) letGoOn(was domain.Campaign, wasSoldOut bool) {
	if wasSoldOut && !m.soldOut() {
		m.hold(domain.CodeSoldOut)
	}
	if refusal := refusalOf(was); refusal != "" && refusalOf(m.campaign) == "" {
		m.hold(refusal)
	}
}

// drawSettings gives the campaign another state and window.
func (m *gateModel) drawSettings(t *rapid.T) domain.Campaign {
	changed := m.campaign
	changed.State = rapid.SampledFrom([]domain.CampaignState{
		domain.CampaignOpen, domain.CampaignOpen, domain.CampaignPaused,
	}).Draw(t, "state")
	startsIn := rapid.SampledFrom([]time.Duration{
		-2 * time.Hour, -2 * time.Hour, -2 * time.Hour, -1000 * time.Hour, time.Hour,
	}).Draw(t, "starts in")
	changed.StartsAt = time.Now().Add(startsIn)
	changed.EndsAt = changed.StartsAt.Add(100 * time.Hour)
	return changed
}

func (m *gateModel) change(t *rapid.T) {
	changed, was := m.drawSettings(t), m.campaign
	changed.Quota = rapid.Int64Range(1, modelQuota).Draw(t, "quota")
	soldOut := m.soldOut()
	changed.SettingsVersion += rapid.Int64Range(-1, 1).Draw(t, "versions later")
	err := m.ApplySettings(context.Background(), changed)
	switch {
	case m.closed:
		requireCode(t, domain.CodeGateClosed, err)
	case changed.SettingsVersion < m.campaign.SettingsVersion:
		requireCode(t, domain.CodeOvertaken, err)
	default:
		require.NoError(t, err)
		m.campaign = changed
		m.letGoOn(was, soldOut)
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
	soldOut, was, wasClosed := m.soldOut(), m.campaign, m.closed
	if was.Epoch > 0 {
		m.campaign = m.drawSettings(t)
	}
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
	if wasClosed {
		m.hold(domain.CodeGateClosed) // nobody knows what it said
	} else if was.Epoch > 0 {
		m.letGoOn(was, soldOut)
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
	revoked, winners, owed := 0, 0, 0
	for _, slot := range m.slots {
		switch slot {
		case domain.NoSlot:
			revoked++
		case domain.SlotOwed:
			owed++
			winners++
		default:
			winners++
		}
	}
	require.Equal(t, int64(winners), report.Winners)
	require.Equal(t, int64(owed), report.Owed)
	require.Equal(t, int64(revoked), report.Revoked)
	require.Equal(t, int64(m.count), report.Count)
	require.Equal(t, m.campaign.SettingsVersion, report.SettingsVersion)
	require.LessOrEqual(t, report.Holders(), m.mostHolders, "nobody is given a slot beyond the quota")
	m.mostHolders = max(report.Holders(), report.Quota)
	require.Equal(t, int64(len(m.free)), report.Free)
	require.Equal(t, int64(m.entries()), report.PendingEntries)
	require.Equal(t, m.campaign.Quota, report.Quota)
	require.Equal(t, m.campaign.State, report.State)
	require.Equal(t, m.campaign.Epoch, report.Epoch)
}
