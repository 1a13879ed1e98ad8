package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running `firstcome serve`.
type process struct {
	address, log string
	command      *exec.Cmd
	ended        chan struct{}
}

// patience is how long something may take to come about.
const patience = 30 * time.Second

// startRole starts a process with one role, and waits until it is healthy.
func (l *lab) startRole(ctx context.Context, role string) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	log := filepath.Join(l.folder, fmt.Sprintf("%s-%d.log", role, len(l.processes)))
	output, err := os.Create(log)
	if err := errors.Join(err, listener.Close()); err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the process has its own
	command := exec.CommandContext(ctx, l.program, "serve", "--roles", role, "--http-addr", address)
	command.Env, command.Stdout, command.Stderr = l.variables(), output, output
	// Should we be killed, our processes go with us; an interrupt from the keyboard is for us alone.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{address: address, log: log, command: command, ended: make(chan struct{})}
	go func() { _ = command.Wait(); close(p.ended) }()
	l.processes = append(l.processes, p)
	return p, until(ctx, patience, role+" answers", func() (bool, error) { return p.healthy(ctx) })
}

func (p *process) healthy(ctx context.Context) (bool, error) {
	select {
	case <-p.ended:
		return false, errors.New("the process ended")
	default:
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/healthz", http.NoBody)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, nil //nolint:nilerr // not yet
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// apply sends one application, and gives the status.
func (p *process) apply(ctx context.Context, code string, user int) (int, error) {
	body := strings.NewReader(fmt.Sprintf(`{"user_id":%d}`, userOf(user)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url(code), body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func (p *process) url(code string) string {
	return "http://" + p.address + "/v1/campaigns/" + code + "/apply"
}

func (p *process) pid() int { return p.command.Process.Pid }

// stopProcesses asks all to end, and kills who does not in time.
func (l *lab) stopProcesses() {
	for _, p := range l.processes {
		_ = p.command.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range l.processes {
		select {
		case <-p.ended:
		case <-time.After(patience):
			_ = p.command.Process.Kill()
			<-p.ended
		}
	}
	l.processes = nil
}

// until asks again and again until the answer is yes; an error, or the end of the time, ends it.
func until(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	for began := time.Now(); ; {
		yes, err := done()
		switch {
		case yes || err != nil:
			return err
		case time.Since(began) > limit || !pause(ctx, 5*time.Millisecond):
			return fmt.Errorf("waited %.0f s in vain until %s", time.Since(began).Seconds(), what)
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

// serverPID is the process of a server that runs natively; 0 for one in a container, whose CPU time is told as 0.
func serverPID(name string) int {
	content, _ := os.ReadFile(filepath.Join(os.Getenv("FIRSTCOME_SERVERS_FOLDER"), name+".process"))
	first, _, _ := strings.Cut(strings.TrimSpace(string(content)), " ")
	pid, _ := strconv.Atoi(first)
	return pid
}

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
	user, _ := strconv.ParseFloat(fields[userField], 64)
	system, _ := strconv.ParseFloat(fields[systemField], 64)
	return (user + system) / ticksPerSecond
}

// residentMiB is the memory that a process holds now.
func residentMiB(pid int) float64 {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(content))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
