package loadtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// How often the progress is shown.
const (
	barInterval  = 100 * time.Millisecond
	lineInterval = 2 * time.Second
)

// display shows how many of all users are done with, and how fast.
type display interface {
	show(now progress)
	// end shows the last numbers and leaves the output at the start of a line.
	end(now progress)
}

// watch shows the progress at each interval until stop is called, which shows it once more and waits until the
// output is the caller's again.
func watch(shown display, interval time.Duration, read func() progress) (stop func()) {
	finish := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				shown.show(read())
			case <-finish:
				shown.end(read())
				return
			}
		}
	})
	return func() {
		close(finish)
		running.Wait()
	}
}

// displayFor chooses the bar for a terminal and lines for everything else, such as a log or a pipe.
func displayFor(out io.Writer, total int) (display, time.Duration) {
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return newBarDisplay(out, total), barInterval
	}
	return lineDisplay{out: out, total: total}, lineInterval
}

// figures are the rate, the slowest of a hundred, and how often each status came.
func (p progress) figures() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%.0f/s  p99 %s ms", p.perSecond, inMilliseconds(p.p99))
	for _, status := range slices.Sorted(maps.Keys(p.statuses)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "none"
		}
		fmt.Fprintf(&text, "  %s: %d", name, p.statuses[status])
	}
	return text.String()
}

type barDisplay struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newBarDisplay(out io.Writer, total int) barDisplay {
	return barDisplay{out: out, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("applying"),
		progressbar.OptionSetWidth(20),
		progressbar.OptionShowCount(),
	)}
}

// show ignores what the bar reports: it is decoration, and the run goes on without it.
func (d barDisplay) show(now progress) {
	d.bar.Describe(now.figures())
	_ = d.bar.Set64(now.done)
}

func (d barDisplay) end(now progress) {
	d.show(now)
	_, _ = fmt.Fprintln(d.out)
}

type lineDisplay struct {
	out   io.Writer
	total int
}

func (d lineDisplay) show(now progress) {
	_, _ = fmt.Fprintf(d.out, "%d of %d users answered  %s\n", now.done, d.total, now.figures())
}

func (d lineDisplay) end(now progress) { d.show(now) }
