package main

import (
	"context"
	"fmt"
	"time"
)

// Faults of one connection between a process and a server, or between the applicants and an api.
func networkFaults(links []string) []fault {
	return []fault{
		{lasting("latency", time.Second, 8*time.Second, links...), toxic("latency", func(s step) string {
			return fmt.Sprintf(`"latency": %d, "jitter": %d`, s.between(20, 1500), s.between(0, 500))
		})},
		{lasting("little bandwidth", time.Second, 8*time.Second, links...), toxic("bandwidth", func(s step) string {
			return fmt.Sprintf(`"rate": %d`, s.between(1, 40)) // kilobytes a second
		})},
		{lasting("black hole", 500*time.Millisecond, 14*time.Second, links...), toxic("timeout", func(step) string {
			return `"timeout": 0`
		})},
		{lasting("answers lost", 500*time.Millisecond, 8*time.Second, links...), loseAnswers},
		{lasting("reset", 200*time.Millisecond, 4*time.Second, links...), toxic("reset_peer", func(s step) string {
			return fmt.Sprintf(`"timeout": %d`, s.between(0, 200))
		})},
		{lasting("cut after some bytes", 500*time.Millisecond, 5*time.Second, links...), toxic("limit_data", func(s step) string {
			return fmt.Sprintf(`"bytes": %d`, s.between(50, 20_000))
		})},
		{lasting("refuse connections", 200*time.Millisecond, 8*time.Second, links...), refuseConnections},
	}
}

func toxic(name string, attributes func(step) string) func(context.Context, *world, step) (healing, error) {
	return func(_ context.Context, w *world, s step) (healing, error) {
		link := w.links.byName[s.Target]
		heal := func(ctx context.Context) error { link.proxy.Toxics.ResetToxics(ctx); return nil }
		return heal, link.disturb(name, attributes(s), requests, answers)
	}
}

// loseAnswers lets every request arrive and be carried out, and no answer come back.
func loseAnswers(_ context.Context, w *world, s step) (healing, error) {
	link := w.links.byName[s.Target]
	heal := func(ctx context.Context) error { link.proxy.Toxics.ResetToxics(ctx); return nil }
	return heal, link.disturb("timeout", `"timeout": 0`, answers)
}

func refuseConnections(_ context.Context, w *world, s step) (healing, error) {
	link := w.links.byName[s.Target]
	link.cut()
	return func(context.Context) error { return link.mend() }, nil
}
