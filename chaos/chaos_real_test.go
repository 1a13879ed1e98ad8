//go:build realservers

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A short run of a fixed seed, on servers of its own; `make chaos` makes longer ones of random seeds.
func TestAShortRunFindsNoDifference(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	s, err := newSupervisor(t.Context(), root, false)
	t.Cleanup(func() { assert.NoError(t, s.close()) })
	require.NoError(t, err)

	found, err := s.runAll(t.Context(), []uint64{1}, 30*time.Second, t.Output())
	require.NoError(t, err)
	assert.False(t, found, "the timeline above tells what happened")
}
