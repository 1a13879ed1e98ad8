package model

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "search and walk far more than in CI")

// complete are cases of which every state is seen. Together they hold each step and each fault.
var complete = []Case{
	named("no fault", caseOf(3, 2, nil)),
	named("Redis loses everything", caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1})),
	named("a loss and a crash", alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, Crash: 1})),
	named("a loss and three users", alone(3, 1, faultsOf{LoseRedis: 1, Rebuilds: 1})),
	named("a frozen rebuilder", alone(1, 1, faultsOf{LoseRedis: 1, Rebuilds: 2, TakeOver: 1})),
	named("a frozen rebuilder and a lower quota", frozenRebuild(alone(1, 2, faultsOf{LowerQuota: 1, Rebuilds: 1, TakeOver: 1}))),
	named("roll-back", caseOf(2, 1, faultsOf{RollBack: 1, Rebuilds: 1})),
	named("two masters", alone(2, 1, faultsOf{RollBack: 1, SplitBrain: 1, Rebuilds: 1})),
	named("a rebuild on the old master", rebuiltOnOld(caseOf(2, 1, faultsOf{SplitBrain: 1, Rebuilds: 1}))),
	named("two masters and an event without a slot", waitsBehindAnother(alone(2, 2, faultsOf{SplitBrain: 1, Rebuilds: 1}))),
	named("a lease of the old master", leaseOfOldMaster(caseOf(2, 1, faultsOf{SplitBrain: 1}))),
	named("a revocation with two masters", revokedAfterFailover(alone(2, 1, faultsOf{SplitBrain: 1, Revoke: 1}))),
	named("restart and retention", caseOf(2, 1, faultsOf{RestartRedis: 1, Rebuilds: 1, LoseRecord: 1})),
	named("a spoiled key", caseOf(2, 1, faultsOf{LoseUser: 1, Rebuilds: 1})),
	named("a refused row and a loss", refusedInHand(alone(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1}))),
	named("a refused row, discarded", alone(2, 1, faultsOf{RefuseRow: 1, Discard: 1, LoseLease: 1})),
	named("an event without a slot", waitsAndLate(alone(2, 2, faultsOf{LoseRedis: 1, Rebuilds: 1}))),
	named("an honoured event and a restart", honouredFromEvent(alone(2, 2, faultsOf{RestartRedis: 1, Rebuilds: 1}))),
	named("owed and freed", owedAndFreed(alone(3, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, Discard: 1}))),
	named("revocation and crash", caseOf(2, 1, faultsOf{Revoke: 1, Crash: 1})),
	named("revocation and loss", alone(2, 1, faultsOf{Revoke: 1, LoseRedis: 1, Rebuilds: 1})),
	named("revocation and three users", caseOf(3, 1, faultsOf{Revoke: 1})),
	named("a lower quota", alone(2, 2, faultsOf{LowerQuota: 1, Crash: 1})),
	named("a lower quota and a revocation", alone(2, 2, faultsOf{LowerQuota: 1, Revoke: 1})),
	named("a quota that is about to be lowered", aboutToLower(alone(3, 2, faultsOf{LowerQuota: 1, RaiseQuota: 1}))),
	named("a late record under a wish for a lower quota", lateUnderAWish(alone(2, 2, faultsOf{Rebuilds: 1}))),
	named("settings", caseOf(2, 1, faultsOf{Pause: 3})),
	named("settings and a loss", alone(1, 1, faultsOf{Pause: 2, LoseRedis: 1, Rebuilds: 1})),
	named("a lost commit", caseOf(2, 1, faultsOf{LedgerLosesCommit: 1, Crash: 1})),
	named("a lost commit and a loss", alone(2, 1, faultsOf{LedgerLosesCommit: 1, LoseRedis: 1, Rebuilds: 1})),
	named("a revocation that the ledger loses", passedOn(alone(2, 2, faultsOf{LedgerLosesCommit: 1, RestartRedis: 1, Rebuilds: 1}))),
	named("a slot that was passed on, and a ledger that goes back", passedOn(alone(2, 2, faultsOf{LedgerLosesCommit: 2, LoseRedis: 1, Rebuilds: 1}))),
	named("an owed record that is lost", owedOnTopic(alone(2, 1, faultsOf{LoseRecord: 1}))),
	named("a slot that is not noted", refusedInAnAttempt(alone(2, 2, faultsOf{LoseRedis: 1}))),
	named("an offset that recurs", alone(2, 2, faultsOf{RefuseRow: 1, RecreateTopic: 1})),
	named("a replica that lags", caseOf(2, 1, faultsOf{RestartRedis: 1, Rebuilds: 1, ReplicaLags: 1})),
	named("from outside", alone(2, 1, faultsOf{FromOutside: 1, LoseRedis: 1, Rebuilds: 1})),
}

// large are cases of which CI sees the beginning, and `make model` more: all of most of them.
var large = []Case{
	named("a loss and a crash, two processes", caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, Crash: 1})),
	named("two losses", caseOf(2, 1, faultsOf{LoseRedis: 2, Rebuilds: 2})),
	named("a loss and a restart", caseOf(2, 1, faultsOf{LoseRedis: 1, RestartRedis: 1, Rebuilds: 2})),
	named("a loss and a higher quota, two processes", caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, RaiseQuota: 1})),
	named("a loss, two slots and three users", caseOf(3, 2, faultsOf{LoseRedis: 1, Rebuilds: 1})),
	named("frozen rebuilder and two users", caseOf(2, 1, faultsOf{LoseRedis: 1, Rebuilds: 2, TakeOver: 1})),
	named("two masters and two processes", caseOf(2, 1, faultsOf{RollBack: 1, SplitBrain: 1, Rebuilds: 2})),
	named("a refused row and a loss at any time", caseOf(2, 1, faultsOf{RefuseRow: 1, LoseRedis: 1, Rebuilds: 1})),
	named("an event without a slot and two losses", waitsAndLate(caseOf(2, 2, faultsOf{LoseRedis: 1, Rebuilds: 2}))),
	named("an honoured event and a loss", honouredFromEvent(caseOf(2, 2, faultsOf{LoseRedis: 1, Rebuilds: 1, Crash: 1}))),
	named("owed, freed and a loss", owedAndFreed(caseOf(3, 1, faultsOf{LoseRedis: 1, Rebuilds: 1, Discard: 1, RaiseQuota: 1}))),
	named("revocation, loss and crash", caseOf(2, 1, faultsOf{Revoke: 1, LoseRedis: 1, Rebuilds: 1, Crash: 1})),
	named("lower and higher quota", caseOf(2, 2, faultsOf{LowerQuota: 2, RaiseQuota: 1})),
	named("a lower quota and a restart", alone(2, 2, faultsOf{LowerQuota: 1, RestartRedis: 1, Rebuilds: 1})),
	named("a frozen rebuilder, a lower quota and two users", frozenRebuild(alone(2, 2, faultsOf{LowerQuota: 1, Rebuilds: 1, TakeOver: 1}))),
	named("losses of Kafka and of the ledger", caseOf(2, 1, faultsOf{LoseRecord: 1, LedgerLosesCommit: 1, RestartRedis: 1, Rebuilds: 1})),
}

// maxLarge and maxLong bound the states of a large case. A state takes about 40 bytes, and one at the edge 400.
const maxLarge, maxLong = 60_000, 12_000_000

// maxComplete bounds the states of a case that is to be complete: more means that a step was added that goes on without end.
const maxComplete = 500_000

func TestNoPromiseIsBrokenInTheFirstStatesOfLargerCases(t *testing.T) {
	for _, c := range large {
		t.Run(c.Name, func(t *testing.T) {
			skipWithRaceDetector(t)
			c.MaxStates = maxLarge
			if *long {
				c.MaxStates = maxLong
			}
			mustHold(t, &c)
		})
	}
}

// mustHold fails where a property is broken, and says whether every state was seen.
func mustHold(t *testing.T, c *Case) bool {
	t.Helper()
	started := time.Now()
	result := Explore(c)
	seen := "all"
	if !result.Complete {
		seen = "the first"
	}
	t.Logf("%s: %s %d states, depth %d, %.1f s", c.Name, seen, result.States, result.Depth, time.Since(started).Seconds())
	if result.Broken != 0 {
		t.Fatalf("%s\n%s", result.Broken, Tell(c, result))
	}
	return result.Complete
}

// skipWithRaceDetector leaves out what takes ten times as long with it: a search has one goroutine, and nothing to be found.
func skipWithRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("a search has one goroutine; make test runs it without the race detector, too")
	}
}

func TestNoPromiseIsBrokenInAnyStateOfTheseCases(t *testing.T) {
	for _, c := range complete {
		t.Run(c.Name, func(t *testing.T) {
			skipWithRaceDetector(t)
			c.MaxStates = maxComplete
			require.True(t, mustHold(t, &c), "every state was seen")
		})
	}
}
