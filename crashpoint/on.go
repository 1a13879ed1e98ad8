//go:build crashpoints && !release

package crashpoint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// holdLook is how often a held goroutine looks whether it may go on; holdLimit is when it goes on anyway.
const (
	holdLook  = 5 * time.Millisecond
	holdLimit = time.Minute
)

// arrivals counts how often each point was reached since the points were armed.
var arrivals struct {
	sync.Mutex
	armed string
	hits  map[Point]int
}

// Reach ends the process, or waits, if the point is armed and this is the time.
func Reach(point Point) {
	armed := read()
	hit := count(armed, point)
	for arm := range strings.SplitSeq(armed, ",") {
		switch strings.TrimSpace(arm) {
		case fmt.Sprintf("%s:%d", point, hit):
			die()
		case fmt.Sprintf("%s:%d:hold", point, hit):
			fmt.Fprintln(os.Stderr, "held at", point)
			hold(armed)
		}
	}
}

func read() string {
	armed := os.Getenv(Variable)
	if path, isFile := strings.CutPrefix(armed, "@"); isFile {
		text, _ := os.ReadFile(path) // without a file nothing is armed
		return string(text)
	}
	return armed
}

func count(armed string, point Point) int {
	arrivals.Lock()
	defer arrivals.Unlock()
	if arrivals.armed != armed || arrivals.hits == nil {
		arrivals.armed, arrivals.hits = armed, map[Point]int{}
	}
	arrivals.hits[point]++
	return arrivals.hits[point]
}

// die is kill -9 from the inside: nothing is flushed, no deferred call runs, and this goroutine goes no step further.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func hold(armed string) {
	for deadline := time.Now().Add(holdLimit); read() == armed && time.Now().Before(deadline); {
		time.Sleep(holdLook)
	}
}
