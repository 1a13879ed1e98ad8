package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one firstcome that plays one role, and can be killed, frozen and started again.
type process struct {
	name, role string
	binary     string
	variables  []string
	address    string
	logPath    string

	mu      sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
}

// start begins the process; its output is added to its log. It does not wait until the process serves.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	command := exec.CommandContext(context.Background(), p.binary, "serve", "--roles", p.role)
	command.Env, command.Stdout, command.Stderr = p.variables, log, log
	command.SysProcAttr = child()
	if err := command.Start(); err != nil {
		return err
	}
	p.command, p.ended = command, make(chan struct{})
	go func(ended chan struct{}) { _ = command.Wait(); close(ended) }(p.ended)
	return nil
}

func (p *process) signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.command.Process.Signal(signal)
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	p.mu.Lock()
	command, ended := p.command, p.ended
	p.mu.Unlock()
	if command == nil {
		return
	}
	_ = command.Process.Kill()
	<-ended
}

// killedExitCode is what Go gives for a process that a signal ended.
const killedExitCode = -1

// terminate asks the process to stop and gives its exit code. One that does not stop in time is killed.
func (p *process) terminate(patience time.Duration) int {
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
	}
	return p.command.ProcessState.ExitCode()
}

// alive says whether the process answers.
func (p *process) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/healthz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// check says what is wrong with the process by its log and its state; "" for nothing.
func (p *process) check() string {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	for _, bad := range []string{"panic: ", "panicked", "WARNING: DATA RACE", "fatal error: "} {
		if strings.Contains(string(content), bad) {
			return fmt.Sprintf("%q stands in the log of %s", bad, p.name)
		}
	}
	select {
	case <-p.ended:
		return p.name + " has ended by itself: " + p.command.ProcessState.String()
	default:
		return ""
	}
}
