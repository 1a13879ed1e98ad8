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
	"slices"
	"syscall"
	"time"
)

func main() {
	os.Exit(command(os.Args[1:]))
}

// options are what the command line says.
type options struct {
	seed    uint64
	runs    int
	length  time.Duration
	race    bool
	world   string
	results string
	sum     string
	// firstPort is from where on ports are taken.
	firstPort int
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the first run; 0 takes a random one")
	flags.IntVar(&o.runs, "runs", 1, "how many runs, each with the seed after the last one's")
	minutes := flags.Float64("minutes", 2, "how long the faults of one run go on")
	flags.StringVar(&o.world, "world", singleWorld, "the servers: single, or replicated (a Redis Cluster, three brokers, a database with a replica)")
	flags.BoolVar(&o.race, "race", false, "build firstcome with the race detector")
	flags.StringVar(&o.results, "results", "", "file to which each run's result is added, as a line of JSON")
	flags.StringVar(&o.sum, "sum", "", "run nothing; print the summary of a file of results")
	flags.IntVar(&o.firstPort, "first-port", firstPort, "the ports used are from here on, where they are free")
	err := flags.Parse(arguments)
	o.length = time.Duration(*minutes * float64(time.Minute))
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	return o, err
}

// command gives the exit code: 0 when no run found a difference, 1 when one did, 2 when the suite could not run, or when
// every run was void.
func command(arguments []string) int {
	o, err := parse(arguments)
	if err != nil {
		return 2
	}
	all, err := reports(o)
	if err != nil {
		return failed(err)
	}
	fmt.Print(summary(all))
	return exitCode(all)
}

func exitCode(all []report) int {
	void := func(r report) bool { return r.Void != "" }
	switch {
	case slices.ContainsFunc(all, func(r report) bool { return len(r.Differences) > 0 }):
		return 1
	case len(all) > 0 && len(slices.DeleteFunc(slices.Clone(all), void)) == 0:
		return 2
	}
	return 0
}

// reports makes the runs, or reads about earlier ones.
func reports(o options) ([]report, error) {
	if o.sum != "" {
		return readReports(o.sum)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	s, err := newSupervisor(ctx, root, o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	all, err := s.runAll(ctx, o, os.Stdout)
	return all, errors.Join(err, s.close())
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "chaos:", err)
	return 2
}

// runAll makes one run after the other.
func (s *supervisor) runAll(ctx context.Context, o options, out io.Writer) ([]report, error) {
	var all []report
	for seed := o.seed; seed < o.seed+uint64(o.runs); seed++ {
		r, err := s.run(ctx, seed, o.length, out)
		if err != nil {
			return all, fmt.Errorf("seed %d: %w", seed, err)
		}
		r.tell(out)
		all = append(all, r)
		if err := r.appendTo(o.results); err != nil {
			return all, err
		}
	}
	return all, nil
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
