package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func (s *sale) winners(t *testing.T) map[domain.UserID]domain.Slot {
	t.Helper()
	found := map[domain.UserID]domain.Slot{}
	require.NoError(t, s.VisitWinners(t.Context(), s.campaign.Code, func(winner domain.GateWinner) error {
		found[winner.UserID] = winner.Slot
		return nil
	}))
	return found
}

func (s *sale) freeSlots(t *testing.T) []domain.Slot {
	t.Helper()
	var found []domain.Slot
	require.NoError(t, s.VisitFree(t.Context(), s.campaign.Code, func(slot domain.Slot) error {
		found = append(found, slot)
		return nil
	}))
	return found
}

func testGateVisits(t *testing.T, s *sale) {
	assert.Empty(t, s.winners(t), "a gate that was never opened has no users")
	assert.Empty(t, s.freeSlots(t))

	const users = 2500 // more than two pages
	all, want := []domain.GateWinner{}, map[domain.UserID]domain.Slot{}
	for user := domain.UserID(1); user <= users; user++ {
		all = append(all, holder(user, domain.Slot(2*user)))
		want[user] = domain.Slot(2 * user)
	}
	all = append(all, holder(9001, domain.NoSlot), holder(9002, domain.SlotOwed))
	want[9001], want[9002] = domain.NoSlot, domain.SlotOwed
	s.openWith(t, 2*users, all...)
	assert.Equal(t, want, s.winners(t))
	free := s.freeSlots(t)
	require.Len(t, free, users)
	assert.Equal(t, domain.Slot(1), free[0])
	assert.Equal(t, domain.Slot(2*users-1), free[users-1])

	asked := []domain.UserID{9002, 77_777, 5, 9001}
	for user := domain.UserID(100); user < 800; user++ { // more than one page
		asked = append(asked, user)
	}
	found, err := s.FindWinners(t.Context(), s.campaign.Code, asked)
	require.NoError(t, err)
	require.Len(t, found, len(asked)-1, "user 77777 is not known")
	for _, winner := range found {
		assert.Equal(t, want[winner.UserID], winner.Slot)
	}
	stop := domain.Errorf(domain.CodeInternal, "enough")
	err = s.VisitWinners(t.Context(), s.campaign.Code, func(domain.GateWinner) error { return stop })
	require.ErrorIs(t, err, stop)
}

func testGatePutBack(t *testing.T, s *sale) {
	s.openWith(t, 10, holder(1, 1), holder(2, domain.NoSlot), holder(3, domain.SlotOwed), holder(5, 5), holder(6, 6))
	winner := domain.Winner{Campaign: s.campaign.Code, UserID: 1, Slot: 1, Epoch: s.campaign.Epoch}
	for name, wrong := range map[string]domain.Winner{
		"another epoch": {Campaign: winner.Campaign, UserID: 1, Slot: 1, Epoch: winner.Epoch + 1},
		"another slot":  {Campaign: winner.Campaign, UserID: 1, Slot: 2, Epoch: winner.Epoch},
		"unknown user":  {Campaign: winner.Campaign, UserID: 4, Slot: 1, Epoch: winner.Epoch},
		"revoked user":  {Campaign: winner.Campaign, UserID: 2, Slot: domain.NoSlot, Epoch: winner.Epoch},
		"owed user":     {Campaign: winner.Campaign, UserID: 3, Slot: domain.SlotOwed, Epoch: winner.Epoch},
	} {
		done, err := s.PutBack(t.Context(), wrong)
		require.NoError(t, err)
		assert.False(t, done, name)
	}
	require.Empty(t, s.pending(t))

	done, err := s.PutBack(t.Context(), winner)
	require.NoError(t, err)
	assert.True(t, done)
	entries := s.pending(t)
	require.Len(t, entries, 1)
	winner.AdmittedAt = holder(1, 1).AdmittedAt.UTC()
	assert.Equal(t, []domain.Winner{winner}, entries[0].Winners, "the record will say when the user was admitted")

	inQueue := func(user domain.UserID) bool {
		found, err := s.Lookup(t.Context(), s.campaign.Code, user)
		require.NoError(t, err)
		assert.Equal(t, found.InQueue, s.admit(t, user).InQueue)
		return found.InQueue
	}
	winner.UserID, winner.Slot = 6, 6
	done, err = s.PutBack(t.Context(), winner)
	require.NoError(t, err)
	require.True(t, done)
	assert.False(t, inQueue(1), "the record is not in Kafka before it was sent again")
	assert.False(t, inQueue(6))
	entries = s.pending(t)
	require.Len(t, entries, 2)
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entries[1].ID}))
	assert.False(t, inQueue(1), "the other one is still to be sent")
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entries[0].ID}))
	assert.True(t, inQueue(1))
	assert.True(t, inQueue(6))

	done, err = s.PutBack(t.Context(), winner)
	require.NoError(t, err)
	require.True(t, done)
	assert.False(t, inQueue(6))
	assert.True(t, inQueue(5), "admitted before the one who is put back now")
}
