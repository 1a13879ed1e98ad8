package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// testGateOwnEntry has an entry that stays pending, as those of a process that does not reach Kafka do, while others come
// and go: each user hears of their own record.
func testGateOwnEntry(t *testing.T, s *sale) {
	s.openWith(t, 3000)
	stays := s.admitAll(t, 1, 2)
	done := s.admitAll(t, usersFrom(3, 200)...)
	after := s.admit(t, 1000)
	s.acknowledge(t, done[0].EntryID)
	s.requireInQueue(t, false, 1, 2, 1000)
	s.requireInQueue(t, true, 3, 4, 202)
	for _, again := range s.admitAll(t, usersFrom(1, 202)...) {
		assert.Equal(t, again.UserID > 2, again.InQueue, "user %d of a batch", again.UserID)
	}

	s.acknowledge(t, after.EntryID)
	s.requireInQueue(t, true, 1000)
	s.requireInQueue(t, false, 1, 2)
	s.acknowledge(t, stays[0].EntryID)
	s.requireInQueue(t, true, 1, 2)
}

// testGateOwnEntryPutBack has a winner put back, whose entry is younger than the admission: it tells nothing of those
// admitted since.
func testGateOwnEntryPutBack(t *testing.T, s *sale) {
	ahead := holder(2, 2)
	ahead.AdmittedAt = time.Now().Add(time.Hour)
	s.openWith(t, 3000, holder(1, 1), ahead)
	s.putBack(t, 1, 1)
	putBackAt := time.Now().Add(-s.pending(t)[0].Age)
	user, since := domain.UserID(100), domain.Admission{}
	require.Eventually(t, func() bool {
		user++
		since = s.admit(t, user)
		return since.AdmittedAt.Sub(putBackAt) > 10*time.Millisecond
	}, 10*time.Second, 5*time.Millisecond)
	s.requireInQueue(t, false, 1, user)
	s.acknowledge(t, since.EntryID)
	s.requireInQueue(t, false, 1)
	s.requireInQueue(t, true, user)

	// By the clock of the server that admitted user 2 the entry is older than the admission.
	s.putBack(t, 2, 2)
	s.requireInQueue(t, false, 1, 2)
	for _, entry := range s.pending(t) {
		s.requireInQueue(t, false, 2)
		s.acknowledge(t, entry.ID)
	}
	s.requireInQueue(t, true, 1, 2, user)
}

func (s *sale) requireInQueue(t *testing.T, want bool, users ...domain.UserID) {
	t.Helper()
	for _, user := range users {
		found, err := s.Lookup(t.Context(), s.campaign.Code, user)
		require.NoError(t, err)
		assert.Equal(t, want, found.InQueue, "user %d looks it up", user)
		assert.Equal(t, want, s.admit(t, user).InQueue, "user %d asks again", user)
		honoured, err := s.Honour(t.Context(), s.campaign.Code, user)
		require.NoError(t, err)
		assert.Equal(t, want, honoured.InQueue, "user %d is honoured", user)
	}
}

func (s *sale) acknowledge(t *testing.T, entry string) {
	t.Helper()
	require.NoError(t, s.Acknowledge(t.Context(), s.campaign.Code, s.campaign.Epoch, []string{entry}))
}

func (s *sale) putBack(t *testing.T, user domain.UserID, slot domain.Slot) {
	t.Helper()
	done, err := s.PutBack(t.Context(), domain.Winner{Campaign: s.campaign.Code, UserID: user, Slot: slot, Epoch: s.campaign.Epoch})
	require.NoError(t, err)
	require.True(t, done)
}
