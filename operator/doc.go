// Package operator is what operators can do, each thing once, for all of its faces: the admin API, the console and the
// commands. Each step takes the operator's name. What changes the ledger is recorded with that name in the ledger's own
// transaction; what doesn't, is recorded here.
package operator
