// Command bench measures firstcome on real servers, side by side with a server that does nothing, with itself without
// batches, and with the plain design that it replaces. `make bench` starts servers of their own and runs it; see
// docs/performance.md for the figures and how to read them.
//
// All is measured in one run: in each round every scenario is measured once at each number of connections, one after
// the other, and the order changes from round to round, so that what disturbs the machine for a while does not hit one
// of them alone. What is told is the median of the rounds, with the lowest and the highest.
//
// A round:
//
//  1. makes a database and a topic of its own, and starts the processes (world.go);
//  2. measures the scenarios of scenario.go by wrk, while nothing is stored;
//  3. starts the consumer, and measures how fast what was won is stored, beside the bare insert and the plain design's
//     one row a commit (storing.go);
//  4. puts more load on than can be served, and sees what becomes of the winners (overload.go);
//  5. checks: `firstcome audit` finds no difference, and there is a coupon for every accepted application;
//  6. removes what it made.
//
// A run that is killed leaves its database, its topic and its keys behind, in servers that make bench removes.
package main
