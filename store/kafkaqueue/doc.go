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
// What a Source holds is bounded in bytes, whatever stands on the topic:
//
//   - fetchedAhead + maxPoll records (14,096) that wait or are outstanding, each with at most domain.MaxRawBytes of its
//     value and less than 1 KiB of everything else: 69 MiB.
//   - What sarama has fetched and this process has not decoded, in memory of the size of the fetches: for each partition
//     channelRecords, one in hand and the fetch that comes next, each of at most partitionFetchBytes or one larger batch.
//     That is 10 MiB a partition, and it comes to that only while the records above are at their bound.
//   - A batch that another program compressed counts with its size unpacked, at most maxDecompressedBytes.
//
// Publisher, Source and Tail each have clients of their own: a produce or commit that shares a connection with the
// consumer's long-polling fetch queues behind it. None of them needs Kafka to be up when it is opened.
package kafkaqueue
