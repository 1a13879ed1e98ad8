package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func testGateEntry(t *testing.T, s *sale) {
	const winners = 200
	s.openWith(t, winners)
	admitted := s.admitAll(t, usersFrom(1, winners)...)
	entry := admitted[0].EntryID
	for _, decision := range admitted {
		require.Equal(t, entry, decision.EntryID, "a batch shares its entry")
		require.Equal(t, winners, decision.EntrySize)
	}
	acknowledge := func() {
		require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entry}))
	}
	for _, decision := range s.admitAll(t, usersFrom(1, winners)...) {
		require.False(t, decision.InQueue)
	}
	require.Len(t, s.pending(t), 1)
	acknowledge()
	require.Empty(t, s.pending(t))
	for _, decision := range s.admitAll(t, usersFrom(1, winners)...) {
		require.True(t, decision.InQueue)
	}
	found, err := s.Lookup(t.Context(), s.campaign.Code, 7)
	require.NoError(t, err)
	assert.True(t, found.InQueue)
	acknowledge() // again: harmless
	assert.Empty(t, s.report(t).Closed, "a gate with nothing pending is open")
}

func testGateEntryOldEpoch(t *testing.T, s *sale) {
	s.open(t)
	old := s.admit(t, 1)
	s.open(t, domain.GateWinner{UserID: 1, Slot: old.Slot, AdmittedAt: old.AdmittedAt, Pending: true})
	entries := s.pending(t)
	require.Len(t, entries, 1)
	// IDs of two epochs may be the same.
	requireCode(t, domain.CodeEpochChanged, s.Acknowledge(t.Context(), s.campaign.Code, old.Epoch, []string{entries[0].ID}))
	require.Len(t, s.pending(t), 1, "the record of this epoch is not known to be in Kafka")

	known := s.admit(t, 1)
	assert.Equal(t, s.campaign.Epoch, known.Epoch)
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, known.Epoch, nil), "a known winner names no entry")
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
