package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func testGateRebuild(t *testing.T, s *sale) {
	s.openWith(t, 9, holder(1, 2), holder(2, 5), holder(3, domain.NoSlot), holder(4, 7))
	report := s.report(t)
	assert.Empty(t, report.Closed)
	assert.Equal(t, s.campaign.Epoch, report.Epoch)
	assert.Equal(t, int64(9), report.Quota)
	assert.Equal(t, int64(7), report.Count)
	assert.Equal(t, int64(4), report.Free, "1, 3, 4 and 6")
	assert.Equal(t, int64(3), report.Winners)
	assert.Equal(t, int64(1), report.Revoked)
	assert.Equal(t, int64(6), report.Remaining())
	assert.Equal(t, domain.CampaignOpen, report.State)
	assert.WithinDuration(t, s.campaign.StartsAt, report.StartsAt, time.Millisecond)
	assert.WithinDuration(t, s.campaign.EndsAt, report.EndsAt, time.Millisecond)
	assert.Zero(t, report.PendingEntries)

	known := s.admit(t, 2)
	assert.Equal(t, domain.Slot(5), known.Slot)
	assert.Equal(t, holder(2, 5).AdmittedAt.UTC(), known.AdmittedAt)
	assert.True(t, known.InQueue)
	_, err := s.Admit(t.Context(), s.campaign.Code, 3)
	requireCode(t, domain.CodeRevoked, err)
	_, err = s.Honour(t.Context(), s.campaign.Code, 3)
	requireCode(t, domain.CodeRevoked, err)
	found, err := s.Lookup(t.Context(), s.campaign.Code, 3)
	require.NoError(t, err)
	assert.Equal(t, domain.NoSlot, found.Slot)

	for i, want := range []domain.Slot{1, 3, 4, 6, 8, 9} {
		assert.Equal(t, want, s.admit(t, domain.UserID(100+i)).Slot, "the lowest free slot comes first")
	}
	_, err = s.Admit(t.Context(), s.campaign.Code, 200)
	requireCode(t, domain.CodeSoldOut, err)
}

func testGateRebuildPending(t *testing.T, s *sale) {
	const users, quota = 2500, 3000
	winners := make([]domain.GateWinner, users)
	for i := range winners {
		// Three users share each millisecond, so entries begin and end within one.
		winners[i] = domain.GateWinner{
			UserID: domain.UserID(i + 1), Slot: domain.Slot(users - i),
			AdmittedAt: time.UnixMilli(1_700_000_000_000 + int64(i/3)).UTC(), Pending: i >= 100,
		}
	}
	s.openWith(t, quota, winners...)
	entries, err := s.Pending(t.Context(), s.campaign.Code, "", quota)
	require.NoError(t, err)
	next := 100
	for _, entry := range entries {
		for _, winner := range entry.Winners {
			want := winners[next]
			assert.Equal(t, domain.Winner{
				Campaign: s.campaign.Code, UserID: want.UserID, Slot: want.Slot, AdmittedAt: want.AdmittedAt, Epoch: s.campaign.Epoch,
			}, winner)
			next++
		}
	}
	require.Equal(t, users, next)
	for _, user := range []domain.UserID{101, 102, 1000, users} {
		assert.False(t, s.admit(t, user).InQueue, "user %d", user)
	}
	assert.True(t, s.admit(t, 1).InQueue, "admitted before the oldest that is pending")

	half := len(entries) / 2
	for _, entry := range entries[:half] {
		require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entry.ID}))
	}
	for _, entry := range entries[half:] {
		for _, winner := range entry.Winners[:1] {
			assert.False(t, s.admit(t, winner.UserID).InQueue)
		}
	}
	assert.True(t, s.admit(t, entries[0].Winners[0].UserID).InQueue)
	assert.True(t, s.admit(t, users+1).New, "new entries come after the fresh ones")
	assert.False(t, s.admit(t, users).InQueue)
}

// testGateRebuildLate has a winner written after others who were admitted later.
func testGateRebuildLate(t *testing.T, s *sale) {
	at := func(user domain.UserID, second int64) domain.GateWinner {
		return domain.GateWinner{
			UserID: user, Slot: domain.Slot(user), AdmittedAt: time.Unix(1_700_000_000+second, 0).UTC(), Pending: true,
		}
	}
	early := at(4, 5)
	early.Pending = false
	s.openWith(t, 9, early, at(1, 10), at(2, 20), at(3, 8))
	entries, err := s.Pending(t.Context(), s.campaign.Code, "", 9)
	require.NoError(t, err)
	var sent []domain.GateWinner
	for _, entry := range entries {
		for _, winner := range entry.Winners {
			sent = append(sent, domain.GateWinner{
				UserID: winner.UserID, Slot: winner.Slot, AdmittedAt: winner.AdmittedAt, Pending: true,
			})
		}
	}
	assert.Equal(t, []domain.GateWinner{at(1, 10), at(2, 20), at(3, 8)}, sent)
	for user := domain.UserID(1); user <= 3; user++ {
		assert.False(t, s.admit(t, user).InQueue, "user %d is to be sent", user)
	}
	assert.True(t, s.admit(t, 4).InQueue, "admitted before all of them")
	for _, entry := range entries {
		assert.False(t, s.admit(t, 3).InQueue, "the record of the late one is not in Kafka yet")
		require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entry.ID}))
	}
	assert.True(t, s.admit(t, 3).InQueue)
	assert.True(t, s.admit(t, 5).New)
}

func testGateOvertaken(t *testing.T, s *sale) {
	ctx, code := t.Context(), s.campaign.Code
	s.open(t, holder(1, 1))
	opened := s.report(t)

	_, err := s.BeginRebuild(ctx, code, 1)
	requireCode(t, domain.CodeOvertaken, err)
	assert.Empty(t, s.report(t).Closed, "a rebuild of an older epoch closes nothing")

	other := s.newGate(t)
	frozen, err := s.BeginRebuild(ctx, code, 2)
	require.NoError(t, err)
	assert.False(t, frozen.ClosedAt.Before(opened.ServerTime), "it is closed at a moment of Redis's clock")
	assert.False(t, frozen.ClosedAt.After(s.report(t).ServerTime))
	require.NoError(t, s.WriteWinners(ctx, frozen, []domain.GateWinner{holder(9, 9)}))
	_, err = s.Admit(ctx, code, 1)
	requireCode(t, domain.CodeGateClosed, err)
	newer, err := other.BeginRebuild(ctx, code, 3)
	require.NoError(t, err)
	require.NoError(t, other.WriteWinners(ctx, newer, []domain.GateWinner{holder(1, 1), holder(2, 2)}))

	requireCode(t, domain.CodeOvertaken, s.WriteWinners(ctx, frozen, []domain.GateWinner{holder(8, 8)}))
	requireCode(t, domain.CodeOvertaken, s.OpenRebuilt(ctx, frozen, s.campaign))
	requireCode(t, domain.CodeOvertaken, s.OpenRebuilt(ctx, newer, s.campaign))
	for _, epoch := range []int64{2, 3} {
		_, err = s.BeginRebuild(ctx, code, epoch)
		requireCode(t, domain.CodeOvertaken, err)
	}
	require.NotEmpty(t, s.report(t).Closed)

	s.campaign.Epoch = 3
	require.NoError(t, other.OpenRebuilt(ctx, newer, s.campaign))
	requireCode(t, domain.CodeOvertaken, other.OpenRebuilt(ctx, newer, s.campaign))
	report := s.report(t)
	assert.Empty(t, report.Closed)
	assert.Equal(t, int64(2), report.Winners)
	assert.Equal(t, opened.Quota, report.Quota)
	_, err = s.Lookup(ctx, code, 9)
	requireCode(t, domain.CodeNotFound, err)
	s.waitUntilAdmitted(t, 3)
	assert.Equal(t, domain.Slot(3), s.admit(t, 3).Slot)
}

func testGateRebuildContradictions(t *testing.T, s *sale) {
	lost := holder(1, domain.SlotOwed)
	lost.Pending = true
	for name, winners := range map[string][]domain.GateWinner{
		"two holders of one slot":         {holder(1, 1), holder(2, 1)},
		"one user twice":                  {holder(1, 1), holder(1, 2)},
		"a slot out of range":             {holder(1, domain.MaxQuota+1)},
		"no such slot":                    {holder(1, -2)},
		"no user":                         {holder(0, 1)},
		"a record to send without a slot": {lost},
	} {
		s.campaign.Epoch++
		target, err := s.BeginRebuild(t.Context(), s.campaign.Code, s.campaign.Epoch)
		require.NoError(t, err)
		err = s.WriteWinners(t.Context(), target, winners)
		if err == nil {
			err = s.OpenRebuilt(t.Context(), target, s.campaign)
		}
		require.Error(t, err, name)
		require.NotEmpty(t, s.report(t).Closed, name)
		require.Error(t, s.OpenRebuilt(t.Context(), target, s.campaign), name)
		require.NotEmpty(t, s.report(t).Closed, name)
	}
	s.open(t, holder(1, 1))
	assert.Empty(t, s.report(t).Closed, "what a failed rebuild wrote is gone")
	assert.Equal(t, int64(1), s.report(t).Winners)
}

func testGateRebuildOldUsers(t *testing.T, s *sale) {
	s.openWith(t, 9, holder(1, 2), holder(2, domain.NoSlot))
	old := map[domain.UserID]domain.Slot{1: 2, 2: domain.NoSlot}
	s.campaign.Epoch++
	target, err := s.BeginRebuild(t.Context(), s.campaign.Code, s.campaign.Epoch)
	require.NoError(t, err)
	assert.Equal(t, old, s.winners(t))
	require.NoError(t, s.WriteWinners(t.Context(), target, []domain.GateWinner{holder(3, 1)}))
	assert.Equal(t, old, s.winners(t), "what the rebuild writes is apart")
	require.NoError(t, s.OpenRebuilt(t.Context(), target, s.campaign))
	assert.Equal(t, map[domain.UserID]domain.Slot{3: 1}, s.winners(t))
}

func testGateOwed(t *testing.T, s *sale) {
	s.openWith(t, 3, holder(1, 1), holder(2, domain.SlotOwed), holder(3, domain.SlotOwed))
	report := s.report(t)
	assert.Equal(t, int64(3), report.Winners)
	assert.Equal(t, int64(1), report.Count)
	asked := s.admit(t, 2)
	assert.Equal(t, domain.SlotOwed, asked.Slot, "asking as an applicant changes nothing")
	assert.False(t, asked.New)

	honoured, err := s.Honour(t.Context(), s.campaign.Code, 2)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(2), honoured.Slot)
	assert.True(t, honoured.New)
	assert.Equal(t, 1, honoured.EntrySize)
	again, err := s.Honour(t.Context(), s.campaign.Code, 2)
	require.NoError(t, err)
	assert.Equal(t, honoured.Winner, again.Winner)
	assert.False(t, again.New)

	_, err = s.Honour(t.Context(), s.campaign.Code, 5)
	requireCode(t, domain.CodeSoldOut, err)
	assert.Equal(t, domain.SlotOwed, s.admit(t, 5).Slot, "nobody with a promise is told that it is sold out")
	honoured, err = s.Honour(t.Context(), s.campaign.Code, 3)
	require.NoError(t, err, "the last slot was user 3's")
	assert.Equal(t, domain.Slot(3), honoured.Slot)
	_, err = s.Honour(t.Context(), s.campaign.Code, 5)
	requireCode(t, domain.CodeSoldOut, err)
	assert.Equal(t, domain.SlotOwed, s.admit(t, 5).Slot, "still owed")
	s.release(t, 1, 1)
	honoured, err = s.Honour(t.Context(), s.campaign.Code, 5)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(1), honoured.Slot)
	report = s.report(t)
	assert.Empty(t, report.Closed)
	assert.Equal(t, int64(3), report.Winners)
	assert.Equal(t, int64(1), report.Revoked)
}
