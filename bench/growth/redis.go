package main

import (
	"context"
	"regexp"
	"strconv"
)

var (
	// scriptCalls counts the calls of clients: every way of the program is a script, and no script calls another.
	scriptCalls = regexp.MustCompile(`(?m)^cmdstat_(?:evalsha|eval):calls=(\d+)`)
	memoryUsed  = regexp.MustCompile(`(?m)^used_memory:(\d+)`)
)

// redisCalls is how many scripts Redis has run for clients since it began.
func (l *lab) redisCalls(ctx context.Context) (int64, error) {
	return l.info(ctx, "commandstats", scriptCalls)
}

// redisMemory is how many bytes Redis uses now.
func (l *lab) redisMemory(ctx context.Context) (int64, error) {
	return l.info(ctx, "memory", memoryUsed)
}

func (l *lab) info(ctx context.Context, part string, wanted *regexp.Regexp) (int64, error) {
	text, err := l.redis.Info(ctx, part).Result()
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, match := range wanted.FindAllStringSubmatch(text, -1) {
		number, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil {
			return 0, err
		}
		total += number
	}
	return total, nil
}

// openGates counts the gates that are open.
func (l *lab) openGates(ctx context.Context, campaigns int) (int, error) {
	pipeline := l.redis.Pipeline()
	for number := range campaigns {
		pipeline.HGet(ctx, metaKey(number), "run_id")
	}
	answers, _ := pipeline.Exec(ctx) // a key that is missing is an error of the whole
	open := 0
	for _, answer := range answers {
		if value, ok := answer.(interface{ Val() string }); ok && value.Val() != "" {
			open++
		}
	}
	return open, ctx.Err()
}

func metaKey(number int) string { return "coupon:{" + campaignCode(number) + "}:meta" }
