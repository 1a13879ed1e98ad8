package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func usersFrom(first domain.UserID, count int) []domain.UserID {
	users := make([]domain.UserID, count)
	for i := range users {
		users[i] = first + domain.UserID(i)
	}
	return users
}

func (s *sale) admitAll(t *testing.T, users ...domain.UserID) []domain.Decision {
	t.Helper()
	decisions := make([]domain.Decision, len(users))
	require.NoError(t, s.AdmitAll(t.Context(), s.campaign.Code, users, decisions))
	return decisions
}

func (s *sale) honourAll(t *testing.T, users ...domain.UserID) []domain.Decision {
	t.Helper()
	decisions := make([]domain.Decision, len(users))
	require.NoError(t, s.HonourAll(t.Context(), s.campaign.Code, users, decisions))
	return decisions
}

// requireNew requires that a user was admitted just now, to the slot.
func requireNew(t *testing.T, user domain.UserID, slot domain.Slot, decision domain.Decision) {
	t.Helper()
	require.NoError(t, decision.Err)
	require.True(t, decision.New)
	require.Equal(t, user, decision.UserID)
	require.Equal(t, slot, decision.Slot)
	require.False(t, decision.InQueue)
	require.NotEmpty(t, decision.EntryID)
}

func testGateBatchOrder(t *testing.T, s *sale) {
	s.openWith(t, 50, holder(900, 2))
	users := usersFrom(1000, 40)
	slices.Reverse(users)
	var want []domain.Winner
	for i, decision := range s.admitAll(t, users...) {
		slot := domain.Slot(i + 2)
		if i == 0 {
			slot = 1 // the free one, then those after the highest
		}
		requireNew(t, users[i], slot, decision)
		require.Equal(t, 40, decision.EntrySize)
		require.Equal(t, s.campaign.Epoch, decision.Epoch)
		want = append(want, decision.Winner)
	}
	entries := s.pending(t)
	require.Len(t, entries, 1, "one entry for all")
	assert.Equal(t, want, entries[0].Winners)
}

func testGateBatchTwice(t *testing.T, s *sale) {
	s.openWith(t, 2)
	decisions := s.admitAll(t, 7, 8, 7, 9, 8, 9)
	requireNew(t, 7, 1, decisions[0])
	requireNew(t, 8, 2, decisions[1])
	for place, first := range map[int]int{2: 0, 4: 1} {
		again := decisions[place]
		require.NoError(t, again.Err)
		assert.Equal(t, decisions[first].Winner, again.Winner)
		assert.False(t, again.New)
		assert.False(t, again.InQueue)
		assert.Empty(t, again.EntryID)
	}
	requireCode(t, domain.CodeSoldOut, decisions[3].Err)
	requireCode(t, domain.CodeSoldOut, decisions[5].Err)
	assert.Equal(t, 2, decisions[0].EntrySize, "two winners, not four")
	assert.Equal(t, int64(2), s.report(t).Winners)
	assert.Len(t, s.pending(t), 1)

	s.openWith(t, 1, holder(7, 1))
	decisions = s.honourAll(t, 20, 20)
	requireCode(t, domain.CodeSoldOut, decisions[0].Err)
	requireCode(t, domain.CodeSoldOut, decisions[1].Err)
	assert.Equal(t, int64(2), s.report(t).Winners, "owed one slot, not two")
	assert.Empty(t, s.report(t).Closed)
}

// testGateBatchQuota has two processes ask with batches that meet at the quota: who is admitted stands before who is not
// within each batch, and all slots are given, once.
func testGateBatchQuota(t *testing.T, s *sale) {
	const quota, batches, size = 100, 16, 60
	s.openWith(t, quota)
	gates := []Gate{s.Gate, s.newGate(t)}
	answers := make([][]domain.Decision, batches)
	var all sync.WaitGroup
	for n := range batches {
		all.Go(func() {
			answers[n] = make([]domain.Decision, size)
			assert.NoError(t, gates[n%2].AdmitAll(t.Context(), s.campaign.Code, usersFrom(domain.UserID(1+n*size), size), answers[n]))
		})
	}
	all.Wait()
	slots := map[domain.Slot]domain.UserID{}
	for n, decisions := range answers {
		first := decisions[0].Slot
		for i, decision := range decisions {
			if decision.Err != nil {
				requireCode(t, domain.CodeSoldOut, decision.Err)
				continue
			}
			// In its order and without a gap: nobody is admitted after somebody of the batch was refused.
			requireNew(t, domain.UserID(1+n*size+i), first+domain.Slot(i), decision)
			require.NotContains(t, slots, decision.Slot)
			slots[decision.Slot] = decision.UserID
		}
	}
	require.Len(t, slots, quota)
	for slot := range domain.Slot(quota) {
		require.Contains(t, slots, slot+1)
	}
	assert.Zero(t, s.report(t).Remaining())
}

func testGateBatchMixed(t *testing.T, s *sale) {
	s.openWith(t, 5, holder(1, 1), holder(2, domain.NoSlot), holder(3, domain.SlotOwed))
	users := []domain.UserID{10, 1, 2, 11, 3, 12}
	decisions := s.admitAll(t, users...)
	requireNew(t, 10, 2, decisions[0])
	requireNew(t, 11, 3, decisions[3])
	requireNew(t, 12, 4, decisions[5])
	assert.Equal(t, 3, decisions[0].EntrySize)
	requireKnown := func(slot domain.Slot, decision domain.Decision) {
		t.Helper()
		require.NoError(t, decision.Err)
		assert.False(t, decision.New)
		assert.Equal(t, slot, decision.Slot)
	}
	requireKnown(1, decisions[1])
	assert.True(t, decisions[1].InQueue)
	requireCode(t, domain.CodeRevoked, decisions[2].Err)
	requireKnown(domain.SlotOwed, decisions[4])

	for name, c := range map[string]struct {
		change func(*domain.Campaign)
		code   domain.Code
	}{
		"paused":      {func(c *domain.Campaign) { c.State = domain.CampaignPaused }, domain.CodePaused},
		"not started": {func(c *domain.Campaign) { c.StartsAt = time.Now().Add(time.Hour) }, domain.CodeNotStarted},
		"over":        {func(c *domain.Campaign) { c.EndsAt = time.Now().Add(-time.Minute) }, domain.CodeEnded},
	} {
		changed := s.campaign
		c.change(&changed)
		require.NoError(t, s.ApplySettings(t.Context(), changed))
		decisions = s.admitAll(t, 10, 20, 2, 21, 3)
		requireKnown(2, decisions[0])
		requireCode(t, c.code, decisions[1].Err)
		requireCode(t, domain.CodeRevoked, decisions[2].Err)
		requireCode(t, c.code, decisions[3].Err)
		requireKnown(domain.SlotOwed, decisions[4])
		assert.Equal(t, int64(4), s.report(t).Count, name)
	}
}

func testGateBatchHonoured(t *testing.T, s *sale) {
	s.campaign.State = domain.CampaignPaused
	s.openWith(t, 3, holder(1, 2), holder(2, domain.NoSlot), holder(3, domain.SlotOwed))
	decisions := s.honourAll(t, 3, 1, 2, 4, 5, 4)
	requireNew(t, 3, 1, decisions[0])
	require.NoError(t, decisions[1].Err)
	assert.Equal(t, domain.Slot(2), decisions[1].Slot)
	assert.False(t, decisions[1].New)
	requireCode(t, domain.CodeRevoked, decisions[2].Err)
	requireNew(t, 4, 3, decisions[3])
	requireCode(t, domain.CodeSoldOut, decisions[4].Err)
	require.NoError(t, decisions[5].Err)
	assert.Equal(t, decisions[3].Winner, decisions[5].Winner)
	assert.Equal(t, 2, decisions[0].EntrySize)

	entries := s.pending(t)
	require.Len(t, entries, 1)
	assert.Equal(t, []domain.Winner{decisions[0].Winner, decisions[3].Winner}, entries[0].Winners)
	report := s.report(t)
	assert.Empty(t, report.Closed)
	assert.Equal(t, int64(4), report.Winners, "users 1, 3 and 4, and user 5 who is owed a slot")
	assert.Equal(t, domain.SlotOwed, s.admitAll(t, 5)[0].Slot, "nobody with a promise is told that it is sold out")
}

func testGateBatchLimit(t *testing.T, s *sale) {
	s.openWith(t, domain.MaxBatch+10)
	for i, decision := range s.admitAll(t, usersFrom(1, domain.MaxBatch)...) {
		requireNew(t, domain.UserID(i+1), domain.Slot(i+1), decision)
	}
	require.Len(t, s.pending(t), 1)
	tooMany := usersFrom(5000, domain.MaxBatch+1)
	require.Error(t, s.AdmitAll(t.Context(), s.campaign.Code, tooMany, make([]domain.Decision, len(tooMany))))
	require.Error(t, s.AdmitAll(t.Context(), s.campaign.Code, usersFrom(5000, 2), make([]domain.Decision, 1)))
	assert.Equal(t, int64(domain.MaxBatch), s.report(t).Count, "refused as a whole")
	s.admitAll(t)
	require.Len(t, s.pending(t), 1, "nobody asked")
}
