package main

import (
	"context"
	"slices"
	"time"
)

// fault is one way to break something. strike breaks it and gives what heals it; some faults need no healing. What
// is needed for it and can't be had is an error of strike: the fault then counts as missed, and not as one that struck.
type fault struct {
	kind
	strike func(context.Context, *world, step) (heal healing, err error)
}

// healing undoes a fault. It must work whatever else is broken by then, or try until it does.
type healing func(context.Context) error

var processNames = func() []string {
	var names []string
	for _, r := range roles {
		names = append(names, r.process)
	}
	return names
}()

// faults is the table of all faults of single servers.
var faults = slices.Concat(processFaults, serverFaults, networkFaults(linkNames([]string{redisServer, kafkaServer, mysqlServer})),
	redisFaults, kafkaFaults, topicFaults, mysqlFaults, diskFaults, clockFaults, operatorFaults)

func kindsOf(all []fault) []kind {
	kinds := make([]kind, len(all))
	for i, f := range all {
		kinds[i] = f.kind
	}
	return kinds
}

func (t topology) faultNamed(name string) fault {
	return t.faults[slices.IndexFunc(t.faults, func(f fault) bool { return f.name == name })]
}

// lasting makes a kind that strikes one of the targets for some time.
func lasting(name string, shortest, longest time.Duration, targets ...string) kind {
	return kind{name: name, targets: targets, shortest: shortest, longest: longest}
}

// momentary makes a kind that strikes and is over.
func momentary(name string, targets ...string) kind { return kind{name: name, targets: targets} }

// losing says that a store may lose data by it.
func (k kind) losing(store string) kind {
	k.loses = store
	return k
}

// occupying says what, in addition to the target, no other fault may touch meanwhile.
func (k kind) occupying(more ...string) kind {
	k.occupies = func(target string) []string { return append([]string{target}, more...) }
	return k
}
