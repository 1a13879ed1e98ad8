//go:build realservers && chaos

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Short runs on servers of their own; `make chaos` makes longer ones of random seeds.
func TestShortRunsFindNoDifference(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	s, err := newSupervisor(t.Context(), root, options{firstPort: firstPort, world: singleWorld})
	t.Cleanup(func() { assert.NoError(t, s.close()) })
	require.NoError(t, err)

	for name, plan := range map[string][]round{
		"seed_1": newPlan(1, 20*time.Second, kindsOf(faults)),
		// Redis has lost nothing, and must not forget those that Kafka has lost.
		"kafka_loses_and_redis_restarts": {
			{Steps: []step{{Fault: "retention passes the committed offset", Target: kafkaServer, At: time.Second, For: 2 * time.Second}}},
			{Steps: []step{{Fault: "restart server", Target: redisServer}}},
		},
		// An old record names a user that no slot is left for: the fail event waits for an operator, and that is rest.
		"a_user_waits_for_a_slot": {
			{Steps: []step{{Fault: "lower quota", Target: "campaign", At: 2 * time.Second}, {Fault: "poison records", Target: "topic", At: 3 * time.Second}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := s.runPlan(t.Context(), name, plan, t.Output())
			require.NoError(t, err)
			assert.Empty(t, r.Void)
			assert.False(t, r.tell(t.Output()), "the timeline tells what happened")
		})
	}
}
