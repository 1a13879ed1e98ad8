//go:build !realservers && !release

package main

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/clockshift"
)

// soon is what the retryer may need after a step of the clock: 3 s are promised, the rest is for a busy machine.
const soon = 10 * time.Second

// A new campaign's gate is opened by a job of the retryer. Before the jobs followed the elapsed time, a clock that was
// set back by an hour kept it closed for an hour.
func TestJobsRunInTimeHoweverTheWallClockOfTheProcessIsSet(t *testing.T) {
	shift := filepath.Join(t.TempDir(), "shift")
	dev := newProcessOf(t, clockBuild, []string{
		"FIRSTCOME_DATA_DIR=" + t.TempDir(), "FIRSTCOME_LOG_LEVEL=error", clockshift.Variable + "=" + shift,
	}, "dev")
	s := &system{t: t, baseURL: "http://" + dev.address}
	s.newCampaign(newCode("still"), 10)
	for _, by := range []time.Duration{-time.Hour, 0, time.Hour, -5 * time.Second, 25 * time.Hour, 0} {
		require.NoError(t, clockshift.Set(shift, by))
		time.Sleep(100 * time.Millisecond) // the program reads the file each 20 ms, and nothing says when it has
		code := newCode("shifted")
		s.must(http.MethodPost, "/v1/admin/campaigns", map[string]any{"code": code, "quota": 5})
		assert.Eventually(t, func() bool {
			got, err := s.call(http.MethodPost, "/v1/campaigns/"+code+"/apply", map[string]any{"user_id": 1})
			return err == nil && got.status == http.StatusAccepted
		}, soon, tick, "the clock is %v off, and nobody opens the gate", by)
	}
	assert.Zero(t, dev.terminate(), dev.output.String())
}
