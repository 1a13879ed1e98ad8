// Package consumer turns the records of the topic into coupon rows: at least once from the topic, exactly once
// in the database.
//
// A round goes these steps. Every step may be repeated without harm, so a crash anywhere only means that the
// next owner of the partitions begins at step 1 again.
//
//  1. Poll: what is in hand and not committed, and what is new. A crash leaves nothing.
//  2. Unparsable records become fail events. A crash leaves fail events that are known by their record's position,
//     so that the redelivery makes no second one.
//  3. Records from outside ask the gate for a slot, all in one call. A crash leaves winners with a pending entry: the relay puts
//     them on the topic, and the redelivered record gets the same slot again.
//  4. Wait for the throttle.
//  5. Store the rows, in transactions of one campaign and a bounded number of rows, several at a time. A crash leaves rows
//     which the redelivery finds already stored.
//  6. Bring what was not stored to its end: by the gate (another epoch: all in one call), or as a fail event (refused, slot taken).
//     The fail event is written before the gate is told of a contradiction. A crash between the two leaves a gate
//     that still holds the wrong slot: the redelivery, or the retryer's attempt, meets the same conflict and tells it.
//  7. Confirm to the gate the winners that step 3 or 6 admitted anew: their rows are durable now. A crash leaves
//     their pending entries to the relay, which sends records that are already stored.
//  8. Commit what is done. The source moves no offset past a record that is not: a crash redelivers that one and all behind
//     it, of which those that are stored are known again.
//
// Records wait in lanes, one for each campaign: while a campaign's gate is closed, its row is locked or its store is
// away, its records stay in hand, not done, and are tried again at growing intervals; the other lanes go on. Waiting
// makes no fail event, because that would lose the slot that the user was told. When 4,000 records wait in one process, the
// lanes that can't get on put all but their oldest back: the source keeps their places alone, commits nothing from the oldest
// of them on, and reads them again once their lane gets on. A crash meanwhile redelivers all from there on. While the
// ledger does nothing at all, the whole consumer waits.
package consumer
