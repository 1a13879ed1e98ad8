package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
)

// The plain design: one INCR a request, the winner is sent to Kafka without waiting for it, and a consumer stores one
// row a commit. It keeps none of the promises: who asks twice wins twice, an answer says nothing about Kafka, and a
// record that can't be stored is gone.

const (
	// plainKey is its counter.
	plainKey = "firstcome-bench-plain"
	// plainConsumerProcess stores its winners.
	plainConsumerProcess = "plain-consumer"
	// plainTable is where.
	plainTable = "CREATE TABLE IF NOT EXISTS plain_coupon (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL)"
)

// plainSoldOut is a campaign code for which everything is gone from the start.
const plainSoldOut = "sold-out"

// plainTopic is its topic, beside the round's.
func plainTopic(name string) string { return name + "_plain" }

func plainKafka() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Partitioner = sarama.NewMurmur2Partitioner
	config.Producer.RequiredAcks = sarama.WaitForLocal
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	return config
}

// addPlain adds the handler, and gives what ends it.
func addPlain(engine *gin.Engine) (end func(), err error) {
	client := redis.NewClient(&redis.Options{Addr: os.Getenv("FIRSTCOME_REDIS_ADDRS"), PoolSize: 64})
	producer, err := sarama.NewAsyncProducer([]string{os.Getenv("FIRSTCOME_KAFKA_BROKERS")}, plainKafka())
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	go func() {
		for range producer.Errors() { // nobody is told, which is what this design does
		}
	}()
	topic := plainTopic(os.Getenv("FIRSTCOME_KAFKA_TOPIC"))
	engine.POST("/v1/campaigns/:code/apply", func(c *gin.Context) {
		var application struct {
			UserID int64 `json:"user_id"`
		}
		if err := c.ShouldBindJSON(&application); err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		place, err := client.Incr(c, plainKey).Result()
		if err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		if c.Param("code") == plainSoldOut {
			c.JSON(http.StatusConflict, gin.H{"status": "sold-out"})
			return
		}
		producer.Input() <- &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strconv.FormatInt(application.UserID, 10))}
		c.JSON(http.StatusAccepted, gin.H{"user_id": application.UserID, "slot": place, "status": "accepted"})
	})
	return func() { _ = errors.Join(producer.Close(), client.Close()) }, nil
}

// makePlainTopic makes the topic as ours is made.
func makePlainTopic(kafka, name string) error {
	admin, err := sarama.NewClusterAdmin([]string{kafka}, plainKafka())
	if err != nil {
		return err
	}
	err = admin.CreateTopic(plainTopic(name), &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	return errors.Join(err, admin.Close())
}

// runPlainConsumer stores until the context ends.
func runPlainConsumer(ctx context.Context, o options, engine *gin.Engine) error {
	database, err := sql.Open("mysql", os.Getenv("FIRSTCOME_MYSQL_DSN"))
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	name := os.Getenv("FIRSTCOME_KAFKA_TOPIC")
	group, err := sarama.NewConsumerGroup([]string{os.Getenv("FIRSTCOME_KAFKA_BROKERS")}, name+"_plain", plainKafka())
	if err != nil {
		return err
	}
	defer func() { _ = group.Close() }()
	served := make(chan error, 1)
	go func() { served <- listenAndServe(ctx, o.address, engine) }()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{plainTopic(name)}, plainConsumer{database, new(sync.Mutex)}); err != nil {
			return err
		}
	}
	return <-served
}

// plainConsumer stores from one thread, however many partitions there are, as a listener of the usual frameworks does.
type plainConsumer struct {
	database *sql.DB
	thread   *sync.Mutex
}

// Setup implements sarama's interface.
func (plainConsumer) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama's interface.
func (plainConsumer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim stores the records of one partition, one a commit.
func (p plainConsumer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		p.thread.Lock()
		_, _ = p.database.ExecContext(session.Context(), "INSERT INTO plain_coupon (user_id) VALUES (?)", string(message.Value))
		p.thread.Unlock()
		session.MarkMessage(message, "")
	}
	return nil
}
