//go:build realservers

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lateMilliseconds is how late Redis's answers reach the retryer that is to be frozen: each step of its rebuild takes
// so long, and a test can freeze it between two of them.
const lateMilliseconds = 400

// A retryer is frozen in the middle of a rebuild, another one rebuilds and opens the gate, the sale goes on, and then
// the first one wakes and goes on where it was.
func TestARebuilderThatWakesAfterAnotherOneOpenedDoesNoHarm(t *testing.T) {
	env := newAuditEnvironment(t)
	slow := openDoor(t, env.at.redis[0])
	slow.delay(lateMilliseconds)
	variables := env.variables()
	migrateAsProcess(t, variables)
	api := newProcess(t, variables, "serve", "--roles", "api,consumer")
	s := &system{t: t, env: env, baseURL: "http://" + api.address}
	redisClient := env.redisClient(t)

	for name, written := range map[string]string{
		"after it has closed the gate": "meta", "after it has written its keys": "rebuild:users",
	} {
		t.Run(name, func(t *testing.T) {
			frozen := newProcess(t, append(variables, "FIRSTCOME_REDIS_ADDRS="+slow.addr(),
				"FIRSTCOME_REDIS_TIMEOUT=1m", "FIRSTCOME_LOG_LEVEL=info"), "serve", "--roles", "retryer")
			campaign := s.newCampaign(newCode("frozen"), 1000)
			load := startApplicants(s, campaign, 4)
			s.eventually("the sale runs", func() bool { return load.won() > 50 })
			env.emptyRedis()
			frozenAt := "coupon:{" + campaign + "}:" + written
			for deadline := time.Now().Add(patience); redisClient.Exists(t.Context(), frozenAt).Val() == 0; {
				require.True(t, time.Now().Before(deadline), "the rebuild does not begin")
			}
			frozen.signal(syscall.SIGSTOP)
			_, open := s.epoch(campaign)
			require.False(t, open, "it was frozen too late to show anything")

			other := newProcess(t, variables, "serve", "--roles", "retryer")
			var opened int64
			s.eventually("the other one rebuilds and opens", func() bool {
				opened, open = s.epoch(campaign)
				return open
			})
			before := load.won()
			s.eventually("the sale goes on", func() bool { return load.won() > before+30 })
			printed := frozen.output.String()
			frozen.signal(syscall.SIGCONT)
			s.eventually("the first one notices that it was overtaken", func() bool {
				return strings.Contains(strings.TrimPrefix(frozen.output.String(), printed), "overtaken")
			})
			before = load.won()
			s.eventually("the sale goes on", func() bool { return load.won() > before+30 })
			now, open := s.epoch(campaign)
			assert.True(t, open)
			assert.Equal(t, opened, now, "nothing was rebuilt once more")
			promised := load.stop()
			s.auditWhenAtRest(campaign)
			s.requireIssued(campaign, promised)
			assert.Zero(t, frozen.terminate())
			assert.Zero(t, other.terminate())
		})
	}
}
