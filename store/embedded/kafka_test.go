//go:build !release

package embedded

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kafkaFolderVariable makes this test binary a broker on that folder, for a test to kill.
const kafkaFolderVariable = "FIRSTCOME_TEST_EMBEDDED_KAFKA_FOLDER"

const kafkaTopic = "coupon_create"

func newKafkaClient(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(address), kgo.DefaultProduceTopic(kafkaTopic))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func produceKafka(t *testing.T, address string, values ...string) {
	t.Helper()
	client := newKafkaClient(t, address)
	for _, value := range values {
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
	}
}

func consumeKafka(t *testing.T, address, group string, n int) []string {
	t.Helper()
	client := newKafkaClient(t, address, kgo.ConsumerGroup(group), kgo.ConsumeTopics(kafkaTopic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var values []string
	for len(values) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%v came", values)
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	require.NoError(t, client.CommitUncommittedOffsets(ctx))
	require.NoError(t, client.LeaveGroupContext(ctx))
	return values
}

func startTestKafka(t *testing.T, folder string) *Kafka {
	t.Helper()
	kafka, err := StartKafka(folder, "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	require.NoError(t, kafka.cluster.CreateTopic(kafkaTopic, 2, nil))
	return kafka
}

func TestKafkaKeepsRecordsAndOffsetsInItsFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	kafka := startTestKafka(t, folder)
	produceKafka(t, kafka.Addr(), "1", "2")
	require.ElementsMatch(t, []string{"1", "2"}, consumeKafka(t, kafka.Addr(), "group", 2))
	produceKafka(t, kafka.Addr(), "3")
	address := kafka.Addr()
	kafka.Close()
	kafka.Close()

	again, err := StartKafka(folder, address)
	require.NoError(t, err, "the same address is free at once")
	t.Cleanup(again.Close)
	require.Equal(t, address, again.Addr())
	require.Equal(t, []string{"3"}, consumeKafka(t, address, "group", 1), "only what was not committed")
	require.ElementsMatch(t, []string{"1", "2", "3"}, consumeKafka(t, address, "another", 3))
}

func TestKafkaSaysWhichAddressIsTaken(t *testing.T) {
	kafka, err := StartKafka("", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	_, err = StartKafka("", kafka.Addr())
	require.ErrorContains(t, err, kafka.Addr())
}

func TestKafkaSurvivesBeingKilled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKafkaAsAChild$")
	child.Env = append(os.Environ(), kafkaFolderVariable+"="+folder)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(output)
	require.True(t, lines.Scan())
	address := strings.TrimSpace(lines.Text())
	produceKafka(t, address, "1", "2")
	require.ElementsMatch(t, []string{"1", "2"}, consumeKafka(t, address, "group", 2))
	produceKafka(t, address, "3", "4")
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait(), "it was killed")

	kafka, err := StartKafka(folder, "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	require.ElementsMatch(t, []string{"3", "4"}, consumeKafka(t, kafka.Addr(), "group", 2))
	produceKafka(t, kafka.Addr(), "5")
	require.ElementsMatch(t, []string{"1", "2", "3", "4", "5"}, consumeKafka(t, kafka.Addr(), "another", 5))
}

// TestKafkaAsAChild is the process that TestKafkaSurvivesBeingKilled kills; by itself it has nothing to do.
func TestKafkaAsAChild(t *testing.T) {
	folder := os.Getenv(kafkaFolderVariable)
	if folder == "" {
		return
	}
	kafka := startTestKafka(t, folder)
	_, err := os.Stdout.WriteString(kafka.Addr() + "\n")
	require.NoError(t, err)
	<-t.Context().Done()
}
