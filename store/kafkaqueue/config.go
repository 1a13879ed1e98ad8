package kafkaqueue

import (
	"crypto/tls"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// Config says where the topic is and how it is used. What is left at zero gets the default that the comment names.
type Config struct {
	// Brokers are addresses, host:port, to find the cluster by. At least one is needed.
	Brokers []string
	// Topic is coupon_create by default, Group group_1.
	Topic, Group string
	// Partitions, ReplicationFactor and Retention are used when the topic is created: 8, -1 (which leaves it to the
	// brokers) and 7 days by default.
	Partitions        int32
	ReplicationFactor int16
	Retention         time.Duration
	// MinInSyncReplicas is how many copies must have a record before it is acknowledged, also when the topic is created;
	// 2 by default where ReplicationFactor is 3 or more, and else what the brokers have.
	MinInSyncReplicas int
	// ClientID names this program in the brokers' logs and quotas; firstcome by default.
	ClientID string
	// Username and Password log in by SASL; an empty Username means no login.
	Username, Password string
	// Mechanism is PLAIN (the default), SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	// TLS encrypts the connections; the brokers' certificates must be signed by an authority that the system trusts.
	TLS bool
	// PublishTimeout ends a Publish whose context has no earlier end; 3 s by default.
	PublishTimeout time.Duration
	// MaxInFlight bounds the records that wait for their acknowledgement; 8192 by default. Further ones wait.
	MaxInFlight int
	// LagInterval is how often the lag of each owned partition is measured; 5 s by default.
	LagInterval time.Duration

	// closeTimeout bounds each Close; 5 s unless a test has less patience.
	closeTimeout time.Duration
}

// Limits that are not worth a setting.
const (
	// netTimeout bounds dialling, and one request on a connection that nothing long-polls on.
	netTimeout = 5 * time.Second
	// metadataEvery is how often the topic's partitions are asked for: within that time a consumer's group hears of new
	// ones, and comes together to share them out.
	metadataEvery = 3 * time.Second
	// fetchWait is how long a fetch waits at the broker for records.
	fetchWait = 50 * time.Millisecond
	// partitionFetchBytes is how much one fetch asks for of each partition; a larger batch comes whole, by itself.
	partitionFetchBytes = 1 << 20
	// channelRecords is how many records of a partition sarama has ready. Each keeps the memory of its fetch.
	channelRecords = 8
	// shortestBackoff and longestBackoff bound the wait between two attempts to reach Kafka.
	shortestBackoff = 100 * time.Millisecond
	longestBackoff  = 2 * time.Second
	// sessionTimeout is after how long without a heartbeat a consumer's partitions go to others.
	sessionTimeout    = 10 * time.Second
	heartbeatInterval = time.Second
	// rebalanceTimeout is how long the group waits for a member to join again. A join is answered only then, so the
	// consumer's connections must wait longer than that for an answer.
	rebalanceTimeout = 10 * time.Second
	joinTimeout      = rebalanceTimeout + netTimeout
	// processingTime must be above the longest wait for the throttle or for the database: a partition whose records
	// aren't taken for so long stops being fetched until they are.
	processingTime = 10 * time.Minute
	// maxDecompressedBytes bounds what one compressed batch of another program's may grow to.
	maxDecompressedBytes = 128 << 20
)

// sarama has this limit once for the whole process.
func init() { sarama.MaxDecompressedBatchSize = maxDecompressedBytes }

func (c Config) withDefaults() Config {
	setDefault(&c.Topic, "coupon_create")
	setDefault(&c.Group, "group_1")
	setDefault(&c.Partitions, 8)
	setDefault(&c.ReplicationFactor, -1)
	setDefault(&c.Retention, 7*24*time.Hour)
	setDefault(&c.ClientID, "firstcome")
	setDefault(&c.Mechanism, string(sarama.SASLTypePlaintext))
	setDefault(&c.PublishTimeout, 3*time.Second)
	setDefault(&c.MaxInFlight, 8192)
	setDefault(&c.LagInterval, 5*time.Second)
	setDefault(&c.closeTimeout, 5*time.Second)
	return c
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func (c Config) check() error {
	if len(c.Brokers) == 0 {
		return domain.Invalid("brokers", "no Kafka broker is named")
	}
	if c.ReplicationFactor > 0 && c.MinInSyncReplicas > int(c.ReplicationFactor) || c.MinInSyncReplicas < 0 {
		return domain.Invalid("kafka", "no more replicas can be in sync than there are")
	}
	if c.Partitions < 1 || c.MaxInFlight < 1 || c.PublishTimeout <= 0 || c.LagInterval <= 0 || c.Retention < time.Millisecond {
		return domain.Invalid("kafka", "partitions, in-flight limit, retention, timeout and interval must be positive")
	}
	if err := c.base().Validate(); err != nil {
		return domain.Invalid("kafka", "%v", err)
	}
	return nil
}

// base is what all clients have in common. A client of it dials nothing until it is used.
func (c Config) base() *sarama.Config {
	conf := sarama.NewConfig()
	conf.ClientID = c.ClientID
	conf.Version = sarama.V2_8_0_0
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Net.WriteTimeout = netTimeout, netTimeout, netTimeout
	conf.Net.TLS.Enable = c.TLS
	if c.TLS {
		conf.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.Username != "" {
		conf.Net.SASL.Enable = true
		conf.Net.SASL.User, conf.Net.SASL.Password = c.Username, c.Password
		conf.Net.SASL.Mechanism = sarama.SASLMechanism(c.Mechanism)
		conf.Net.SASL.SCRAMClientGeneratorFunc = newSCRAM(c.Mechanism)
	}
	conf.Metadata.Full = false
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Metadata.RefreshFrequency = metadataEvery
	conf.Metadata.Timeout = netTimeout
	conf.Metadata.Retry.Max = 3
	conf.Metadata.Retry.Backoff = 100 * time.Millisecond
	conf.Admin.Retry.Max = 2
	return conf
}

// producing waits for all in-sync replicas.
func (c Config) producing() *sarama.Config {
	conf := c.base()
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Producer.Timeout = c.PublishTimeout
	conf.Net.ReadTimeout = c.PublishTimeout + netTimeout
	// The same partition for a user as Kafka's own clients choose; duplicates of a record thus meet in one consumer.
	conf.Producer.Partitioner = sarama.NewMurmur2Partitioner
	return conf
}

// consuming commits nothing by itself: Commit does, on a client of its own.
func (c Config) consuming() *sarama.Config {
	conf := c.base()
	conf.Net.ReadTimeout = joinTimeout
	conf.ChannelBufferSize = channelRecords
	conf.Consumer.Fetch.Default = partitionFetchBytes
	conf.Consumer.MaxWaitTime = fetchWait
	conf.Consumer.MaxProcessingTime = processingTime
	conf.Consumer.IsolationLevel = sarama.ReadCommitted
	conf.Consumer.Return.Errors = true
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	conf.Consumer.Offsets.AutoCommit.Enable = false
	conf.Consumer.Retry.BackoffFunc = func(retries int) time.Duration {
		return min(shortestBackoff<<min(retries, 10), longestBackoff)
	}
	conf.Consumer.Group.Session.Timeout = sessionTimeout
	conf.Consumer.Group.Heartbeat.Interval = heartbeatInterval
	conf.Consumer.Group.Rebalance.Timeout = rebalanceTimeout
	conf.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
	return conf
}
