// Package retryer mends what failed: it tries fail events again, sends pending entries that nobody confirmed,
// brings gates in line with the ledger, and rebuilds a gate whose state was lost. Any number of retryers may run.
//
// One job, one file: retry.go, rescue.go, purge.go, relay.go, sweep.go, release.go, audit.go, topic.go. A rebuild (rebuild.go) is started by the
// sweep. decide.go and allot.go hold the decisions without any input or output.
package retryer
