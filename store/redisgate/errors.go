package redisgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"firstcome/domain"
)

// retryAfter is what clients are told about failures that pass; a rebuild takes about as long.
const retryAfter = time.Second

const outcomeUnknownText = "Redis did not answer in time; the same request may be sent again"

// The refusals are made once: at the height of a rush most answers are one of them.
var (
	errSoldOut   = &domain.Error{Code: domain.CodeSoldOut, Message: "all coupons of this campaign have been handed out"}
	errPaused    = &domain.Error{Code: domain.CodePaused, Message: "the campaign is paused"}
	errEnded     = &domain.Error{Code: domain.CodeEnded, Message: "the campaign has ended"}
	errRevoked   = &domain.Error{Code: domain.CodeRevoked, Message: "the user's coupon of this campaign was revoked"}
	errReopening = &domain.Error{
		Code: domain.CodeGateClosed, RetryAfter: retryAfter,
		Message: "the gate was rebuilt after a loss, and admits nobody new for a moment",
	}
	errUnconfirmed = &domain.Error{
		Code: domain.CodeUnavailable, RetryAfter: retryAfter,
		Message: "fewer than half of the Redis Sentinels can be reached, so another primary may have been chosen: " +
			"until they can, a gate that is closed is not rebuilt from here",
	}
	errEpochChanged = &domain.Error{
		Code: domain.CodeEpochChanged, Message: "the gate was rebuilt since the admission",
	}
	errOvertaken = &domain.Error{Code: domain.CodeOvertaken, Message: "another rebuild of the gate has begun"}
	errBatch     = &domain.Error{Code: domain.CodeInternal, Message: "a batch of users is too large, or lacks a place for each answer"}
	errNotFound  = &domain.Error{Code: domain.CodeNotFound, Message: "the user has not been admitted"}
)

func errNotStarted(wait time.Duration) *domain.Error {
	return &domain.Error{
		Code: domain.CodeNotStarted, Message: "the campaign has not started", RetryAfter: max(wait, time.Millisecond),
	}
}

func errGateClosed(why string) *domain.Error {
	return &domain.Error{
		Code: domain.CodeGateClosed, RetryAfter: retryAfter,
		Message: fmt.Sprintf("the gate is closed until it is rebuilt (%s)", why),
	}
}

// unusable are the reasons for which a gate is closed and no rebuild opens it: an operator has to act.
var unusable = map[string]*domain.Error{
	domain.ClosedForeign: {
		Code: domain.CodeGateClosed, RetryAfter: retryAfter,
		Message: "the campaign's keys in Redis belong to another installation of firstcome; " +
			"set FIRSTCOME_REDIS_KEY_PREFIX, or use another Redis, or delete these keys if the other one is no more",
	},
	domain.ClosedNoRunID: {
		Code: domain.CodeUnavailable, RetryAfter: retryAfter,
		Message: "Redis does not tell its run_id (INFO server), so nobody can know whether it is the one that was verified",
	},
}

func errUnreadable(what string) *domain.Error {
	return domain.Errorf(domain.CodeInternal, "the gate's script gave an answer that can't be read: %s", what)
}

// refusals are the answers by which Redis refuses a command before it has had any effect, by their first word.
var refusals = []struct{ prefix, message string }{
	{"OOM", "Redis is out of memory; raise its maxmemory"},
	{"MISCONF", "Redis can't write its append-only file or snapshot, and refuses writes"},
	{"READONLY", "Redis is a replica; the primary is not known yet"},
	{"LOADING", "Redis is still loading its data"},
	{"NOREPLICAS", "Redis has too few replicas in reach, and refuses writes"},
	{"CLUSTERDOWN", "the Redis Cluster is down"},
	{"MASTERDOWN", "Redis has lost its primary"},
	{"TRYAGAIN", "the Redis Cluster is moving the campaign's keys"},
	{"MOVED", "the Redis Cluster has moved the campaign's keys; the new place is not known yet"},
	{"ASK", "the Redis Cluster is moving the campaign's keys"},
	{"BUSY", "Redis is busy with another script"},
	{"NOAUTH", "Redis asks for a password"},
	{"WRONGPASS", "Redis refuses the user name or the password"},
	{"NOPERM", "Redis does not allow the user a command that the gate needs"},
	{"ERR unknown command", "what answers at the address of Redis does not know a command that is needed; " +
		"if it is a Redis Sentinel, set FIRSTCOME_REDIS_SENTINEL_MASTER"},
	{"ERR No such master", "the Redis Sentinels know no primary of that name; see FIRSTCOME_REDIS_SENTINEL_MASTER"},
	{"ERR This instance has cluster support disabled", "the addresses are of no nodes of a Redis Cluster; give one address"},
	{"ERR max number of clients", "Redis has too many connections"},
}

// classify gives a driver's error its code. In a cluster the client repeats calls by itself, so a refused connection
// there does not prove that an earlier try of the same call had no effect.
func classify(err error, cluster bool) error {
	var coded *domain.Error
	if errors.As(err, &coded) {
		coded.RetryAfter = retryAfter
		return coded
	}
	code, message := domain.CodeOutcomeUnknown, outcomeUnknownText
	var answered redis.Error
	switch {
	case errors.As(err, &answered):
		code, message = classifyAnswer(answered.Error())
	case !cluster && (neverConnected(err) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed)):
		code, message = domain.CodeUnavailable, "Redis can't be reached"
	}
	failure := domain.Wrap(code, err, message)
	failure.RetryAfter = retryAfter
	return failure
}

func classifyAnswer(text string) (domain.Code, string) {
	for _, refusal := range refusals {
		if strings.HasPrefix(text, refusal.prefix) {
			return domain.CodeUnavailable, refusal.message
		}
	}
	if strings.HasPrefix(text, "WRONGTYPE") {
		return domain.CodeGateClosed, "a key of the gate is of a wrong type; the gate is closed until it is rebuilt"
	}
	// It may have been refused in the middle of a script, of which the part before was done.
	return domain.CodeOutcomeUnknown, "Redis refused a command of the gate's scripts; the log names it"
}

func neverConnected(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "dial"
}

// brokenConnection says that the connection ended before the answer came, as that of a restarted server does.
func brokenConnection(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || neverConnected(err) {
		return false
	}
	var failed net.Error
	return errors.As(err, &failed) && !failed.Timeout()
}
