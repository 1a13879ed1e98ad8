package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Faults by which Redis loses data. Its restart with all data is among the faults of processes.
var redisFaults = []fault{
	{momentary("flush all", redisServer).losing(redisServer), flushAll},
	{lasting("restart empty", 0, 3*time.Second, redisServer).losing(redisServer), restartEmpty},
	{lasting("restart with an old file", 500*time.Millisecond, 5*time.Second, redisServer).losing(redisServer), restartRolledBack},
}

// redisLost writes down that Redis loses data now.
func (w *world) redisLost() {
	w.record.change(func(r *record) { r.lost = append(r.lost, w.timeline.now()) })
}

func flushAll(ctx context.Context, w *world, _ step) (healing, error) {
	defer w.redisLost()
	return nil, w.flush(ctx)
}

func (w *world) appendOnlyFolder() string {
	return filepath.Join(w.servers.folder, redisServer, "appendonlydir")
}

func restartEmpty(ctx context.Context, w *world, _ step) (healing, error) {
	defer w.redisLost()
	err := w.servers.run(ctx, "kill", redisServer)
	return startAgain(w, redisServer), errors.Join(err, os.RemoveAll(w.appendOnlyFolder()))
}

// restartRolledBack copies the append-only file now, and at the end brings Redis back with that copy.
func restartRolledBack(ctx context.Context, w *world, _ step) (healing, error) {
	old := filepath.Join(w.servers.folder, "old-appendonlydir")
	copied := exec.CommandContext(ctx, "cp", "--recursive", "--preserve", "--no-target-directory", w.appendOnlyFolder(), old).Run()
	return func(ctx context.Context) error {
		defer w.redisLost()
		err := errors.Join(w.servers.run(ctx, "kill", redisServer), os.RemoveAll(w.appendOnlyFolder()), os.Rename(old, w.appendOnlyFolder()))
		return errors.Join(err, w.servers.run(ctx, "start", redisServer))
	}, copied
}
