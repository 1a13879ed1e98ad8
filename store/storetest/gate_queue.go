package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// admitTogether admits users at once until some of them share a pending entry, and gives the winners by their entry.
func admitTogether(t *testing.T, s *sale) map[string][]domain.Admission {
	t.Helper()
	users := make([]domain.UserID, 200)
	for i := range users {
		users[i] = domain.UserID(i + 1)
	}
	s.openWith(t, int64(len(users)))
	admissions, errs := askAtOnce(t, s.campaign.Code, []Gate{s.Gate}, users)
	byEntry := map[string][]domain.Admission{}
	for i, admission := range admissions {
		require.NoError(t, errs[i])
		byEntry[admission.EntryID] = append(byEntry[admission.EntryID], admission)
	}
	for id, shared := range byEntry {
		for _, admission := range shared {
			require.Equal(t, len(shared), admission.EntrySize, "entry %s", id)
		}
	}
	require.Less(t, len(byEntry), len(users), "applications that wait together share a batch")
	return byEntry
}

func testGateConfirm(t *testing.T, s *sale) {
	byEntry := admitTogether(t, s)
	var last domain.Admission
	for _, shared := range byEntry {
		for i, admission := range shared {
			if i == len(shared)-1 && len(shared) > 1 && last.EntryID == "" {
				last = admission
				// The same winner twice is not two winners.
				require.NoError(t, s.Confirm(t.Context(), shared[0]))
				require.NoError(t, s.Confirm(t.Context(), shared[0]))
				continue
			}
			require.NoError(t, s.Confirm(t.Context(), admission))
		}
	}
	require.NotEmpty(t, last.EntryID)
	entries := s.pending(t)
	require.Len(t, entries, 1, "one winner is not confirmed")
	assert.Equal(t, last.EntryID, entries[0].ID)
	assert.False(t, s.admit(t, last.UserID).InQueue)

	require.NoError(t, s.Confirm(t.Context(), last))
	require.Empty(t, s.pending(t))
	for _, shared := range byEntry {
		assert.True(t, s.admit(t, shared[0].UserID).InQueue)
	}
	found, err := s.Lookup(t.Context(), s.campaign.Code, last.UserID)
	require.NoError(t, err)
	assert.True(t, found.InQueue)
	require.NoError(t, s.Confirm(t.Context(), last), "confirming again is harmless")
	assert.Empty(t, s.report(t).Closed, "a gate with nothing pending is open")
}

func testGateConfirmOldEpoch(t *testing.T, s *sale) {
	s.open(t)
	old := s.admit(t, 1)
	s.open(t, domain.GateWinner{UserID: 1, Slot: old.Slot, AdmittedAt: old.AdmittedAt, Pending: true})
	entries := s.pending(t)
	require.Len(t, entries, 1)
	old.EntryID = entries[0].ID // IDs of two epochs may be the same
	requireCode(t, domain.CodeEpochChanged, s.Confirm(t.Context(), old))
	require.Len(t, s.pending(t), 1, "the record of this epoch is not known to be in Kafka")

	known := s.admit(t, 1)
	assert.Equal(t, s.campaign.Epoch, known.Epoch)
	require.NoError(t, s.Confirm(t.Context(), known), "a known winner names no entry; the epoch is right")
	require.Len(t, s.pending(t), 1)
}

func testGatePending(t *testing.T, s *sale) {
	s.open(t)
	var want []domain.Winner
	for user := range domain.UserID(5) {
		want = append(want, s.admit(t, user+1).Winner)
	}
	var got []domain.Winner
	after := ""
	for range 3 {
		page, err := s.Pending(t.Context(), s.campaign.Code, after, 2)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 2)
		for _, entry := range page {
			assert.GreaterOrEqual(t, entry.Age, time.Duration(0))
			assert.Less(t, entry.Age, time.Minute)
			got = append(got, entry.Winners...)
			after = entry.ID
		}
	}
	assert.Equal(t, want, got)
	none, err := s.Pending(t.Context(), s.campaign.Code, after, 2)
	require.NoError(t, err)
	assert.Empty(t, none)

	report := s.report(t)
	assert.Equal(t, int64(5), report.PendingEntries)
	require.NoError(t, s.Dispute(t.Context(), want[0]))
	require.NotEmpty(t, s.report(t).Closed)
	assert.Len(t, s.pending(t), 5, "a closed gate still tells what is pending")
}

func testGateAcknowledge(t *testing.T, s *sale) {
	s.open(t)
	first, second, third := s.admit(t, 1), s.admit(t, 2), s.admit(t, 3)
	requireCode(t, domain.CodeEpochChanged,
		s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch+1, []string{first.EntryID}))
	require.Len(t, s.pending(t), 3)

	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, nil))
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{first.EntryID, third.EntryID}))
	entries := s.pending(t)
	require.Len(t, entries, 1)
	assert.Equal(t, second.EntryID, entries[0].ID)
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{first.EntryID, second.EntryID}))
	assert.Empty(t, s.pending(t))
	assert.Equal(t, domain.Slot(4), s.admit(t, 4).Slot, "the gate stays open when nothing is pending")
}
