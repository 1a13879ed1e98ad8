package main

import (
	"context"
	"syscall"
	"time"
)

// Faults of our own processes as a whole.
var processFaults = []fault{
	{lasting("kill role", 0, 4*time.Second, processNames...), killRole},
	{lasting("freeze role", 300*time.Millisecond, 16*time.Second, processNames...), freezeRole},
	{lasting("stop role", 0, 4*time.Second, processNames...), stopRole},
}

// Faults of servers as a whole.
var serverFaults = []fault{
	{lasting("kill server", 0, 4*time.Second, redisServer, kafkaServer, mysqlServer), killServer},
	{lasting("freeze server", 300*time.Millisecond, 12*time.Second, redisServer, kafkaServer, mysqlServer), freezeServer},
	{lasting("restart server", 0, 2*time.Second, redisServer, kafkaServer, mysqlServer), restartServer},
}

func killRole(_ context.Context, w *world, s step) (healing, error) {
	w.processes[s.Target].kill()
	return func(context.Context) error { return w.processes[s.Target].start() }, nil
}

func freezeRole(_ context.Context, w *world, s step) (healing, error) {
	p := w.processes[s.Target]
	return func(context.Context) error { return p.signal(syscall.SIGCONT) }, p.signal(syscall.SIGSTOP)
}

// stopRole is an orderly stop, as at a deployment. It must end in time whatever else is broken; the exit code may say
// that something could not be finished.
func stopRole(_ context.Context, w *world, s step) (healing, error) {
	p := w.processes[s.Target]
	if code := p.terminate(stopPatience); code == killedExitCode {
		w.problem("%s did not end within %s after SIGTERM", p.name, stopPatience)
	} else if code != 0 {
		w.timeline.add("%s ended with exit code %d", p.name, code)
	}
	return func(context.Context) error { return p.start() }, nil
}

func killServer(ctx context.Context, w *world, s step) (healing, error) {
	return startAgain(w, s.Target), w.servers.run(ctx, "kill", s.Target)
}

func freezeServer(ctx context.Context, w *world, s step) (healing, error) {
	return func(ctx context.Context) error { return w.servers.run(ctx, "resume", s.Target) }, w.servers.run(ctx, "pause", s.Target)
}

func restartServer(ctx context.Context, w *world, s step) (healing, error) {
	return startAgain(w, s.Target), w.servers.run(ctx, "stop", s.Target)
}

func startAgain(w *world, server string) healing {
	return func(ctx context.Context) error { return w.servers.run(ctx, "start", server) }
}
