// Package model is the protocol of firstcome as an explicit-state model: two or three users, one or two slots, and every
// order in which processes can take their steps, crash and meet stores that lose data. It knows no store and no code of
// ours; docs/promises.md says which step of the code each step of the model stands for. Who changes the protocol changes
// both.
//
// state.go holds the state, rules.go what can be taken out, properties.go what must hold. Steps stand by who takes them:
// api.go, consumer.go, retry.go, jobs.go, rebuild.go with allot.go, operator.go, and faults.go; gate.go and ledger.go hold
// the scripts and transactions, each one atomic step. explore.go searches breadth first, so that a counterexample is the
// shortest there is; walk.go walks at random where there are too many states; settle.go lets faults stop, and looks at
// what is left when everything has come to rest. trace.go prints a counterexample as sentences.
//
// Time is modelled by what must be over before what. A lease is over at any time; whatever waits for leases (a gate that
// opens again, the answer to a user who was honoured) names the processes whose leases it awaits, and goes on at the
// moment when the last of them is over, which is the earliest moment that the code allows.
//
// What is left out: batches (each call carries one user), throttling, the window's two edges, the audit's comparison, of
// which only the put-back is here, a ledger that loses an epoch or a setting, and consumers that are still connected to
// the old one of two masters. The time of an admission is left out too: of two claims of one epoch the one of the higher
// user counts as the later, which is right where slots are passed on in that order only. The epoch stands for the fencing
// number too, because both are raised together.
package model
