package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// Faults of Kafka, other than those of its process.
var kafkaFaults = []fault{
	{lasting("retention passes the committed offset", time.Second, 4*time.Second, kafkaServer).
		losing(kafkaServer).occupying("consumer1", "consumer2"), deleteUnread},
}

// Faults of what is on the topic, and of who reads it.
var topicFaults = []fault{
	{lasting("rebalance storm", 2*time.Second, 8*time.Second, "consumer group"), rebalanceStorm},
	{momentary("poison records", "topic"), poison},
}

func (w *world) kafkaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = 3*time.Second, 5*time.Second, 5*time.Second
	config.Metadata.Retry.Max = 1
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 4 << 20
	return config
}

func (w *world) kafka() []string { return w.servers.direct().kafka }

// deleteUnread keeps the consumers from reading and then deletes all records, as retention does when consumers are away
// for too long.
func deleteUnread(_ context.Context, w *world, _ step) (healing, error) {
	consumers := []*process{w.processes["consumer1"], w.processes["consumer2"]}
	signal := func(signal syscall.Signal) error {
		return errors.Join(consumers[0].signal(signal), consumers[1].signal(signal))
	}
	return func(context.Context) error {
		w.kafkaLost = true
		return errors.Join(w.deleteRecords(), signal(syscall.SIGCONT))
	}, signal(syscall.SIGSTOP)
}

func (w *world) deleteRecords() error {
	client, err := sarama.NewClient(w.kafka(), w.kafkaConfig())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	ends := map[int32]int64{}
	for partition := range int32(partitions) {
		if ends[partition], err = client.GetOffset(w.name, partition, sarama.OffsetNewest); err != nil {
			return err
		}
	}
	return admin.DeleteRecords(w.name, ends)
}

// deleteTopic deletes the topic, as somebody may by mistake; the program makes it again.
func deleteTopic(_ context.Context, w *world, _ step) (healing, error) {
	admin, err := sarama.NewClusterAdmin(w.kafka(), w.kafkaConfig())
	if err != nil {
		return nil, err
	}
	defer func() { _ = admin.Close() }()
	w.kafkaLost = true
	return nil, admin.DeleteTopic(w.name)
}

// rebalanceStorm lets strangers join the consumer group and leave it again and again. They read and commit nothing.
func rebalanceStorm(ctx context.Context, w *world, _ step) (healing, error) {
	ctx, cancel := context.WithCancel(ctx)
	var strangers sync.WaitGroup
	for range 2 {
		strangers.Go(func() {
			for ctx.Err() == nil {
				w.joinForAMoment(ctx)
				pause(ctx, 300*time.Millisecond)
			}
		})
	}
	return func(context.Context) error { cancel(); strangers.Wait(); return nil }, nil
}

func (w *world) joinForAMoment(ctx context.Context) {
	config := w.kafkaConfig()
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Net.ReadTimeout = 15 * time.Second // a join is answered only when the whole group has joined
	member, err := sarama.NewConsumerGroup(w.kafka(), group, config)
	if err != nil {
		return
	}
	defer func() { _ = member.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	_ = member.Consume(ctx, []string{w.name}, idler{})
}

// idler is a member of the group that does nothing with its partitions.
type idler struct{}

func (idler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (idler) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (idler) ConsumeClaim(session sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-session.Context().Done()
	return nil
}

// firstStranger is the first user who comes by a record that the supervisor made.
const firstStranger = 1_000_000_000

// poison puts records on the topic that no part of the program would write: unreadable ones, ones of a campaign that
// does not exist, applications from outside, and old records of users who never applied.
func poison(_ context.Context, w *world, s step) (healing, error) {
	producer, err := sarama.NewSyncProducer(w.kafka(), w.kafkaConfig())
	if err != nil {
		return nil, err
	}
	defer func() { _ = producer.Close() }()
	stranger := domain.UserID(firstStranger + s.between(0, 1_000_000))
	for _, message := range poisonRecords(stranger) {
		w.record.change(func(r *record) { r.strangers[stranger], r.strangers[stranger+1] = true, true })
		message.Topic = w.name
		if _, _, err := producer.SendMessage(message); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func poisonRecords(stranger domain.UserID) []*sarama.ProducerMessage {
	value := func(text string) *sarama.ProducerMessage {
		return &sarama.ProducerMessage{Value: sarama.ByteEncoder(text)}
	}
	ours := func(user domain.UserID, headers ...string) *sarama.ProducerMessage {
		message := value(user.String())
		for i := 0; i+1 < len(headers); i += 2 {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
		}
		return message
	}
	const moment = "2026-01-01T00:00:00.000000Z"
	return []*sarama.ProducerMessage{
		value(""), value("not a user"), value("-1"), value("1e3"), value("99999999999999999999"), value(fmt.Sprintf("%0100000d", 7)),
		{Key: sarama.StringEncoder("only a key")},
		ours(stranger),
		ours(stranger+1, "campaign", campaignCode, "slot", "1", "admitted_at", moment, "epoch", "0"),
		ours(stranger+2, "campaign", "no-such-campaign", "slot", "1", "admitted_at", moment, "epoch", "1"),
		ours(stranger+3, "campaign", campaignCode, "slot", "0", "admitted_at", moment, "epoch", "1"),
		ours(stranger+4, "campaign", campaignCode, "slot", "1", "admitted_at", "yesterday", "epoch", "1"),
		ours(stranger+5, "campaign", campaignCode),
	}
}
