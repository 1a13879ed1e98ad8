package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// comeBackPatience is how long the database is given to answer, at the end of a run that broke off, before it is asked
	// to start once more; then the script that starts it has a limit of its own (serverTimeout).
	comeBackPatience = 30 * time.Second
	// maxReasonBytes bounds what is kept of the database's log.
	maxReasonBytes = 300
)

// voidReason says why a run that broke off proves nothing, or "". It does not, if the database itself does not come back
// although all faults are healed: a full disk can leave MySQL with a data dictionary that it can't read any more, which is
// not what this suite looks for. An error while the database answers is a difference, whatever its log says.
func voidReason(comesBack error, log string) string {
	if comesBack == nil {
		return ""
	}
	reason := fmt.Sprintf("void: MySQL does not come back: %v", firstLine(comesBack.Error()))
	if last := lastError(log); last != "" {
		reason += "; its log ends with: " + last
	}
	return reason
}

// lastError gives the last line of MySQL's log that tells of an error.
func lastError(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		if strings.Contains(line, "[ERROR]") {
			last = strings.TrimSpace(line)
		}
	}
	return last[:min(len(last), maxReasonBytes)]
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), maxReasonBytes)]
}

// void looks whether a run that broke off is the fault of the database. It is asked to start once more, as it may be
// down only because a healing gave up too early.
func (w *world) void(ctx context.Context) string {
	if w.topology.pair {
		return "" // no disk is filled there
	}
	err := eventually(ctx, comeBackPatience, "MySQL answers", w.database.PingContext)
	if err != nil {
		w.timeline.add("MySQL does not answer, and is started once more: %v", err)
		if err = w.servers.run(ctx, "start", mysqlServer); err == nil {
			err = eventually(ctx, comeBackPatience, "MySQL answers", w.database.PingContext)
		}
	}
	log, _ := os.ReadFile(filepath.Join(w.servers.folder, mysqlServer+".log")) // without a log, the error has to do
	return voidReason(err, string(log))
}

// renewDatabase gives the next run a MySQL that was never broken: its data is deleted, and made anew.
func (s *servers) renewDatabase(ctx context.Context) error {
	if err := s.run(ctx, "kill", mysqlServer); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.disk())
	for _, entry := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(s.disk(), entry.Name()))
		}
	}
	if err != nil {
		return err
	}
	return s.run(ctx, "up", mysqlServer)
}
