package kafkaqueue

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// EnsureTopic makes the topic, with the partitions, replication and retention of the configuration, unless it is
// there; an existing topic is never changed. It tries until ctx ends, but no longer than 30 s.
//
// CodeConflict: the topic is there and usable, but has another number of partitions. CodeUnavailable.
func EnsureTopic(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTopicTimeout)
	defer cancel()
	var wait backoff
	for {
		partitions, err := ensureTopicOnce(ctx, cfg)
		if err == nil {
			return comparePartitions(cfg, partitions)
		}
		if deniesAccess(err) || wait.wait(ctx) != nil {
			return domain.Wrap(domain.CodeUnavailable, err, "could not make sure of the topic "+cfg.Topic)
		}
	}
}

const ensureTopicTimeout = 30 * time.Second

func comparePartitions(cfg Config, partitions int) error {
	if partitions == int(cfg.Partitions) {
		return nil
	}
	return domain.Errorf(domain.CodeConflict, "the topic %s has %d partitions, not %d; it is left as it is",
		cfg.Topic, partitions, cfg.Partitions)
}

// ensureTopicOnce gives how many partitions the topic has.
func ensureTopicOnce(ctx context.Context, cfg Config) (int, error) {
	conf := cfg.base()
	// An unknown topic is no reason to ask again.
	conf.Metadata.Retry.Max = 0
	client, err := newClient(cfg.Brokers, conf)
	if err != nil {
		return 0, err
	}
	calls := newCalls(client)
	defer calls.close()
	return within(ctx, calls, func() (int, error) { return findOrCreateTopic(client, cfg) })
}

// findOrCreateTopic looks first: who may use the topic need not have the right to create one.
func findOrCreateTopic(client sarama.Client, cfg Config) (int, error) {
	err := client.RefreshMetadata(cfg.Topic)
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		if err = createTopic(client, cfg); err == nil {
			err = client.RefreshMetadata(cfg.Topic)
		}
	}
	if err != nil {
		return 0, err
	}
	partitions, err := client.Partitions(cfg.Topic)
	return len(partitions), err
}

func createTopic(client sarama.Client, cfg Config) error {
	// The admin needs no Close of its own: it would close the client.
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	err = admin.CreateTopic(cfg.Topic, &sarama.TopicDetail{
		NumPartitions: cfg.Partitions, ReplicationFactor: cfg.ReplicationFactor, ConfigEntries: cfg.topicSettings(),
	}, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return nil
	}
	return err
}

// enoughReplicas is from how many copies on two of them must have a record before it is acknowledged.
const enoughReplicas = 3

// topicSettings are those of a topic that we make. The brokers stamp the records, so that no clock of our hosts decides
// when retention deletes them.
func (c Config) topicSettings() map[string]*string {
	settings := map[string]string{
		settingRetention: strconv.FormatInt(c.Retention.Milliseconds(), 10),
		settingCleanup:   "delete",
		settingTimestamp: logAppendTime,
	}
	inSync := c.MinInSyncReplicas
	if inSync == 0 && c.ReplicationFactor >= enoughReplicas {
		inSync = 2
	}
	if inSync > 0 {
		settings[settingMinInSync] = strconv.Itoa(inSync)
	}
	entries := make(map[string]*string, len(settings))
	for name, value := range settings {
		entries[name] = &value
	}
	return entries
}
