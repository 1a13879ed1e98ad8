package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	os.Exit(command(os.Args[1:]))
}

// command gives the exit code: 0 when no run found a difference, 1 when one did, 2 when the suite could not run.
func command(arguments []string) int {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	seed := flags.Uint64("seed", 0, "seed of the first run; 0 takes a random one")
	runs := flags.Int("runs", 1, "how many runs, each with the seed after the last one's")
	minutes := flags.Float64("minutes", 2, "how long the faults of one run go on")
	race := flags.Bool("race", false, "build firstcome with the race detector")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot()
	if err != nil {
		return failed(err)
	}
	s, err := newSupervisor(ctx, root, *race)
	if err != nil {
		return failed(errors.Join(err, s.close()))
	}
	found, err := s.runAll(ctx, seeds(*seed, *runs), time.Duration(*minutes*float64(time.Minute)), os.Stdout)
	if err := errors.Join(err, s.close()); err != nil {
		return failed(err)
	}
	if found {
		return 1
	}
	return 0
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "chaos:", err)
	return 2
}

func seeds(first uint64, runs int) []uint64 {
	all := make([]uint64, runs)
	for i := range all {
		all[i] = first + uint64(i)
	}
	return all
}

// runAll makes one run after the other and prints what struck in all of them. It says whether any found a difference.
func (s *supervisor) runAll(ctx context.Context, seeds []uint64, length time.Duration, out io.Writer) (bool, error) {
	applied, missed := map[string]int{}, map[string]int{}
	var summaries []string
	found := false
	for _, seed := range seeds {
		r, err := s.run(ctx, seed, length, out)
		if err != nil {
			return found, fmt.Errorf("seed %d: %w", seed, err)
		}
		found = r.tell(out) || found
		summaries = append(summaries, r.summary())
		for name, n := range r.applied {
			applied[name] += n
		}
		for name, n := range r.missed {
			missed[name] += n
		}
	}
	_, _ = fmt.Fprint(out, table("faults that struck:", applied), table("faults that could not strike:", missed))
	for _, summary := range summaries {
		_, _ = fmt.Fprint(out, summary)
	}
	return found, nil
}

// tell prints a run's result; the folder of one with a difference is kept, with the timeline and all logs.
func (r report) tell(out io.Writer) bool {
	_, _ = fmt.Fprint(out, r.summary())
	if len(r.differences) == 0 {
		_ = os.RemoveAll(r.folder)
		return false
	}
	for _, difference := range r.differences {
		_, _ = fmt.Fprintln(out, "  ", difference)
	}
	_, _ = fmt.Fprintf(out, "timeline and logs: %s\nagain: make chaos SEED=%d\n", r.folder, r.seed)
	return true
}

// moduleRoot is the folder of go.mod, at or above the one we are in.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil {
			return folder, nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("run it in the folder of the module")
		}
		folder = filepath.Dir(folder)
	}
	return "", err
}
