package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"firstcome/domain"
)

const (
	// diskLookEvery is how often dev looks whether its disk takes what is written.
	diskLookEvery = time.Second
	// diskReserve is what must fit: more than the winners of a second fill. So admission ends while there is still room
	// for the records of those who were admitted.
	diskReserve = 4 << 20
)

// diskWatch tells whether the data folder of dev can be written. It writes a file as the embedded servers do, leaving it
// to the operating system when the disk is reached, and deletes it.
type diskWatch struct {
	folder string
	logger *slog.Logger
	latest atomic.Pointer[domain.Error]
}

func newDiskWatch(folder string, logger *slog.Logger) *diskWatch {
	return &diskWatch{folder: folder, logger: logger}
}

// run looks at once and then every diskLookEvery, until the context ends.
func (w *diskWatch) run(ctx context.Context) {
	ticker := time.NewTicker(diskLookEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.lookOnce()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (w *diskWatch) lookOnce() {
	before, now := w.latest.Load(), diskFault(w.folder, tryDisk(w.folder))
	w.latest.Store(now)
	switch {
	case now != nil && before == nil:
		w.logger.Error("nobody is admitted until the disk can be written again", "error", now)
	case now == nil && before != nil:
		w.logger.Info("the disk can be written again")
	}
}

// Ping refuses with CodeUnavailable while the folder can't be written, as of the last look.
func (w *diskWatch) Ping(context.Context) error {
	if fault := w.latest.Load(); fault != nil {
		return fault
	}
	return nil
}

func tryDisk(folder string) error {
	path := filepath.Join(folder, "disk-probe")
	err := os.WriteFile(path, make([]byte, diskReserve), 0o600)
	return errors.Join(err, os.Remove(path))
}

func diskFault(folder string, err error) *domain.Error {
	if err == nil {
		return nil
	}
	reason := "it refuses a file"
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		reason = number.Error()
	}
	return domain.Wrap(domain.CodeUnavailable, err, fmt.Sprintf(
		"%d MiB can't be written to the data folder %s: %s; make room, and admission goes on by itself", diskReserve>>20, folder, reason))
}

// diskGate admits nobody while the disk could not keep the record of an admission.
type diskGate struct {
	domain.Admitter
	disk *diskWatch
}

// AdmitAll refuses everybody with CodeUnavailable while the disk can't be written, and else is the gate's.
func (g diskGate) AdmitAll(ctx context.Context, campaign string, users []domain.UserID, decisions []domain.Decision) error {
	if err := g.disk.Ping(ctx); err != nil {
		return err
	}
	return g.Admitter.AdmitAll(ctx, campaign, users, decisions)
}
