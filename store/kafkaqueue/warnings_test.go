package kafkaqueue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestWhichSettingsOfATopicAreWarnedOf(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		settingMinInSync: "2", settingUnclean: "false", settingCleanup: "delete", settingRetention: "604800000",
		settingRetentionSize: "-1", settingMaxBytes: "1048588", settingTimestamp: logAppendTime,
	}
	for name, c := range map[string]struct {
		setting, value    string
		replicas, brokers int
		want              string
	}{
		"as we make it":            {settingMinInSync, "2", 3, 3, ""},
		"one broker":               {settingMinInSync, "1", 1, 1, ""},
		"kept until deleted":       {settingRetention, "-1", 3, 3, ""},
		"not told":                 {settingMinInSync, "", 3, 3, ""},
		"one copy":                 {settingMinInSync, "1", 1, 3, "has one copy"},
		"acknowledged by one":      {settingMinInSync, "1", 3, 3, "by one broker alone"},
		"more than there are":      {settingMinInSync, "3", 2, 3, "nothing can be acknowledged"},
		"unclean election":         {settingUnclean, "true", 3, 3, "may become the leader"},
		"compacted":                {settingCleanup, "compact,delete", 3, 3, "is deleted"},
		"kept for an hour":         {settingRetention, "3600000", 3, 3, "keeps records for 1h0m0s only"},
		"kept up to a size":        {settingRetentionSize, "1000000", 3, 3, "stored or not"},
		"small messages":           {settingMaxBytes, "20000", 3, 3, "small parts"},
		"stamped by our own hosts": {settingTimestamp, "CreateTime", 3, 3, "clock is behind"},
	} {
		settings := map[string]string{}
		for setting, value := range good {
			settings[setting] = value
		}
		settings[c.setting] = c.value
		got := judgeSettings("t", c.replicas, c.brokers, settings)
		if c.want == "" {
			assert.Empty(t, got, name)
			continue
		}
		require.Len(t, got, 1, name)
		assert.Contains(t, got[0], c.want, name)
	}
}

func TestATopicOfOursNeedsNoWarningAndOneThatWasMadeAnewDoes(t *testing.T) {
	t.Parallel()
	cfg := newTopic(t, startKafka(t).Addr())
	tail := openTail(t, cfg)
	assert.Empty(t, tail.Warnings(t.Context()))
	remakeTopic(t, cfg)
	require.Eventually(t, func() bool {
		return strings.Contains(strings.Join(tail.Warnings(t.Context()), " "), "was deleted and made anew")
	}, patience, patience/100)

	admin := newAdmin(t, cfg)
	defer admin.Close()
	compact := "compact"
	require.NoError(t, admin.IncrementalAlterConfig(sarama.TopicResource, cfg.Topic,
		map[string]sarama.IncrementalAlterConfigsEntry{settingCleanup: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &compact}}, false))
	assert.Contains(t, strings.Join(tail.Warnings(t.Context()), " "), "cleanup.policy compact")
}

func TestReadinessAsksForTheTopicItself(t *testing.T) {
	t.Parallel()
	kafka := startFaultyKafka(t)
	cfg := newTopic(t, kafka.addr)
	tail := openTail(t, cfg)
	require.NoError(t, tail.Ping(t.Context()))
	deleteTopic(t, cfg)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(tail.Ping(t.Context())), "it is remembered, and gone")
	kafka.freeze()
	impatient, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Error(t, tail.Ping(impatient), "it ends with the one who asks")
	kafka.thaw()
}
