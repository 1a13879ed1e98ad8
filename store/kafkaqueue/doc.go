// Package kafkaqueue puts winners on a Kafka topic, gives them to the consumer, and reads what the consumer group
// has not committed yet. It implements domain.Publisher, domain.Source and domain.TailReader on IBM/sarama.
//
// The way of one record, and what a crash at each step leaves behind:
//
//  1. Publish hands the record to the producer. Crash: it is on the topic or not; its pending entry is still in
//     Redis, and the relay sends it again.
//  2. The brokers acknowledge it (acks=all) and Publish returns. Crash: as before, and the consumer knows the
//     duplicate.
//  3. Poll gives it to the consumer, and keeps it in mind as outstanding. Crash: the offset is not committed, and
//     the next owner of the partition gets it again.
//  4. Commit moves the group's offset past it, never past an older outstanding record of the same partition. Crash
//     before: the consumer gets it again and finds its row. Crash after: it is done with.
//
// Publisher, Source and Tail each have clients of their own: a produce or commit that shares a connection with the
// consumer's long-polling fetch queues behind it. None of them needs Kafka to be up when it is opened.
package kafkaqueue
