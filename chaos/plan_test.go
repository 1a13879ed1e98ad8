package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const testLength = 2 * time.Minute

// anyTopology draws one of the worlds.
func anyTopology(t *rapid.T) topology {
	return topologies[rapid.SampledFrom(slices.Sorted(maps.Keys(topologies))).Draw(t, "world")]
}

func TestThePlanIsAFunctionOfTheSeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, kinds := rapid.Uint64().Draw(t, "seed"), kindsOf(anyTopology(t).faults)
		require.Equal(t, newPlan(seed, testLength, kinds), newPlan(seed, testLength, kinds))
	})
	assert.NotEqual(t, newPlan(1, testLength, kindsOf(faults)), newPlan(2, testLength, kindsOf(faults)))
}

func TestOneStoreAtATimeLosesDataAndTheSystemSettlesInBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lost, world := "", anyTopology(t)
		for _, r := range newPlan(rapid.Uint64().Draw(t, "seed"), testLength, kindsOf(world.faults)) {
			if r.Settle {
				lost = ""
			}
			for _, s := range r.Steps {
				store := world.faultNamed(s.Fault).loses
				if store == "" {
					continue
				}
				require.Contains(t, []string{"", store}, lost, "two stores lose data without a settlement in between")
				lost = store
			}
		}
	})
}

func TestFaultsOfOneRoundTouchDifferentThings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := anyTopology(t)
		for _, r := range newPlan(rapid.Uint64().Draw(t, "seed"), testLength, kindsOf(world.faults)) {
			require.NotEmpty(t, r.Steps)
			require.LessOrEqual(t, len(r.Steps), maxStepsOfRound)
			touched := map[string]bool{}
			for _, s := range r.Steps {
				for _, thing := range world.faultNamed(s.Fault).touches(s.Target) {
					require.False(t, touched[thing], "%v touch %s at the same time", r.Steps, thing)
					touched[thing] = true
				}
			}
		}
	})
}

func TestStepsKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := anyTopology(t)
		for _, r := range newPlan(rapid.Uint64().Draw(t, "seed"), testLength, kindsOf(world.faults)) {
			for _, s := range r.Steps {
				f := world.faultNamed(s.Fault)
				require.Contains(t, f.targets, s.Target)
				require.GreaterOrEqual(t, s.For, f.shortest)
				require.LessOrEqual(t, s.For, f.longest)
				require.True(t, s.At >= 0 && s.At <= latestStart && s.Size >= 0 && s.Size < 1, "%v", s)
			}
		}
	})
}

func TestEveryFaultComesBeforeLong(t *testing.T) {
	for name, world := range topologies {
		left := map[string]bool{}
		for _, f := range world.faults {
			left[f.name] = true
		}
		require.Len(t, left, len(world.faults), "two faults have one name")
		for seed := range uint64(3) {
			for _, r := range newPlan(seed, testLength, kindsOf(world.faults)) {
				for _, s := range r.Steps {
					delete(left, s.Fault)
				}
			}
		}
		assert.Empty(t, left, name)
	}
}
