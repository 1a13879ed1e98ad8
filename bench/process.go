package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started for a round.
type process struct {
	name, address string
	command       *exec.Cmd
	ended         chan struct{}
}

// Patience with a process that starts, and with one that stops.
const (
	startPatience = 30 * time.Second
	stopPatience  = 20 * time.Second
)

// startProcess begins a process whose output goes to a file, and waits until it answers at /healthz.
func startProcess(ctx context.Context, name, address, log string, command *exec.Cmd) (*process, error) {
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the process has its own
	command.Stdout, command.Stderr = output, output
	// Should we be killed, our processes go with us; an interrupt from the keyboard is for us alone.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, address: address, command: command, ended: make(chan struct{})}
	go func() { _ = command.Wait(); close(p.ended) }()
	err = eventually(ctx, startPatience, name+" answers", func(ctx context.Context) error {
		select {
		case <-p.ended:
			content, _ := os.ReadFile(log)
			return final{fmt.Errorf("%s ended: %s", name, lastBytes(content, 2000))}
		default:
			return p.healthy(ctx)
		}
	})
	return p, err
}

func lastBytes(content []byte, most int) []byte { return content[max(0, len(content)-most):] }

func (p *process) healthy(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// stop asks the process to end, and kills one that does not in time.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopPatience):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

func (p *process) pid() int { return p.command.Process.Pid }

// ticksPerSecond is the unit of /proc/PID/stat on every Linux that Go runs on.
const ticksPerSecond = 100

// cpuSeconds is what a process has used of the processors since it began; 0 when it can't be read.
func cpuSeconds(pid int) float64 {
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

// residentMiB is the memory that a process holds now.
func residentMiB(pid int) float64 {
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

// final is an error after which waiting is in vain.
type final struct{ error }

// eventually repeats a check until it gives no error; the last one is returned when the time is over.
func eventually(ctx context.Context, patience time.Duration, what string, check func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		err := check(limited)
		if err == nil {
			return nil
		}
		if _, hopeless := errors.AsType[final](err); hopeless {
			return err
		}
		if limited.Err() == nil || last == nil {
			last = err
		}
		if !pause(limited, 50*time.Millisecond) {
			return fmt.Errorf("waited %s in vain until %s: %w", patience, what, last)
		}
	}
}

// pause says whether the time passed before the context ended.
func pause(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
