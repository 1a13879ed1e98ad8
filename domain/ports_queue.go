package domain

import (
	"context"
	"time"
)

// Publisher puts winners on the topic. Package store/kafkaqueue implements it.
type Publisher interface {
	// Publish returns when the record is acknowledged by all in-sync replicas. When the context ends first, or the
	// brokers can't be reached, it answers CodeOutcomeUnknown: the record may or may not be on the topic.
	Publish(ctx context.Context, winner Winner) error
	// PublishAll is Publish for many; nil only when every one of them was acknowledged.
	PublishAll(ctx context.Context, winners []Winner) error
	// PublishEach is Publish for many who must not wait for each other longer than needed: settled is told, by their
	// places in winners, of those that were acknowledged (nil) and of those that were not (CodeOutcomeUnknown,
	// CodeRecordRefused), group by group as the brokers answer, each of them once. It returns after the last call of
	// settled. How many go together follows what the brokers take in time and in size.
	PublishEach(ctx context.Context, winners []Winner, settled func(places []int, err error))
}

// Source gives the consumer its records, in the order of each partition, at least once.
type Source interface {
	// Poll waits for a record, then up to linger for more, and gives at most limit of them. It returns the context's
	// error when that ends first; what it took until then is given again to the next Poll or the next owner. So is what
	// an earlier Poll gave and no Commit took: it comes first, and counts in limit. So who keeps some records undone asks
	// for so many more.
	Poll(ctx context.Context, limit int, linger time.Duration) ([]Delivery, error)
	// Commit marks the deliveries as done and commits their offsets. Those of partitions that were taken away meanwhile
	// are passed over: the new owner gets them again. No offset moves past an older record that is not committed.
	// CodeUnavailable: the brokers can't be reached; commit again.
	Commit(ctx context.Context, deliveries []Delivery) error
	// PutBack takes deliveries out of hand that can't be done for now, the first of them as far as there is room, and
	// says how many. They are not given again before GiveAgain, and no offset moves past them.
	PutBack(deliveries []Delivery) int
	// GiveAgain has what was put back given by the next Polls, behind what is in hand by then.
	GiveAgain()
	// Share says how many of the topic's partitions are this process's now, and how many there are.
	Share() (owned, total int)
}

// TailReader gives the rebuild and the audit what the consumer group has not committed yet.
type TailReader interface {
	// ReadTail notes, for every partition, the committed and then the end offset, calls visit for each record between
	// them, and gives the ends. With the ends of an earlier reading it begins there in place of the committed offset
	// (some records from before may come again); a partition that they don't name is read as without them. An offset
	// that is not on the topic any more (retention has passed it, or the topic was made anew) counts as the oldest one.
	// An error of visit ends it and is returned. CodeUnavailable.
	ReadTail(ctx context.Context, from TailEnds, visit func(Delivery) error) (TailEnds, error)
}

// StoredReader gives the rebuild what the consumer group has committed already: each of these records has left a coupon
// or a fail event, unless the ledger has lost it.
type StoredReader interface {
	// ReadStored notes the committed offset of every partition, calls visit for the wanted records before it, and says what
	// it has read. An error of visit ends it and is returned. CodeUnavailable.
	ReadStored(ctx context.Context, part StoredPart, visit func(Delivery) error) (StoredRead, error)
}

// StoredPart says which of the committed records are wanted.
type StoredPart struct {
	// Newest is how many offsets before the committed one are wanted of every partition at most.
	Newest int64
	// After leaves out what comes before the ends of an earlier reading. A partition that they don't name is read as
	// without them, and so is one whose log is another one by now.
	After TailEnds
}

// StoredRead is what a reading of committed records has read.
type StoredRead struct {
	// Ends are the committed offsets up to which it went.
	Ends TailEnds
	// Whole says that it gave all of what comes after StoredPart.After that the topic still has.
	Whole bool
}

// TailEnds are the ends at which a reading of the tail stopped, by partition: the offset after the last record's. They
// are never changed once they are given.
type TailEnds map[int32]TailEnd

// TailEnd is a place in the log of one partition.
type TailEnd struct {
	Offset int64
	// Log names the log: a topic that is deleted and made anew has others. Empty where the brokers don't tell.
	Log string
}

// TopicWatcher tells whether the topic still holds what was put on it.
type TopicWatcher interface {
	// TopicState looks at the topic. A loss is told once. CodeUnavailable, also while the topic is missing.
	TopicState(ctx context.Context) (TopicState, error)
}

// TopicState is what shows whether records of the topic are gone.
type TopicState struct {
	// Identity is another one after records may have gone that nobody had read: the topic was made anew, a log was
	// truncated, or retention passed the committed offset. Every process sees the same.
	Identity string
	// Losses say what this process alone saw since its last look, in words for an operator.
	Losses []string
}
