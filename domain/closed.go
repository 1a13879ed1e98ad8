package domain

import "time"

// Why a gate is closed (GateReport.Closed). The gate's scripts give these words; a test of store/redisgate reads them there.
const (
	// ClosedMissing: there is no gate. Until its first rebuild, or since Redis lost it.
	ClosedMissing = "missing"
	// ClosedForRebuild: a rebuild is under way, or something asked for one.
	ClosedForRebuild = "closed"
	// ClosedRunID: Redis was restarted, or another server is in its place.
	ClosedRunID = "run-id"
	// ClosedNoOwner: the gate names no installation, as those of older programs.
	ClosedNoOwner = "no-owner"
	// ClosedMeta, ClosedWrongType, ClosedUsers, ClosedFree: something in these keys can't be read.
	ClosedMeta      = "meta"
	ClosedWrongType = "wrong-type"
	ClosedUsers     = "users"
	ClosedFree      = "free"
	// ClosedEpoch and ClosedCount: Redis lost what a process has seen. ClosedEpochAhead: the gate's epoch can't be one.
	ClosedEpoch      = "epoch"
	ClosedCount      = "count"
	ClosedEpochAhead = "epoch-ahead"
	// ClosedPending: the pending entries are gone. ClosedSum: users and slots don't add up.
	ClosedPending = "pending"
	ClosedSum     = "sum"
	// ClosedDisputed: the gate and the ledger contradict each other.
	ClosedDisputed = "disputed"
	// ClosedForeign: the gate is another installation's. ClosedNoRunID: Redis does not say which server it is. No rebuild
	// opens these two.
	ClosedForeign = "foreign"
	ClosedNoRunID = "no-run-id"
)

// ClosedReasons are all of them.
var ClosedReasons = []string{
	ClosedMissing, ClosedForRebuild, ClosedRunID, ClosedNoOwner, ClosedMeta, ClosedWrongType, ClosedUsers, ClosedFree,
	ClosedEpoch, ClosedCount, ClosedEpochAhead, ClosedPending, ClosedSum, ClosedDisputed, ClosedForeign, ClosedNoRunID,
}

// Times of the gate (script/gate.lua says why). Whatever refuses from memory must forget sooner than either of them.
const (
	// ReopenAfter is how long a gate that refused everybody goes on doing so when it could admit again (REOPEN_AFTER_MS).
	ReopenAfter = 2000 * time.Millisecond
	// TellAfter is how long nobody tells a user who became known to a gate that refuses everybody else (TOLD_AFTER_MS).
	TellAfter = 1200 * time.Millisecond
)
