package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// requireSoldOut requires that newcomers are refused, and that the gate's report says so too.
func (s *sale) requireSoldOut(t *testing.T, newcomer domain.UserID, why string) {
	t.Helper()
	_, err := s.Admit(t.Context(), s.campaign.Code, newcomer)
	require.Equal(t, domain.CodeSoldOut, domain.CodeOf(err), why)
	assert.Zero(t, s.report(t).Remaining(), why)
}

// waitOutALease waits, by Redis's clock, for longer than newcomers are kept waiting when there is new capacity.
func (s *sale) waitOutALease(t *testing.T) {
	t.Helper()
	over := s.report(t).ServerTime.Add(2100 * time.Millisecond)
	require.Eventually(t, func() bool { return s.report(t).ServerTime.After(over) }, reopenPatience, 20*time.Millisecond)
}

// testGateOwedFirst brings new capacity of each kind, which is enough for those who are owed a slot and no more.
func testGateOwedFirst(t *testing.T, s *sale) {
	s.openWith(t, 1, holder(1, 1))
	_, err := s.Honour(t.Context(), s.campaign.Code, 2)
	requireCode(t, domain.CodeSoldOut, err)
	report := s.report(t)
	assert.Equal(t, int64(1), report.Owed)
	assert.Equal(t, int64(1), report.WithoutSlot())

	s.campaign.Quota = 2
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	assert.Zero(t, s.report(t).WithoutSlot())
	s.waitOutALease(t)
	s.requireSoldOut(t, 101, "the raised quota is user 2's")
	raised, err := s.Honour(t.Context(), s.campaign.Code, 2)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(2), raised.Slot)

	for _, owed := range []domain.UserID{3, 4} {
		_, err = s.Honour(t.Context(), s.campaign.Code, owed)
		requireCode(t, domain.CodeSoldOut, err)
	}
	s.release(t, 1, 1)
	s.waitOutALease(t)
	s.requireSoldOut(t, 102, "the freed slot is user 3's or 4's")
	s.open(t, holder(2, 2), holder(3, domain.SlotOwed), holder(4, domain.SlotOwed))
	s.waitOutALease(t)
	s.requireSoldOut(t, 103, "after a rebuild too")
	freed, err := s.Honour(t.Context(), s.campaign.Code, 4)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(1), freed.Slot)

	s.campaign.Quota = 4
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	_, err = s.Admit(t.Context(), s.campaign.Code, 104)
	requireCode(t, domain.CodeSoldOut, err) // it waits for the lease
	s.waitUntilAdmitted(t, 104)
	s.requireSoldOut(t, 105, "the last one is user 3's")
	last, err := s.Honour(t.Context(), s.campaign.Code, 3)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(4), last.Slot)
	assert.Zero(t, s.report(t).Owed)
}

// testGateOwedReleased gives up a promise whose slot was reserved: that slot is new capacity.
func testGateOwedReleased(t *testing.T, s *sale) {
	s.openWith(t, 2, holder(1, 1), holder(2, domain.SlotOwed))
	s.requireSoldOut(t, 101, "the other slot is user 2's")
	released := time.Now()
	s.release(t, 2, domain.NoSlot)
	_, err := s.Admit(t.Context(), s.campaign.Code, 101)
	requireCode(t, domain.CodeSoldOut, err)
	s.waitUntilAdmitted(t, 101)
	assert.GreaterOrEqual(t, time.Since(released), time.Second, "longer than a refusal from memory lives")
}
