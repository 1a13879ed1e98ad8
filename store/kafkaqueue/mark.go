package kafkaqueue

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// topicID names a topic for as long as it lives: one that is deleted and made again under the same name has another.
// Brokers of before 2.8 give none, which is noTopicID.
type topicID = sarama.Uuid

var noTopicID topicID

func topicName(id topicID) string {
	if id == noTopicID {
		return ""
	}
	return id.String()
}

// fingerprint says what a record is, from its content and the time that stands in it, so that another record at the same
// offset is known as another one; empty when there is none to compare with.
type fingerprint string

// fingerprintOf takes of the digest what is enough to tell records apart.
func fingerprintOf(digest domain.RecordDigest, writtenMilli int64) fingerprint {
	const enough = 12
	return fingerprint(hex.EncodeToString(digest[:enough]) + "@" + strconv.FormatInt(writtenMilli, 10))
}

// mark is what a commit says in addition to its offset, as the metadata that Kafka keeps with it. It shows whether the log is
// still the one of which the offset was committed.
type mark struct {
	topic topicID
	// restarts counts how often the group had to begin the partition anew.
	restarts int64
	// last is the record right before the offset.
	last fingerprint
}

const markVersion = "firstcome1"

// String is the metadata; about 80 bytes of the 4096 that brokers take.
func (m mark) String() string {
	return fmt.Sprintf("%s %s %d %s", markVersion, hex.EncodeToString(m.topic[:]), m.restarts, m.last)
}

// parseMark reads a commit's metadata. What an older program or another tool committed gives the empty mark, with which
// nothing can be compared.
func parseMark(metadata string) mark {
	parts := strings.Split(metadata, " ")
	if len(parts) != 4 || parts[0] != markVersion {
		return mark{}
	}
	var m mark
	topic, err := hex.DecodeString(parts[1])
	if err != nil || len(topic) != len(m.topic) {
		return mark{}
	}
	copy(m.topic[:], topic)
	if m.restarts, err = strconv.ParseInt(parts[2], 10, 64); err != nil || m.restarts < 0 {
		return mark{}
	}
	m.last = fingerprint(parts[3])
	return m
}

// commitPoint is a committed offset with its mark.
type commitPoint struct {
	offset int64
	mark   mark
}

// logState is what a partition's log is now.
type logState struct {
	topic topicID
	// oldest is the first record's offset, stable the one up to which all transactions are decided, end the one after
	// the last record.
	oldest, stable, end int64
	// last is the record right before the committed offset; known says that it was looked for and that it, or its
	// absence, counts.
	last  fingerprint
	known bool
}

// positionOf says where the group goes on, from what it committed and from what the log is now. It begins with the
// oldest record whenever the committed offset does not fit the log: records may have come below it that nobody read.
func positionOf(partition int32, committed commitPoint, log logState) PartitionPosition {
	position := PartitionPosition{
		Partition: partition, Topic: topicName(log.topic), Oldest: log.oldest, Stable: log.stable, End: log.end,
		Committed: committed.offset, Restarts: committed.mark.restarts,
	}
	if committed.offset == notCommitted {
		position.Committed = log.oldest
		return position
	}
	position.Expired, position.Broken = misfit(committed, log)
	if position.Broken != "" {
		position.Committed = log.oldest
		position.Restarts++
	}
	return position
}

// misfit says why a committed offset does not fit the log, and how many unread records are gone, -1 for an unknown
// number; an empty reason means that it fits.
func misfit(committed commitPoint, log logState) (expired int64, reason string) {
	mark := committed.mark
	switch {
	case mark.topic != noTopicID && log.topic != noTopicID && mark.topic != log.topic:
		return -1, "the topic was deleted and made anew"
	case committed.offset < log.oldest:
		return log.oldest - committed.offset, "retention deleted records that were not read"
	case committed.offset > log.end:
		return -1, "the log ends before the committed offset: the topic was made anew, or the log was truncated"
	case log.known && mark.last != "" && mark.last != log.last:
		return -1, "the last record that was read stands there no more: the log was truncated and has grown again"
	}
	return 0, ""
}
