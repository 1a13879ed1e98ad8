package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// timeline is what happened in a run and when, in a file and, if wanted, on the screen as well.
type timeline struct {
	began time.Time
	path  string
	mu    sync.Mutex
	out   io.Writer
	file  *os.File
}

func newTimeline(folder string, out io.Writer) (*timeline, error) {
	path := filepath.Join(folder, "timeline.txt")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &timeline{began: time.Now(), path: path, out: out, file: file}, nil
}

// now is the moment in the run; all times of a run are told so.
func (t *timeline) now() time.Duration { return time.Since(t.began) }

func (t *timeline) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%s %8.3f s  %s\n", time.Now().UTC().Format("15:04:05.000"), t.now().Seconds(), fmt.Sprintf(format, args...))
	_, _ = t.file.WriteString(line)
	_, _ = io.WriteString(t.out, line)
}

func (t *timeline) close() { _ = t.file.Close() }
