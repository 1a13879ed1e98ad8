package model

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// All rules, and all properties.
const (
	allRules      = LateBeatsEvent<<1 - 1
	allProperties = Unsettled<<1 - 1
)

// takenOut names for each rule a case in which it is needed. Where another rule would do as well, that one is out as well.
var takenOut = []struct {
	name   string
	rule   Rule
	also   Rule
	c      Case
	breaks Property
}{
	{"KnownBeforeStock", KnownBeforeStock, 0, caseOf(2, 1, nil), FalseRefusal},
	{"ReservedWhilePending", ReservedWhilePending, 0, alone(1, 1, nil), Lost},
	{"ReservedWhilePutBack", ReservedWhilePutBack, 0, alone(1, 1, faultsOf{LoseRecord: 1}), Lost},
	{"AcceptedAfterKafka", AcceptedAfterKafka, 0, alone(1, 1, nil), Lost},
	{"EpochAtAcknowledge", EpochAtAcknowledge, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), FalseRefusal | ToldTwice},
	{"OpenGateAtAcknowledge", OpenGateAtAcknowledge, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), FalseRefusal},
	{"EntryOfThisEpoch", EntryOfThisEpoch, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), Lost},
	{"HonouredToldLater", HonouredToldLater, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), FalseRefusal},
	{"RebuiltToldLater", RebuiltToldLater, 0, alone(2, 1, faultsOf{LoseRedis: 2, Rebuilds: 2}), FalseRefusal},
	{"HonourWaits", HonourWaits, 0, alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, RaiseQuota: 1}), FalseRefusal},
	{"CapacityAfterLeases", CapacityAfterLeases, 0, caseOf(2, 1, faultsOf{RaiseQuota: 1}), FalseRefusal},
	{"UnsureAfterLoss", UnsureAfterLoss, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), FalseRefusal},
	{"OwedFirst", OwedFirst, 0, alone(3, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, RaiseQuota: 1}), Dead},
	{"HonourMakesPending", HonourMakesPending, 0, alone(2, 2, faultsOf{LoseRedis: 2, Rebuilds: 2}), OtherSlot | ToldTwice},
	{"SumOfSlots", SumOfSlots, 0, alone(2, 1, faultsOf{LoseUser: 1, Rebuilds: 1}), FalseRefusal | ToldTwice},
	{"RunID", RunID, 0, caseOf(2, 1, faultsOf{RollBack: 1, Rebuilds: 1}), ToldTwice},
	{"EpochAtInsert", EpochAtInsert, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), Differ | Missed},
	{"QuotaAtInsert", QuotaAtInsert, LowerIsAWish, alone(2, 2, faultsOf{LowerQuota: 1}), OverQuota},
	{"UniqueSlot", UniqueSlot, RunID, alone(2, 1, faultsOf{RollBack: 1, Rebuilds: 1}), OverQuota},
	{"UniqueUser", UniqueUser, 0, caseOf(2, 2, faultsOf{LoseRedis: 1, Rebuilds: 1}), TwoCoupons},
	{"EpochOfEvent", EpochOfEvent, UpstreamFirst, refusedInHand(alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1})), FalseRefusal},
	{"EventByContent", EventByContent, 0, alone(2, 2, faultsOf{RefuseRow: 2, RecreateTopic: 1}), Lost},
	{"CommitAfterStore", CommitAfterStore, 0, alone(1, 1, faultsOf{Crash: 1}), Lost},
	{"NoSlotWaits", NoSlotWaits, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), Dead},
	{"DisputeCloses", DisputeCloses, RunID, alone(2, 1, faultsOf{RollBack: 1, Rebuilds: 1}), Differ | Dead},
	{"RelaySends", RelaySends, 0, alone(1, 1, faultsOf{Crash: 1}), SlotLost},
	{"SweepReleases", SweepReleases, 0, alone(2, 1, faultsOf{Revoke: 1, Crash: 1}), SlotLost},
	{"RevokedMark", RevokedMark, 0, alone(2, 1, faultsOf{Revoke: 1}), SlotLost},
	{"ReleaseIfHeld", ReleaseIfHeld, SumOfSlots, owedAndFreed(alone(2, 1, faultsOf{Discard: 1, Crash: 1})), SlotLost},
	{"ReleasedOfEpoch", ReleasedOfEpoch, 0, revokedAfterFailover(alone(2, 1, faultsOf{SplitBrain: 1, Revoke: 1})), SlotLost | Differ},
	{"SweepSettings", SweepSettings, 0, alone(2, 1, faultsOf{RaiseQuota: 1, Crash: 1}), SlotLost},
	{"SettingsVersion", SettingsVersion, 0, alone(2, 1, faultsOf{Pause: 3}), Undone},
	{"LowerIsAWish", LowerIsAWish, 0, alone(2, 2, faultsOf{LowerQuota: 1}), Dead | OverQuota},
	{"HoldersFit", HoldersFit, 0, alone(2, 2, faultsOf{LowerQuota: 1, RestartRedis: 1, Rebuilds: 1}), OverQuota | Dead},
	{"LowerIfUnchanged", LowerIfUnchanged, 0, aboutToLower(alone(3, 2, faultsOf{LowerQuota: 1, RaiseQuota: 1})), OverQuota},
	{"RoomByHolders", RoomByHolders, 0, lateUnderAWish(alone(2, 2, faultsOf{Rebuilds: 1})), OverQuota},
	{"SlotLimit", SlotLimit, 0, alone(2, 2, faultsOf{LowerQuota: 1, Revoke: 1}), Dead | OtherSlot | OverQuota},
	{"KeepWithinQuota", KeepWithinQuota, 0, lateUnderAWish(alone(2, 2, faultsOf{Rebuilds: 1})), OverQuota},
	{"PutBack", PutBack, 0, alone(1, 1, faultsOf{LoseRecord: 1}), Lost},
	{"OwedSentAgain", OwedSentAgain, 0, owedOnTopic(alone(2, 1, faultsOf{LoseRecord: 1})), Lost},
	{"UpstreamFirst", UpstreamFirst, EpochOfEvent, refusedInHand(alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1})), FalseRefusal},
	{"SnapshotEpoch", SnapshotEpoch, 0, alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, ReplicaLags: 1}), Differ | Missed},
	{"RecallForgotten", RecallForgotten, 0, alone(2, 1, faultsOf{RestartRedis: 1, Rebuilds: 1, LoseRecord: 1}), Lost},
	{"RecallUnstored", RecallUnstored, 0, alone(2, 1, faultsOf{LedgerLosesCommit: 1, LoseRedis: 1, Rebuilds: 1}), Lost | ToldTwice | FalseRefusal},
	{"KeepRevoked", KeepRevoked, 0, passedOn(alone(2, 2, faultsOf{LedgerLosesCommit: 1, RestartRedis: 1, Rebuilds: 1})), Undone},
	{"HolderBeatsStored", HolderBeatsStored, KeepRevoked | LaterKeepsSlot,
		passedOn(alone(2, 2, faultsOf{LedgerLosesCommit: 2, RestartRedis: 1, Rebuilds: 1})), OtherSlot},
	{"LaterKeepsSlot", LaterKeepsSlot, 0, passedOn(alone(2, 2, faultsOf{LedgerLosesCommit: 2, LoseRedis: 1, Rebuilds: 1})), OtherSlot},
	{"TailAgain", TailAgain, 0, alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}), Missed},
	{"ClaimsByEpoch", ClaimsByEpoch, 0, caseOf(2, 1, faultsOf{LoseRedis: 2, Rebuilds: 2}), OtherSlot | ToldTwice},
	{"EventKeepsClaim", EventKeepsClaim, 0, honouredFromEvent(alone(2, 2, faultsOf{RestartRedis: 1, Rebuilds: 1})), OtherSlot | ToldTwice},
	{"OwedIsNoted", OwedIsNoted, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, RestartRedis: 1, Rebuilds: 2}), Missed},
	{"OwedSentAsClaimed", OwedSentAsClaimed, LaterKeepsSlot,
		forgotten(alone(2, 1, faultsOf{RestartRedis: 1, Rebuilds: 1, RaiseQuota: 1})), OtherSlot | ToldTwice},
	{"FreshPending", FreshPending, 0, alone(1, 1, faultsOf{RestartRedis: 1, Rebuilds: 1, Crash: 1}), Lost},
	{"WaitingIsPending", WaitingIsPending, 0, waitsAndLate(alone(2, 2, faultsOf{LoseRedis: 1, Rebuilds: 2})), OtherSlot},
	{"OpenIfMine", OpenIfMine, 0, caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 2, TakeOver: 1}), ToldTwice},
	{"FinishIfNewest", FinishIfNewest, 0, frozenRebuild(alone(2, 2, faultsOf{LowerQuota: 1, Rebuilds: 1, TakeOver: 1})), OverQuota | Dead},
	{"EntryUntilNoted", EntryUntilNoted, 0, refusedInAnAttempt(alone(2, 2, faultsOf{LoseRedis: 1})), OtherSlot | ToldTwice},
	{"GateNotOlder", GateNotOlder, 0, alone(2, 1, faultsOf{RollBack: 1, SplitBrain: 1, Rebuilds: 1}), OtherSlot | ToldTwice | FalseRefusal},
	{"LeaseOfEpoch", LeaseOfEpoch, 0, leaseOfOldMaster(caseOf(2, 1, faultsOf{SplitBrain: 1})), FalseRefusal},
	{"UnsureIfOlder", UnsureIfOlder, 0, rebuiltOnOld(caseOf(2, 1, faultsOf{SplitBrain: 1, Rebuilds: 1})), OtherSlot | ToldTwice | FalseRefusal},
	{"ReadBeforeAllot", ReadBeforeAllot, 0, waitsAtFailover(alone(2, 2, faultsOf{SplitBrain: 1, Rebuilds: 1})), OtherSlot | ToldTwice},
	{"LateBeatsEvent", LateBeatsEvent, 0, waitsBehindAnother(alone(2, 2, faultsOf{SplitBrain: 1, Rebuilds: 1})), OtherSlot | ToldTwice},
	{"AllotWhenKnown", AllotWhenKnown, 0, alone(2, 1, faultsOf{RollBack: 1, SplitBrain: 1, Rebuilds: 1}), OtherSlot | ToldTwice | FalseRefusal},
}

// maxCounterexample bounds the states that are seen until a counterexample must be found.
const maxCounterexample = 700_000

func TestEachRuleThatIsTakenOutGivesACounterexample(t *testing.T) {
	for _, out := range takenOut {
		t.Run(out.name, func(t *testing.T) {
			t.Parallel()
			skipWithRaceDetector(t)
			c := out.c
			c.Without, c.MaxStates = out.rule|out.also, maxCounterexample
			if out.also != 0 {
				c.Allow = allProperties &^ out.breaks
			}
			result := Explore(&c)
			require.NotZero(t, result.Broken&out.breaks, "expected: %s; got: %s after %d states\n%s",
				out.breaks, result.Broken, result.States, Tell(&c, result))
			t.Logf("%s: %d states\n%s", result.Broken, result.States, Tell(&c, result))
			c.Without, c.MaxStates = out.also, result.States
			result = Explore(&c)
			require.Zero(t, result.Broken, "with the rule: %s\n%s", result.Broken, Tell(&c, result))
		})
	}
}

func TestEachRuleStandsInTheTable(t *testing.T) {
	var listed Rule
	for _, out := range takenOut {
		require.Zero(t, listed&out.rule, "%s stands there twice", out.name)
		listed |= out.rule
	}
	require.Equal(t, allRules, listed)
}
