// Package gauge is what the benchmarks share: what processes use, waiting, and tables in documents.
package gauge

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is the unit of /proc/PID/stat on every Linux that Go runs on.
const ticksPerSecond = 100

// CPUSeconds is what a process has used of the processors since it began; 0 when it can't be read.
func CPUSeconds(pid int) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in the second field may hold spaces; what follows its bracket begins with the third field.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const userField, systemField = 14 - 3, 15 - 3
	if len(fields) <= systemField {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[userField], 64)
	system, _ := strconv.ParseFloat(fields[systemField], 64)
	return (user + system) / ticksPerSecond
}

// ResidentMiB is the memory that a process holds now; 0 when it can't be read.
func ResidentMiB(pid int) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(content))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// ServerPID is the process of a server that docker/servers.sh runs natively in the folder; 0 for one in a container, whose
// CPU time is not measured then.
func ServerPID(folder, name string) int {
	content, err := os.ReadFile(filepath.Join(folder, name+".process"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(content)), " ")
	pid, _ := strconv.Atoi(first)
	return pid
}

// FreeAddress is one that nobody listens on at this moment.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Pause says whether the time passed before the context ended.
func Pause(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
