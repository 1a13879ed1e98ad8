//go:build realservers

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func migrateAsProcess(t *testing.T, variables []string) {
	t.Helper()
	migrate := &process{t: t, variables: variables, arguments: []string{"migrate"}}
	code, output := migrate.runToEnd()
	require.Zero(t, code, output)
}

func TestEachRoleKilledUnderLoadAndStartedAgainLosesNobody(t *testing.T) {
	t.Parallel()
	env := newEnvironment(t)
	variables := env.variables()
	migrateAsProcess(t, variables)
	roles := map[string]*process{}
	for _, role := range []string{roleAPI, roleConsumer, roleRetryer} {
		roles[role] = newProcess(t, variables, "serve", "--roles", role)
	}
	s := &system{t: t, env: env, baseURL: "http://" + roles[roleAPI].address}
	campaign := s.newCampaign(newCode("killed"), 20_000)
	wait := persistentApplicants(s, campaign, 32)
	for round, role := range []string{roleAPI, roleConsumer, roleRetryer, roleConsumer, roleAPI} {
		s.eventually("the sale goes on", func() bool { return s.admitted(campaign) > 1500*(round+1) })
		roles[role].kill()
		roles[role].start()
	}
	s.requirePromisesKept(campaign, wait(), 20_000)
	for role, process := range roles {
		if code := process.terminate(); code != 0 {
			t.Errorf("%s ended with exit code %d after SIGTERM: %s", role, code, process.output)
		}
	}
}
