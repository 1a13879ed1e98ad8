package kafkaqueue

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// unavailable is the answer for everything that may pass: Kafka is away, electing a leader, overloaded, or doesn't
// let us in until somebody changes our rights. A context's end is passed on as it is.
func unavailable(err error, doing string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if deniesAccess(err) {
		return domain.Wrap(domain.CodeUnavailable, err, "Kafka denies access: could not "+doing)
	}
	if isAnswer(err) {
		return domain.Wrap(domain.CodeUnavailable, err, "Kafka is not able to serve: could not "+doing)
	}
	return domain.Wrap(domain.CodeUnavailable, err, "Kafka can't be reached: could not "+doing)
}

// deniesAccess tells a wrong password or a missing right, which no retry cures, from an outage.
func deniesAccess(err error) bool {
	for _, denial := range []error{
		sarama.ErrSASLAuthenticationFailed, sarama.ErrTopicAuthorizationFailed,
		sarama.ErrGroupAuthorizationFailed, sarama.ErrClusterAuthorizationFailed,
	} {
		if errors.Is(err, denial) {
			return true
		}
	}
	return false
}

// isFenced says that the group has moved on without us: our partitions are somebody else's, or will be given anew.
func isFenced(err error) bool {
	return errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrUnknownMemberId) ||
		errors.Is(err, sarama.ErrRebalanceInProgress) || errors.Is(err, sarama.ErrFencedInstancedId)
}

// isAnswer says that a broker answered with an error code, so the connection to it works.
func isAnswer(err error) bool {
	var code sarama.KError
	return errors.As(err, &code)
}

// passes says that a record which was answered by this error may be taken when it is sent again: a leader is being
// elected, replicas are behind, or the connection is gone. That a record comes twice does no harm.
func passes(err error) bool {
	var code sarama.KError
	if !errors.As(err, &code) {
		return !isOurs(err)
	}
	switch code {
	case sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
		sarama.ErrRequestTimedOut, sarama.ErrBrokerNotAvailable, sarama.ErrReplicaNotAvailable, sarama.ErrNetworkException,
		sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrKafkaStorageError,
		sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrInvalidMessage:
		return true
	}
	return false
}

// refusesRecords says that the brokers refuse what the records are, together or alone, and did not write them.
func refusesRecords(err error) bool {
	var code sarama.KError
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidTimestamp, errInvalidRecord:
		return true
	}
	return false
}

// errInvalidRecord is what brokers say of a record that breaks a rule of the topic; sarama has no name for it.
const errInvalidRecord = sarama.KError(87)

// isOurs says that a request could not even be made; neither another try nor another connection changes that.
func isOurs(err error) bool {
	var configuration sarama.ConfigurationError
	var encoding sarama.PacketEncodingError
	return errors.As(err, &configuration) || errors.As(err, &encoding) || errors.Is(err, sarama.ErrUnsupportedVersion)
}

// backoff doubles the wait from shortestBackoff to longestBackoff.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait sleeps, or returns the context's error when that ends first.
func (b *backoff) wait(ctx context.Context) error {
	b.next = min(max(b.next*2, shortestBackoff), longestBackoff)
	return pause(ctx, b.next)
}

func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
