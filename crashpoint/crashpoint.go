// Package crashpoint names the points between two steps at which a test ends the process as kill -9 does, to see that
// what the first step left is taken up again. Each constant says what is done and what is not.
//
// Only a build with the tag crashpoints has them: in any other, Reach is an empty function that the compiler leaves out.
package crashpoint

// Point is a place between two steps.
type Point string

// Variable names the environment variable that arms points: "api.admitted:3" ends the process when it comes to the
// point for the third time, "api.admitted:1:hold" keeps anybody who comes there first until the points are armed anew. Several
// are separated by commas. "@FILE" reads them from a file, anew at each point, so that a test can arm a running process;
// a missing file arms none.
const Variable = "FIRSTCOME_TEST_CRASHPOINTS"

// The way of an application through the api: the steps stand in admission/doc.go.
const (
	// APIFound: the campaign is found in memory, the application is not in its line.
	APIFound Point = "api.found"
	// APITaken: a batch is taken out of the line, the gate was not asked.
	APITaken Point = "api.taken"
	// APIAdmitted: the gate has admitted some of a batch and the others have their answers, nothing was sent to Kafka.
	APIAdmitted Point = "api.admitted"
	// APIPublished: Kafka has acknowledged records, their pending entry is still there.
	APIPublished Point = "api.published"
	// APIHonoured: a gate that was rebuilt meanwhile has given the slots that hold now, their records were not sent.
	APIHonoured Point = "api.honoured"
	// APIConfirmed: the pending entry may be gone, the clients have no answer.
	APIConfirmed Point = "api.confirmed"
)

// Inside the stores that carry out those steps.
const (
	// GateDecided: the script has decided a batch, nobody in this process knows what.
	GateDecided Point = "gate.decided"
	// GateAcknowledged: the script has removed pending entries all of whose records are in Kafka or stored, nobody in
	// this process knows.
	GateAcknowledged Point = "gate.acknowledged"
	// QueueHanded: the records are on the connection to Kafka, which may or may not have them.
	QueueHanded Point = "queue.handed"
	// QueueAcknowledged: Kafka has acknowledged records, nobody who waits for that was told.
	QueueAcknowledged Point = "queue.acknowledged"
)

// One batch of the consumer: the steps stand in consumer/doc.go.
const (
	// ConsumerPolled: a batch is taken, nothing is done with it.
	ConsumerPolled Point = "consumer.polled"
	// ConsumerAdmitted: the gate has admitted a record from outside, nothing is stored.
	ConsumerAdmitted Point = "consumer.admitted"
	// ConsumerThrottled: the throttle has let the batch pass, nothing is stored.
	ConsumerThrottled Point = "consumer.throttled"
	// LedgerInserted: the rows are inserted, their transaction is not committed.
	LedgerInserted Point = "ledger.inserted"
	// ConsumerStored: the rows of a part of the batch are committed.
	ConsumerStored Point = "consumer.stored"
	// ConsumerHonoured: the gate has given a record of another epoch the slot that holds now, which is not stored.
	ConsumerHonoured Point = "consumer.honoured"
	// ConsumerKept: a record that can't be stored is a fail event, the gate knows nothing of a contradiction.
	ConsumerKept Point = "consumer.kept"
	// ConsumerDisputed: the gate was told of a contradiction, and perhaps is closed.
	ConsumerDisputed Point = "consumer.disputed"
	// ConsumerFinished: every record of the batch has its end, the gate has no confirmation of what it admitted.
	ConsumerFinished Point = "consumer.finished"
	// ConsumerConfirmed: the gate is told, the offsets are not committed.
	ConsumerConfirmed Point = "consumer.confirmed"
	// ConsumerCommitted: the offsets are committed.
	ConsumerCommitted Point = "consumer.committed"
)

// One attempt at a fail event: the steps stand in retryer/retry.go and retryer/rescue.go.
const (
	// RetryClaimed: a batch of events is claimed, nothing is tried.
	RetryClaimed Point = "retry.claimed"
	// RetryHonoured: the gate has given a slot to a user who had none, or one of another epoch.
	RetryHonoured Point = "retry.honoured"
	// LedgerClaimedInserted: the coupon of an event is inserted, the event is not marked, nothing is committed.
	LedgerClaimedInserted Point = "ledger.claimed-inserted"
	// RetryStored: the coupon is stored and the event is SUCCESS, the gate was not told of a new winner.
	RetryStored Point = "retry.stored"
	// RetryFailed: the event is FAIL or DEAD again, the gate was not told of a contradiction.
	RetryFailed Point = "retry.failed"
	// RetryTold: the gate was told that a new winner is durable.
	RetryTold Point = "retry.told"
	// Rescued: leases that ran out are given back.
	Rescued Point = "rescue.rescued"
)

// The relay: the steps stand in retryer/relay.go.
const (
	// RelayRead: the entries that are due are read, nothing is sent.
	RelayRead Point = "relay.read"
	// RelayPublished: their records are on the topic, the entries are still pending.
	RelayPublished Point = "relay.published"
	// RelayAcknowledged: the entries are gone.
	RelayAcknowledged Point = "relay.acknowledged"
)

// The rebuild: the steps stand in retryer/rebuild.go and store/redisgate/rebuild.go.
const (
	// RebuildRaised: the ledger is at the new epoch, the gate is not.
	RebuildRaised Point = "rebuild.raised"
	// RebuildClosed: the gate is closed, under the new epoch.
	RebuildClosed Point = "rebuild.closed"
	// RebuildPendingRead: the pending entries are read.
	RebuildPendingRead Point = "rebuild.pending-read"
	// RebuildTailRead: the topic's tail is read.
	RebuildTailRead Point = "rebuild.tail-read"
	// RebuildHoldersWritten: everybody that the ledger knows is written to the rebuild's own keys.
	RebuildHoldersWritten Point = "rebuild.holders-written"
	// RebuildRecalled: the users of the closed gate are read.
	RebuildRecalled Point = "rebuild.recalled"
	// RebuildUpstreamWritten: those that only upstream knows are written; those without a slot are not sent.
	RebuildUpstreamWritten Point = "rebuild.upstream-written"
	// RebuildOwedSent: those that no slot is left for are on the topic.
	RebuildOwedSent Point = "rebuild.owed-sent"
	// RebuildLateWritten: those who came to the topic meanwhile are written.
	RebuildLateWritten Point = "rebuild.late-written"
	// RebuildSettled: the quota is settled in the ledger.
	RebuildSettled Point = "rebuild.settled"
	// RebuildGapsWritten: the free slots are written, the gate is closed.
	RebuildGapsWritten Point = "rebuild.gaps-written"
	// RebuildOpened: the gate is open, nobody in this process knows.
	RebuildOpened Point = "rebuild.opened"
)

// The sweep and what operators do: retryer/sweep.go, retryer/release.go, store/sqlledger/operator.go and bulk.go, api.
const (
	// SweepApplied: the gate has the settings of its campaign's row.
	SweepApplied Point = "sweep.applied"
	// ReleaseTold: the gate was told of a revoked coupon, the ledger says that it was not.
	ReleaseTold Point = "release.told"
	// ReleaseMarked: the ledger says that the gate was told.
	ReleaseMarked Point = "release.marked"
	// LedgerRevoked: the revoked row of a discarded event is inserted, the event is as it was, nothing is committed.
	LedgerRevoked Point = "ledger.revoked"
	// LedgerBulkChanged: the events of a bulk job's step are changed, its place is not noted, nothing is committed.
	LedgerBulkChanged Point = "ledger.bulk-changed"
	// APIBulkStepped: a step of a bulk job is committed, nobody goes on with the job.
	APIBulkStepped Point = "api.bulk-stepped"
	// APIDiscarded: an event is discarded, the operator has no answer.
	APIDiscarded Point = "api.discarded"
	// APICampaignChanged: a campaign is changed in the ledger, the operator has no answer.
	APICampaignChanged Point = "api.campaign-changed"
)
