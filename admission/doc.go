// Package admission takes an application from the question to its answer: the campaigns it knows (directory.go), the line
// in which applications wait for one call of the gate (line.go, batch.go), what is said when the gate does not confirm
// (confirm.go), when there are too many (overload.go), and refusals from memory (refusals.go). It knows no HTTP.
package admission

// The steps of one application. What a crash of this process leaves behind stands after each.
//
//  1. The body is decoded; a bad one is refused. Nothing is left behind.
//  2. The campaign is looked up in memory (directory). While it is sold out, paused, not started or ended, all that the
//     gate doesn't know is refused from memory as well (refusals.go). Nothing is left behind.
//  3. The application waits in its campaign's line (line.go) while earlier ones are with the gate, and is taken from
//     there with all who came meanwhile: from here on they go together (batch.go), and each waits for one thing, the
//     answer. A client that has left before the batch is taken is not admitted, and who has waited for too long is
//     refused as overloaded (overload.go). Afterwards nobody listens to the clients any more: an admission is never
//     undone. The gate decides for all in one step (AdmitAll). For the new winners it writes, in the same step, the
//     users and one pending entry. Who is refused or known already is answered now.
//     Crash: the users are admitted and the pending entry is there; the relay publishes the records. The clients got
//     no answer, ask again, and are told about the same slots.
//  4. The records of the new winners are published together (acks=all). Whose record is not acknowledged within
//     ProduceTimeout: 202 "reserved", without a slot; the relay goes on. Such an answer does not survive the loss of Redis
//     as well, because nothing else knows of it yet. Where each end of the process loses it (Config.VolatileGate), the
//     answer is 503 "outcome-unknown" in place of "reserved", here and in step 5.
//     Crash: the records are perhaps on the topic; the relay publishes them again, the consumer knows the duplicates.
//  5. The gate is told (Acknowledge), which removes the pending entry once all of its records are acknowledged, if the
//     gate was not rebuilt since the admission. Who is acknowledged before the others is answered before them: the gate
//     then only says whether it was rebuilt.
//     Crash: the records are on the topic, the entry remains; the relay publishes again, as above.
//     - Not rebuilt: 202 "accepted" with the slot.
//     - Closed, or no answer: the winner waits, up to confirmPatience, until the gate confirms or was rebuilt, and hears
//     202 "reserved" without a slot at the end (confirm.go says why). Who waits holds up nobody who comes later.
//     Crash: as before the confirmation; a rebuild that missed the record leaves it to the consumer, which brings the
//     user to the gate. Nothing was promised meanwhile.
//     - Rebuilt meanwhile: the rebuild perhaps did not see the record, so the slot may be somebody else's now. The gate
//     is asked again, as the consumer will when it meets the record (Honour: window and state no longer matter, because
//     the record exists), and what holds now is answered. No slot left: 202 "accepted" and delayed, because the user is
//     owed one, and the record becomes a fail event that waits for it. A slot given anew is published and confirmed once
//     more; should that fail, 202 "accepted" without a slot. It is answered once no process can refuse the user from
//     memory any more.
//     Crash: the gate knows the user, and the relay and the consumer go on.
//
// So "accepted" is only ever said when Kafka has acknowledged a record and, after that, an open gate has said that it
// knows the user; and a slot only when the gate has confirmed it under the epoch at which it was given.
