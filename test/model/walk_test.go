package model

import (
	"math/rand/v2"
	"testing"
	"time"
)

// walkSteps is how long a walk may be, walkTime how long one case is walked.
const walkSteps = 120

// everything lets almost all faults happen in one walk. Commits and records are lost in a case of their own, since no
// promise outlives both them and Redis; so are two masters.
var walks = []Case{
	named("faults and operators", caseOf(3, 2, faultsOf{
		Crash: 3, LoseRedis: 2, RestartRedis: 1, Rebuilds: 5, TakeOver: 1, RefuseRow: 1, LoseLease: 1,
		RaiseQuota: 1, LowerQuota: 1, Pause: 2, Discard: 1, Revoke: 1, ReplicaLags: 2, FromOutside: 1,
	})),
	named("roll-backs", caseOf(3, 2, faultsOf{Crash: 2, RollBack: 2, Rebuilds: 4, TakeOver: 1, RefuseRow: 1, Revoke: 1, RaiseQuota: 1})),
	named("losses of Kafka and the ledger", caseOf(3, 2, faultsOf{
		Crash: 2, LoseRecord: 1, LedgerLosesCommit: 1, RecreateTopic: 1, RestartRedis: 1, Rebuilds: 3, RefuseRow: 1,
	})),
	named("two masters", caseOf(3, 2, faultsOf{Crash: 2, RollBack: 1, SplitBrain: 1, LoseRedis: 1, Rebuilds: 4, TakeOver: 1, RaiseQuota: 1, LowerQuota: 1})),
}

func TestRandomWalksBreakNoPromise(t *testing.T) {
	for _, c := range walks {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			started, steps := time.Now(), 0
			for walked := 1; time.Since(started) < walkTime(); walked++ {
				seed := rand.Uint64()
				result := Walk(&c, seed, walkSteps)
				steps += result.Depth
				if result.Broken != 0 {
					t.Fatalf("seed %d breaks %s\n%s", seed, result.Broken, Tell(&c, result))
				}
			}
			t.Logf("%d steps", steps)
		})
	}
}

// walkTime is how long each case is walked.
func walkTime() time.Duration {
	switch {
	case raceDetector:
		return 200 * time.Millisecond
	case *long:
		return 5 * time.Minute
	}
	return 4 * time.Second
}
