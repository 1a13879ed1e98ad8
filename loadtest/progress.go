package loadtest

import (
	"fmt"
	"io"
	"os"
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

// display shows how many of total users are done with.
type display interface {
	show(done int64)
	// end shows the last number and leaves the output at the start of a line.
	end(done int64)
}

// watch shows the progress at each interval until stop is called, which shows it once more and waits until the
// output is the caller's again.
func watch(shown display, interval time.Duration, done func() int64) (stop func()) {
	finish := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				shown.show(done())
			case <-finish:
				shown.end(done())
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

type barDisplay struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newBarDisplay(out io.Writer, total int) barDisplay {
	return barDisplay{out: out, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("applying"),
		progressbar.OptionSetItsString("users"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
	)}
}

// show ignores what the bar reports: it is decoration, and the run goes on without it.
func (d barDisplay) show(done int64) { _ = d.bar.Set64(done) }

func (d barDisplay) end(done int64) {
	_ = d.bar.Set64(done)
	_, _ = fmt.Fprintln(d.out)
}

type lineDisplay struct {
	out   io.Writer
	total int
}

func (d lineDisplay) show(done int64) {
	_, _ = fmt.Fprintf(d.out, "%d of %d users answered\n", done, d.total)
}

func (d lineDisplay) end(done int64) { d.show(done) }
