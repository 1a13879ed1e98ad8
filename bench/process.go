package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"firstcome/bench/gauge"
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
	command.SysProcAttr = gauge.Child()
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
		if !gauge.Pause(limited, 50*time.Millisecond) {
			return fmt.Errorf("waited %s in vain until %s: %w", patience, what, last)
		}
	}
}
