// Package redisgate decides in Redis who is within a campaign's quota.
//
// The order of one admission, and what a crash after each step leaves behind:
//
//  1. One script call (admit.lua) decides a whole batch: its new users get slots, and one pending entry that names them
//     all is written in the same step. Crash: the relay finds the entry, and sends the records.
//  2. The caller puts the records on the topic and waits for all in-sync replicas.
//     Crash: the relay sends them again; the consumer knows the duplicates.
//  3. The caller acknowledges the entry once the records of all of its winners are durable, and it is removed
//     (acknowledge.lua), if the epoch is still that of the admission. Crash: the relay sends the records again and
//     removes the entry.
//
// Applications are gathered into batches by the one who asks: package admission does so in its lines.
//
// Whenever Redis's state is missing or not the one that was verified, every call is refused with CodeGateClosed until a
// rebuild has made the keys anew (GateRebuilder); script/gate.lua says how that is noticed. Nothing here ever opens a
// gate but OpenRebuilt.
//
// Keys are named coupon:{CODE}:..., so all keys of a campaign stand on one node of a Redis Cluster. None expires. The
// scripts are in the folder script, each with its contract at its head. Redis 7 or later is needed.
package redisgate
