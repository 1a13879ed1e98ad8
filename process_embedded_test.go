//go:build !realservers && !release

package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDevKilledUnderLoadAndStartedAgainKeepsEveryAcceptedApplication(t *testing.T) {
	variables := []string{"FIRSTCOME_DATA_DIR=" + t.TempDir(), "FIRSTCOME_LOG_LEVEL=error"}
	dev := newProcess(t, variables, "dev")
	s := &system{t: t, baseURL: "http://" + dev.address}
	campaign := s.newCampaign(newCode("killed"), 2000)
	wait := persistentApplicants(s, campaign, 16)
	for _, rows := range []int{200, 700, 1200} {
		s.eventually("the sale goes on", func() bool { return s.admitted(campaign) > rows })
		dev.kill()
		dev.start()
	}
	promised := wait()
	for user, got := range promised {
		assert.NotEqual(t, "reserved", got.text("status"), "user %d: dev's Redis is lost at each kill", user)
	}
	s.requirePromisesKept(campaign, promised, 2000)
}

func TestDevMakesUpATokenKeepsItAndLocksItsFolder(t *testing.T) {
	folder := t.TempDir()
	variables := []string{"FIRSTCOME_DATA_DIR=" + folder, "FIRSTCOME_ADMIN_TOKEN="}
	dev := newProcess(t, variables, "dev")
	token, err := keptToken(tokenFile(folder))
	require.NoError(t, err)
	assert.Contains(t, dev.output.String(), token)
	assert.Contains(t, dev.output.String(), "curl")

	second := &process{t: t, variables: dev.variables, arguments: []string{"dev"}}
	code, output := second.runToEnd()
	assert.Equal(t, exitUsage, code, output)
	assert.Contains(t, output, "another firstcome works in")

	assert.Zero(t, dev.terminate(), dev.output.String())
	dev.start()
	assert.Contains(t, dev.output.String(), token, "the token stays the same over starts")
}

func TestALoadtestThatIsInterruptedComparesAndSaysSo(t *testing.T) {
	dev := newProcess(t, []string{"FIRSTCOME_DATA_DIR=" + t.TempDir(), "FIRSTCOME_LOG_LEVEL=error"}, "dev")
	s := &system{t: t, baseURL: "http://" + dev.address}
	campaign := newCode("stopped")
	t.Setenv("FIRSTCOME_ADMIN_TOKEN", testToken)
	page := filepath.Join(t.TempDir(), "report.html")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"loadtest", "--url", s.baseURL, "--campaign", campaign, "--create", "--quota", "9000",
			"--users", "9000", "--rate", "200/s", "--html", page})
	}()
	s.eventually("the test is under way", func() bool { return s.admitted(campaign) > 50 })
	interrupt()
	assert.Equal(t, exitInterrupted, <-ended)
	assert.FileExists(t, page, "what was measured is not thrown away")
}
