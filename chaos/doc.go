// Command chaos runs firstcome's roles as processes on real Redis, Kafka and MySQL, lets applicants apply without a
// pause, breaks one thing after another in an order that the seed decides, and then compares what applicants were
// told with what was issued.
//
// One run:
//
//  1. Plan: which fault, where, when and for how long is a function of the seed and the length alone (plan.go).
//  2. Start the roles, two processes of each; every connection leads through a proxy of its own (world.go).
//  3. Carry out the plan. Each fault is one value in a table (faults.go). At most one store loses data between two
//     settlements; what was answered "reserved" may go with Redis and is excused then, nothing else is.
//  4. Settle: every fault is healed, and nothing is on its way any more (settle.go).
//  5. Let new users apply until the campaign is sold out, and settle again.
//  6. Judge: the applicants' record against the rows of the database and the keys of Redis (verdict.go).
//
// On a difference it prints the seed and the timeline, keeps the folder of the run with all logs, and exits with 1.
package main
