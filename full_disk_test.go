//go:build linux && !realservers && !release

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallDisk gives a folder on a file system of its own that a test can fill.
func smallDisk(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("firstcome-test", folder, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("only root can make a small file system: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(folder, syscall.MNT_DETACH)) })
	return folder
}

// fill leaves no byte free; what it gives makes room again.
func fill(t *testing.T, disk string) (empty func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	file, err := os.Create(path)
	require.NoError(t, err)
	for size := 1 << 20; size > 0; {
		if _, err = file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(path)) }
}

func TestDevOnAFullDiskPromisesNothingThatAKillTakesAway(t *testing.T) {
	disk := smallDisk(t)
	dev := newProcess(t, []string{
		"FIRSTCOME_DATA_DIR=" + filepath.Join(disk, "data"), "FIRSTCOME_LOG_LEVEL=error", "FIRSTCOME_PRODUCE_TIMEOUT=500ms",
	}, "dev")
	s := &system{t: t, baseURL: "http://" + dev.address}
	campaign := s.newCampaign(newCode("full"), 2000)
	promised := map[int64]answer{}
	apply := func(users ...int64) {
		for _, user := range users {
			if got := s.apply(campaign, user); got.status < 300 {
				promised[user] = got
			} else {
				require.Equal(t, http.StatusServiceUnavailable, got.status, "%v", got.body)
				require.NotEmpty(t, got.body["detail"])
			}
		}
	}
	apply(1, 2, 3)
	require.Len(t, promised, 3)

	empty := fill(t, disk)
	apply(11, 12, 13, 12)
	s.eventually("readiness says that the disk is full", func() bool {
		ready := s.must(http.MethodGet, "/readyz", nil)
		return ready.status == http.StatusServiceUnavailable && strings.Contains(fmt.Sprint(ready.body), "no space left on device")
	})
	before := len(promised)
	apply(21, 22, 11)
	assert.Len(t, promised, before, "nobody is admitted while it is known that nothing can be kept")

	dev.kill()
	empty()
	dev.start()
	for user, told := range promised {
		var kept answer
		s.eventually(fmt.Sprintf("user %d, who was told %v, is known", user, told.body), func() bool {
			kept = s.must(http.MethodGet, fmt.Sprintf("/v1/campaigns/%s/coupons/%d", campaign, user), nil)
			return kept.status == http.StatusOK || kept.status == http.StatusNotFound
		})
		assert.Equal(t, http.StatusOK, kept.status, "user %d was told %v", user, told.body)
		assert.Equal(t, told.number("slot"), kept.number("slot"), "user %d: %v, then %v", user, told.body, kept.body)
	}
}

func TestDevGoesOnByItselfOnceTheDiskHasRoomAgain(t *testing.T) {
	disk := smallDisk(t)
	dev := newProcess(t, []string{
		"FIRSTCOME_DATA_DIR=" + filepath.Join(disk, "data"), "FIRSTCOME_LOG_LEVEL=error", "FIRSTCOME_PRODUCE_TIMEOUT=500ms",
	}, "dev")
	s := &system{t: t, baseURL: "http://" + dev.address}
	campaign := s.newCampaign(newCode("room"), 400)
	wait := persistentApplicants(s, campaign, 4)
	for _, rows := range []int{50, 150} {
		s.eventually("the sale goes on", func() bool { return s.admitted(campaign) > rows })
		empty := fill(t, disk)
		s.eventually("readiness turns", func() bool {
			return s.must(http.MethodGet, "/readyz", nil).status == http.StatusServiceUnavailable
		})
		empty()
	}
	promised := wait()
	s.requirePromisesKept(campaign, promised, 400)
	s.eventually("readiness turns back", func() bool { return s.must(http.MethodGet, "/readyz", nil).status == http.StatusOK })

	dev.kill()
	dev.start()
	s.requirePromisesKept(campaign, promised, 400)
	s.auditWhenAtRest(campaign)
}
