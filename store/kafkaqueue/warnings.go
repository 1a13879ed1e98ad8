package kafkaqueue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Settings of a topic that promises depend on.
const (
	settingMinInSync     = "min.insync.replicas"
	settingUnclean       = "unclean.leader.election.enable"
	settingCleanup       = "cleanup.policy"
	settingRetention     = "retention.ms"
	settingRetentionSize = "retention.bytes"
	settingMaxBytes      = "max.message.bytes"
	settingTimestamp     = "message.timestamp.type"

	// logAppendTime has the brokers note when a record came.
	logAppendTime = "LogAppendTime"
	// leastRetention is what operators need to notice that consumers stand still, and to mend it.
	leastRetention = 24 * time.Hour
	// leastMaxBytes is what a full parcel of ours needs, with room.
	leastMaxBytes = 256 << 10
	unlimited     = -1
)

// Warnings names what of the topic makes promises depend on luck: its settings, that it was made anew not long ago, and
// where the group can't go on from what it committed. Brokers that can't be reached, or don't let us look, give none.
func (t *Tail) Warnings(ctx context.Context) []string {
	positions, err := t.Positions(ctx)
	if err != nil {
		return nil
	}
	t.seen.changed(positions)
	warnings := t.seen.warnings(t.cfg.Topic)
	for _, position := range positions {
		if position.Broken != "" {
			warnings = append(warnings, fmt.Sprintf("partition %d of %s: %s", position.Partition, t.cfg.Topic, position.Broken))
		}
	}
	found, err := t.offsets.layout(ctx)
	if err != nil {
		return warnings
	}
	settings, err := t.offsets.settings(ctx)
	if err != nil {
		return warnings
	}
	return append(warnings, judgeSettings(t.cfg.Topic, replicasOf(found), found.brokers, settings)...)
}

// settings asks for the topic's settings.
func (o *offsets) settings(ctx context.Context) (map[string]string, error) {
	return within(ctx, o.calls, twice(func() (map[string]string, error) {
		// The admin needs no Close of its own: it would close the client.
		admin, err := sarama.NewClusterAdminFromClient(o.client)
		if err != nil {
			return nil, err
		}
		topic := []*sarama.ConfigResource{{Type: sarama.TopicResource, Name: o.cfg.Topic}}
		told, err := admin.DescribeConfigs(topic, sarama.DescribeConfigsOptions{})
		if err != nil {
			return nil, err
		}
		settings := map[string]string{}
		for _, one := range told {
			if one.ErrorCode != sarama.ErrNoError {
				return nil, one.ErrorCode
			}
			for _, entry := range one.Configs {
				settings[entry.Name] = entry.Value
			}
		}
		return settings, nil
	}))
}

// replicasOf is the smallest number of copies that a partition has.
func replicasOf(found layout) int {
	least := 0
	for i, partition := range found.Partitions {
		if i == 0 || len(partition.Replicas) < least {
			least = len(partition.Replicas)
		}
	}
	return least
}

// judgeSettings says which settings of a topic make promises depend on luck. What is not told is not judged.
func judgeSettings(topic string, replicas, brokers int, settings map[string]string) []string {
	j := &judge{topic: topic, settings: settings}
	j.copies(replicas, brokers)
	j.deletions()
	if bytes, told := number(settings, settingMaxBytes); told && bytes < leastMaxBytes {
		j.warn("has %s %d: winners are sent in many small parts", settingMaxBytes, bytes)
	}
	if stamped, told := settings[settingTimestamp]; told && stamped != logAppendTime {
		j.warn("has %s %s: a host whose clock is behind by more than the retention has its records deleted; set it to %s",
			settingTimestamp, stamped, logAppendTime)
	}
	return j.warnings
}

type judge struct {
	topic    string
	settings map[string]string
	warnings []string
}

func (j *judge) warn(format string, args ...any) {
	j.warnings = append(j.warnings, "the topic "+j.topic+" "+fmt.Sprintf(format, args...))
}

// copies looks at who has a record when it is acknowledged, and who may become a leader.
func (j *judge) copies(replicas, brokers int) {
	if replicas == 1 && brokers > 1 {
		j.warn("has one copy of each record on a cluster of %d brokers: a lost disk loses accepted winners", brokers)
	}
	if inSync, told := number(j.settings, settingMinInSync); told && inSync > int64(replicas) {
		j.warn("has %s %d and %d replicas: nothing can be acknowledged", settingMinInSync, inSync, replicas)
	} else if told && inSync == 1 && replicas > 1 {
		j.warn("has %s 1: a record may be acknowledged by one broker alone, and be lost with it; set it to 2", settingMinInSync)
	}
	if j.settings[settingUnclean] == "true" {
		j.warn("has %s true: a broker that lacks acknowledged records may become the leader", settingUnclean)
	}
}

// deletions looks at what goes before it is stored.
func (j *judge) deletions() {
	if cleanup := j.settings[settingCleanup]; strings.Contains(cleanup, "compact") {
		j.warn("has %s %s: of two campaigns' records of one user the earlier one is deleted", settingCleanup, cleanup)
	}
	if ms, told := number(j.settings, settingRetention); told && ms != unlimited && ms < leastRetention.Milliseconds() {
		j.warn("keeps records for %v only: what is not stored until then is lost", time.Duration(ms)*time.Millisecond)
	}
	if bytes, told := number(j.settings, settingRetentionSize); told && bytes != unlimited {
		j.warn("has %s %d: records beyond that are deleted, stored or not", settingRetentionSize, bytes)
	}
}

func number(settings map[string]string, name string) (value int64, told bool) {
	value, err := strconv.ParseInt(settings[name], 10, 64)
	return value, err == nil
}
