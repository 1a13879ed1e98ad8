// Package redisgate decides in Redis who is within a campaign's quota.
//
// The order of one admission, and what a crash after each step leaves behind:
//
//  1. The application waits in this process with all others of its campaign, while a call is under way.
//     Crash: nothing has happened.
//  2. One script call (admit.lua) decides the whole batch: the user gets a slot, and a pending entry that names both is
//     written in the same step. Crash: the relay finds the entry, and sends the record.
//  3. The caller puts the record on the topic and waits for all in-sync replicas.
//     Crash: the relay sends it again; the consumer knows the duplicate.
//  4. The caller confirms; the entry is removed once all of its winners are confirmed (confirm.lua), if the epoch is
//     still that of the admission. Crash: the relay sends the record again and removes the entry.
//
// Whenever Redis's state is missing or not the one that was verified, every call is refused with CodeGateClosed until a
// rebuild has made the keys anew (GateRebuilder); script/gate.lua says how that is noticed. Nothing here ever opens a
// gate but OpenRebuilt.
//
// Keys are named coupon:{CODE}:..., so all keys of a campaign stand on one node of a Redis Cluster. None expires. The
// scripts are in the folder script, each with its contract at its head. Redis 7 or later is needed.
package redisgate
