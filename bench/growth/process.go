package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"firstcome/bench/gauge"
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
	address, err := gauge.FreeAddress()
	if err != nil {
		return nil, err
	}
	log := filepath.Join(l.folder, fmt.Sprintf("%s-%d.log", role, len(l.processes)))
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }() // the process has its own
	command := exec.CommandContext(ctx, l.program, "serve", "--roles", role, "--http-addr", address)
	command.Env, command.Stdout, command.Stderr = l.variables(), output, output
	command.SysProcAttr = gauge.Child()
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
		case time.Since(began) > limit || !gauge.Pause(ctx, 5*time.Millisecond):
			return fmt.Errorf("waited %.0f s in vain until %s", time.Since(began).Seconds(), what)
		}
	}
}

// serverPID is gauge.ServerPID of a server of this run.
func serverPID(name string) int { return gauge.ServerPID(os.Getenv("FIRSTCOME_SERVERS_FOLDER"), name) }
