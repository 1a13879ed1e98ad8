package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// Gate is all that a gate does.
type Gate interface {
	domain.Admitter
	domain.GateReader
	domain.GateMender
	domain.PendingReader
	domain.GateRebuilder
	domain.GateLister
	domain.PendingRestorer
}

// RunGate runs the conformance suite of a gate. newGate gives another process's view of the same server each time; the
// tests use campaigns of their own and run side by side.
func RunGate(t *testing.T, newGate func(t *testing.T) Gate) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *sale){
		"AGateThatWasNeverOpenedAdmitsNobody":        testGateNeverOpened,
		"OneUserAtOnceGetsOneSlot":                   testGateSameUser,
		"ExactlyTheQuotaIsAdmitted":                  testGateQuota,
		"AKnownWinnerIsNeverRefused":                 testGateKnownWinner,
		"TheWindowAndTheStateAreKept":                testGateWindow,
		"AUserWhoLeftIsNotAdmitted":                  testGateLeft,
		"ABadCodeIsRefused":                          testGateBadCode,
		"ABatchIsDecidedInItsOrder":                  testGateBatchOrder,
		"OneBatchMayHoldTheSameUserTwice":            testGateBatchTwice,
		"ABatchEndsExactlyAtTheQuota":                testGateBatchQuota,
		"EachUserOfABatchGetsTheirOwnAnswer":         testGateBatchMixed,
		"APromiseIsHonouredForAWholeBatch":           testGateBatchHonoured,
		"TheLargestBatchIsOneStep":                   testGateBatchLimit,
		"AnEntryIsKeptUntilItIsAcknowledged":         testGateEntry,
		"AnEntryOfAnotherEpochIsKept":                testGateEntryOldEpoch,
		"PendingEntriesTellTheWholeWinner":           testGatePending,
		"AnAcknowledgementOfAnotherEpochIsRefused":   testGateAcknowledge,
		"ARebuiltGateGoesOnWhereItStopped":           testGateRebuild,
		"FreshPendingEntriesKeepTheOrderOfAdmission": testGateRebuildPending,
		"EachAnswerNamesTheEpoch":                    testGateAnswersNameTheEpoch,
		"WhoBecomesKnownIsToldAfterALease":           testGateToldLater,
		"WinnersWhoComeLateAreSentToo":               testGateRebuildLate,
		"ARebuildCanReadTheUsersOfTheClosedGate":     testGateRebuildOldUsers,
		"AnOvertakenRebuildChangesNothing":           testGateOvertaken,
		"ARebuildRefusesContradictions":              testGateRebuildContradictions,
		"AnOwedUserIsHonoured":                       testGateOwed,
		"WhoIsOwedASlotComesBeforeNewcomers":         testGateOwedFirst,
		"AGivenUpPromiseReopensAfterALease":          testGateOwedReleased,
		"ADisputeClosesOnlyWhatItContradicts":        testGateDispute,
		"SettingsFollowTheLedger":                    testGateSettings,
		"OlderSettingsUndoNothing":                   testGateSettingsVersion,
		"ALowerQuotaMeansFewer":                      testGateLowered,
		"NewCapacityReopensAfterALease":              testGateReopen,
		"ACampaignThatIsLetGoOnOpensAfterALease":     testGateLetGoOn,
		"APlannedStartNeedsNoLease":                  testGatePlannedStart,
		"ARebuildThatOpensWaitsForTheLease":          testGateRebuildReopens,
		"ARebuildAfterALossAdmitsNobodyNewAtOnce":    testGateRebuildUnsure,
		"ARevokedSlotGoesToTheNext":                  testGateRelease,
		"AReleaseThatContradictsTheGateClosesIt":     testGateReleaseContradiction,
		"AnAuditReadsAllThatTheGateHolds":            testGateVisits,
		"OnlyWhatStillHoldsIsPutBack":                testGatePutBack,
		"EachUserHearsOfTheirOwnRecord":              testGateOwnEntry,
		"WhoIsPutBackTellsNothingOfLaterUsers":       testGateOwnEntryPutBack,
		"TheGateAgreesWithTheModel":                  testGateModel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newSale(t, newGate))
		})
	}
}

// sale is one campaign on a gate.
type sale struct {
	Gate
	newGate  func(t *testing.T) Gate
	campaign domain.Campaign
}

func newSale(t *testing.T, newGate func(t *testing.T) Gate) *sale {
	t.Helper()
	return &sale{Gate: newGate(t), newGate: newGate, campaign: domain.Campaign{
		Code: "gate-" + strconv.FormatUint(rand.Uint64(), 36), Name: "a sale", Quota: 10, State: domain.CampaignOpen,
		StartsAt: time.Now().Add(-time.Hour).UTC(), EndsAt: domain.NoEnd,
	}}
}

// open rebuilds the gate under the next epoch, with these users in it.
func (s *sale) open(t require.TestingT, winners ...domain.GateWinner) {
	s.campaign.Epoch++
	target, err := s.BeginRebuild(context.Background(), s.campaign.Code, s.campaign.Epoch)
	require.NoError(t, err)
	require.NoError(t, s.WriteWinners(context.Background(), target, winners))
	require.NoError(t, s.OpenRebuilt(context.Background(), target, s.campaign))
}

func (s *sale) openWith(t *testing.T, quota int64, winners ...domain.GateWinner) {
	t.Helper()
	s.campaign.Quota = quota
	s.open(t, winners...)
}

// Admit asks for one user.
func (s *sale) Admit(ctx context.Context, code string, user domain.UserID) (domain.Admission, error) {
	return domain.Admit(ctx, s.Gate, code, user)
}

// Honour asks for one user, and does not wait until the answer may be told.
func (s *sale) Honour(ctx context.Context, code string, user domain.UserID) (domain.Admission, error) {
	decisions := make([]domain.Decision, 1)
	if err := s.HonourAll(ctx, code, []domain.UserID{user}, decisions); err != nil {
		return domain.Admission{}, err
	}
	return decisions[0].Admission, decisions[0].Err
}

func (s *sale) admit(t *testing.T, user domain.UserID) domain.Admission {
	t.Helper()
	admission, err := s.Admit(t.Context(), s.campaign.Code, user)
	require.NoError(t, err)
	return admission
}

// release frees a slot, and expects the epoch of the gate.
func (s *sale) release(t require.TestingT, user domain.UserID, slot domain.Slot) {
	epoch, err := s.Release(context.Background(), s.campaign.Code, user, slot)
	require.NoError(t, err)
	require.Equal(t, s.campaign.Epoch, epoch)
}

func (s *sale) report(t require.TestingT) domain.GateReport {
	report, err := s.Inspect(context.Background(), s.campaign.Code)
	require.NoError(t, err)
	return report
}

func (s *sale) pending(t *testing.T) []domain.PendingEntry {
	t.Helper()
	entries, err := s.Pending(t.Context(), s.campaign.Code, "", 1000)
	require.NoError(t, err)
	return entries
}

// holder is a user as a rebuild finds them in the ledger.
func holder(user domain.UserID, slot domain.Slot) domain.GateWinner {
	return domain.GateWinner{UserID: user, Slot: slot, AdmittedAt: time.UnixMilli(1_700_000_000_000 + int64(user))}
}

func requireCode(t require.TestingT, code domain.Code, err error) {
	if helper, ok := t.(interface{ Helper() }); ok {
		helper.Helper()
	}
	require.Equal(t, code, domain.CodeOf(err), "%v", err)
}

func testGateNeverOpened(t *testing.T, s *sale) {
	ctx, code := t.Context(), s.campaign.Code
	_, err := s.Admit(ctx, code, 1)
	requireCode(t, domain.CodeGateClosed, err)
	_, err = s.Honour(ctx, code, 1)
	requireCode(t, domain.CodeGateClosed, err)
	_, err = s.Lookup(ctx, code, 1)
	requireCode(t, domain.CodeGateClosed, err)
	_, err = s.Release(ctx, code, 1, 1)
	requireCode(t, domain.CodeGateClosed, err)
	requireCode(t, domain.CodeGateClosed, s.ApplySettings(ctx, s.campaign))
	requireCode(t, domain.CodeGateClosed, s.Acknowledge(ctx, code, 0, []string{"1-1"}))
	require.NoError(t, s.Dispute(ctx, domain.Winner{Campaign: code, UserID: 1, Slot: 1}))
	require.Empty(t, s.pending(t))

	report := s.report(t)
	assert.Equal(t, "missing", report.Closed)
	assert.Zero(t, report.Count)
	assert.WithinDuration(t, time.Now(), report.ServerTime, time.Minute)
}

// askAtOnce lets every user ask at the same time, shared out over the gates, and gives what they were told.
func askAtOnce(t *testing.T, code string, gates []Gate, users []domain.UserID) ([]domain.Admission, []error) {
	t.Helper()
	admissions, errs := make([]domain.Admission, len(users)), make([]error, len(users))
	var begin, done sync.WaitGroup
	begin.Add(1)
	for i, user := range users {
		done.Go(func() {
			begin.Wait()
			admissions[i], errs[i] = domain.Admit(t.Context(), gates[i%len(gates)], code, user)
		})
	}
	begin.Done()
	done.Wait()
	return admissions, errs
}

func testGateSameUser(t *testing.T, s *sale) {
	s.open(t)
	admissions, errs := askAtOnce(t, s.campaign.Code, []Gate{s.Gate, s.newGate(t)}, slices.Repeat([]domain.UserID{42}, 100))
	fresh := 0
	for i := range errs {
		require.NoError(t, errs[i])
		assert.Equal(t, domain.Slot(1), admissions[i].Slot)
		assert.Equal(t, domain.UserID(42), admissions[i].UserID)
		assert.False(t, admissions[i].InQueue, "nobody confirmed the record yet")
		if admissions[i].New {
			fresh++
		}
	}
	assert.Equal(t, 1, fresh)
	assert.Equal(t, int64(1), s.report(t).Count)
}

func testGateQuota(t *testing.T, s *sale) {
	const quota, applicants = 20, 100
	s.openWith(t, quota)
	users := make([]domain.UserID, applicants)
	for i := range users {
		users[i] = domain.UserID(i + 1)
	}
	admissions, errs := askAtOnce(t, s.campaign.Code, []Gate{s.Gate, s.newGate(t)}, users)
	slots := map[domain.Slot]domain.UserID{}
	for i, admission := range admissions {
		if errs[i] != nil {
			requireCode(t, domain.CodeSoldOut, errs[i])
			continue
		}
		assert.Equal(t, users[i], admission.UserID)
		assert.True(t, admission.New)
		assert.Equal(t, s.campaign.Epoch, admission.Epoch)
		assert.NotContains(t, slots, admission.Slot)
		slots[admission.Slot] = admission.UserID
	}
	require.Len(t, slots, quota)
	for slot := domain.Slot(1); slot <= quota; slot++ {
		assert.Contains(t, slots, slot)
	}
	report := s.report(t)
	assert.Zero(t, report.Remaining())
	assert.Equal(t, int64(quota), report.Winners)
}

func testGateKnownWinner(t *testing.T, s *sale) {
	s.openWith(t, 1)
	first := s.admit(t, 7)
	_, err := s.Admit(t.Context(), s.campaign.Code, 8)
	requireCode(t, domain.CodeSoldOut, err)
	askAgain := func() {
		t.Helper()
		again := s.admit(t, 7)
		assert.Equal(t, first.Winner, again.Winner)
		assert.False(t, again.New)
	}
	askAgain()
	for _, state := range []domain.CampaignState{domain.CampaignPaused, domain.CampaignEnded} {
		s.campaign.State = state
		require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
		askAgain()
	}
	s.campaign.EndsAt = s.campaign.StartsAt.Add(time.Second)
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	askAgain()
	s.campaign.StartsAt, s.campaign.EndsAt = time.Now().Add(time.Hour), domain.NoEnd
	require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
	askAgain()

	found, err := s.Lookup(t.Context(), s.campaign.Code, 7)
	require.NoError(t, err)
	assert.Equal(t, first.Winner, found.Winner)
	_, err = s.Lookup(t.Context(), s.campaign.Code, 8)
	requireCode(t, domain.CodeNotFound, err)
}

func testGateWindow(t *testing.T, s *sale) {
	s.open(t)
	nextUser := domain.UserID(0)
	refused := func(code domain.Code) (retryAfter time.Duration) {
		t.Helper()
		require.NoError(t, s.ApplySettings(t.Context(), s.campaign))
		nextUser++
		honoured, err := s.Honour(t.Context(), s.campaign.Code, nextUser+1000)
		require.NoError(t, err, "a promise holds whatever the window and the state are")
		assert.True(t, honoured.New)
		_, err = s.Admit(t.Context(), s.campaign.Code, nextUser)
		requireCode(t, code, err)
		var refusal *domain.Error
		require.ErrorAs(t, err, &refusal)
		return refusal.RetryAfter
	}
	s.campaign.State = domain.CampaignPaused
	refused(domain.CodePaused)
	s.campaign.State = domain.CampaignEnded
	refused(domain.CodeEnded)
	s.campaign.State = domain.CampaignOpen
	s.campaign.StartsAt = time.Now().Add(time.Hour)
	assert.InDelta(t, time.Hour, refused(domain.CodeNotStarted), float64(time.Minute), "until it starts")
	s.campaign.StartsAt, s.campaign.EndsAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	refused(domain.CodeEnded)
	assert.Equal(t, int64(4), s.report(t).Count, "only the honoured ones")
}

func testGateLeft(t *testing.T, s *sale) {
	s.open(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.Admit(ctx, s.campaign.Code, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Honour(ctx, s.campaign.Code, 1)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, s.report(t).Count)
}

func testGateBadCode(t *testing.T, s *sale) {
	for _, code := range []string{"", "A", "a{b}", "a b"} {
		_, err := s.Admit(t.Context(), code, 1)
		requireCode(t, domain.CodeInvalidRequest, err)
		_, err = s.Inspect(t.Context(), code)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
}
