//go:build realservers && !release

package redisgate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// What keeps the gate from admitting is told by readiness, in words, and answered with 503. (A plain PING works in each
// of these cases.)
func TestReadinessTellsWhatKeepsTheGateFromAdmitting(t *testing.T) {
	user := func(rights ...string) func(*testing.T, *privateRedis) {
		return func(t *testing.T, server *privateRedis) {
			t.Helper()
			rules := append([]string{"on", ">secret", "~*", "+@all"}, rights...)
			require.NoError(t, server.client.ACLSetUser(t.Context(), "shop", rules...).Err())
		}
	}
	nothing := func(*testing.T, *privateRedis) {}
	for name, one := range map[string]struct {
		settings []string
		spoil    func(*testing.T, *privateRedis)
		want     string
	}{
		"a user without info":    {nil, user("-info"), "refused a command"},
		"a user without eval":    {nil, user("-evalsha", "-eval"), "does not allow the user"},
		"a user without streams": {nil, user("-xadd"), "refused a command"},
		"UNLINK renamed":         {[]string{"--rename-command", "UNLINK", ""}, nothing, "refused a command"},
		"XADD renamed":           {[]string{"--rename-command", "XADD", ""}, nothing, "refused a command"},
		"full": {[]string{"--maxmemory-policy", "noeviction"}, func(t *testing.T, server *privateRedis) {
			t.Helper()
			require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory", "1mb").Err())
		}, "out of memory"},
		"too few replicas": {[]string{"--min-replicas-to-write", "1"}, nothing, "too few replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startPrivateRedis(t, one.settings...)
			config := Config{Addrs: []string{server.addr}, CallTimeout: patience}
			if one.settings == nil {
				config.Username, config.Password = "shop", "secret"
			}
			one.spoil(t, server)
			gate := openGate(t, config)
			err := gate.Ping(t.Context())
			require.ErrorContains(t, err, one.want)
			for what, err := range map[string]error{"ping": err, "admit": admitOne(t, gate)} {
				assert.Contains(t, []domain.Code{domain.CodeUnavailable, domain.CodeOutcomeUnknown, domain.CodeGateClosed},
					domain.CodeOf(err), "%s: %v", what, err)
			}
		})
	}
	server := startPrivateRedis(t)
	gate := openGate(t, Config{Addrs: []string{server.addr}, CallTimeout: patience})
	require.NoError(t, gate.Ping(t.Context()))
	keys, err := server.client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	assert.Empty(t, keys, "nothing is left behind")
}

func TestAnotherInstallationsGateOnRealRedis(t *testing.T) {
	anothersGate(t, []string{startPrivateRedis(t).addr})
}
