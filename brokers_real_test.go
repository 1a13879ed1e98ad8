//go:build realservers

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// brokerDisk is large enough for a broker and the sale of the test.
const brokerDisk = "96m"

// threeBrokers is a Kafka cluster in which two of three brokers must have a record before it counts.
type threeBrokers struct {
	t   *testing.T
	env *environment
}

func startBrokers(t *testing.T, env *environment) *threeBrokers {
	t.Helper()
	if os.Geteuid() == 0 { // a disk of its own takes root's rights
		t.Setenv("FIRSTCOME_SERVERS_BROKER_DISKS", "broker3:"+brokerDisk)
	}
	servers(t, "up", "brokers")
	t.Cleanup(func() { servers(t, "kill", "brokers") })
	env.config.KafkaBrokers = strings.Split(requireSetting(t, "FIRSTCOME_TEST_THREE_BROKERS"), ",")
	env.config.KafkaReplicationFactor = 3
	env.at.kafka = env.config.KafkaBrokers
	return &threeBrokers{t: t, env: env}
}

// connect is for questions of the test's own; a broker that is gone breaks it.
func (b *threeBrokers) connect() sarama.ClusterAdmin {
	b.t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(b.env.at.kafka, conf)
	require.NoError(b.t, err)
	return admin
}

// leader gives the broker that leads the first partition, and how many brokers have all of its records.
func (b *threeBrokers) leader() (name string, inSync int) {
	admin := b.connect()
	defer func() { _ = admin.Close() }()
	topics, err := admin.DescribeTopics([]string{b.env.config.KafkaTopic})
	require.NoError(b.t, err)
	for _, partition := range topics[0].Partitions {
		if partition.ID == 0 {
			return "broker" + strconv.Itoa(int(partition.Leader)), len(partition.Isr)
		}
	}
	return "", 0
}

func (b *threeBrokers) allInSync(s *system) {
	s.eventually("all brokers have all records", func() bool { _, inSync := b.leader(); return inSync == 3 })
}

// moveLeaders has the preferred broker of each partition lead it again.
func (b *threeBrokers) moveLeaders() {
	admin := b.connect()
	defer func() { _ = admin.Close() }()
	all := map[string][]int32{b.env.config.KafkaTopic: nil}
	for partition := range b.env.config.KafkaPartitions {
		all[b.env.config.KafkaTopic] = append(all[b.env.config.KafkaTopic], partition)
	}
	_, err := admin.ElectLeaders(sarama.PreferredElection, all)
	require.NoError(b.t, err)
}

// fillDisk leaves no space on the disk of broker3.
func (b *threeBrokers) fillDisk() (file string) {
	b.t.Helper()
	file = filepath.Join(requireSetting(b.t, "FIRSTCOME_SERVERS_FOLDER"), "broker3", "filler")
	filler, err := os.Create(file)
	require.NoError(b.t, err)
	defer func() { _ = filler.Close() }()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = filler.Write(block)
	}
	require.True(b.t, errors.Is(err, syscall.ENOSPC), "%v", err)
	return file
}

// Whatever befalls one of three brokers costs nothing: the sale goes on, everybody who was promised a coupon gets it, and
// the audit is clean.
func TestALostBrokerOfThreeCostsNothing(t *testing.T) {
	skipOnMariaDB(t, "only Kafka is disturbed")
	env := newAuditEnvironment(t)
	brokers := startBrokers(t, env)
	s := env.start(t)
	campaign := s.newCampaign(newCode("brokers"), 100_000)
	load := startApplicants(s, campaign, 4)
	goOn := func(after string) {
		before := load.accepted()
		s.eventually("the sale goes on after "+after, func() bool { return load.accepted() >= before+50 })
		t.Log("it went on after", after)
	}
	goOn("the start")
	warnings := brokers.warnings(s)
	assert.NotContains(t, warnings, "kafka", "the topic is as we make it")

	lost, _ := brokers.leader()
	servers(t, "kill", lost)
	goOn("the kill of a leader")
	servers(t, "start", lost)
	brokers.allInSync(s)
	brokers.moveLeaders()
	goOn("the leaders moved")
	for _, broker := range []string{"broker1", "broker2", "broker3"} {
		servers(t, "stop", broker)
		goOn("the stop of " + broker)
		servers(t, "start", broker)
		brokers.allInSync(s)
	}
	if os.Geteuid() == 0 {
		filler := brokers.fillDisk()
		goOn("a disk that is full")
		require.NoError(t, os.Remove(filler))
		servers(t, "kill", "broker3")
		servers(t, "start", "broker3")
		brokers.allInSync(s)
		goOn("a disk that has space again")
	}
	promised := load.stop()
	s.auditWhenAtRest(campaign)
	s.requireIssued(campaign, promised)
}

// warnings gives what readiness says of the stores.
func (b *threeBrokers) warnings(s *system) string {
	ready, err := s.call("GET", "/readyz", nil)
	require.NoError(b.t, err)
	var said []string
	list, _ := ready.body["warnings"].([]any)
	for _, one := range list {
		warning, _ := one.(map[string]any)
		store, _ := warning["store"].(string)
		text, _ := warning["text"].(string)
		said = append(said, store+": "+text)
	}
	return strings.Join(said, "\n")
}

// accepted counts the answers that say that Kafka has the record.
func (a *applicants) accepted() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	count := 0
	for _, got := range a.answers {
		if got.text("status") == "accepted" {
			count++
		}
	}
	return count
}
