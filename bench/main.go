package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rounds   int
	duration time.Duration
	only     []string
	add      bool
	render   bool
	profiles bool
	results  string
	docs     string
	program  string
	serve    string
	address  string
	answers  string
}

// Limits of the flags.
const (
	maxRounds  = 50
	maxSeconds = 60
)

// sections are what -only chooses from.
var sections = []string{sectionHTTP, sectionStoring, sectionOverload}

const (
	sectionHTTP     = "http"
	sectionStoring  = "storing"
	sectionOverload = "overload"
)

func parseOptions(arguments []string) (options, error) {
	var o options
	var only string
	var seconds int
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured, 1 to 50")
	flags.IntVar(&seconds, "seconds", 3, "how long each measurement lasts, 1 to 60")
	flags.StringVar(&only, "only", strings.Join(sections, ","), "what to measure, of "+strings.Join(sections, ", "))
	flags.BoolVar(&o.add, "add", false, "add these rounds to those in the file of results, in place of beginning anew")
	flags.BoolVar(&o.render, "render", false, "measure nothing, and write the document from the file of results")
	flags.BoolVar(&o.profiles, "profiles", false, "measure nothing but profiles of each way, and write performance-profiles.md")
	flags.StringVar(&o.results, "results", "docs/performance.json", "file of results")
	flags.StringVar(&o.docs, "docs", "docs", "folder of performance.md and its pictures")
	flags.StringVar(&o.program, "program", "bin/firstcome", "the program to measure")
	flags.StringVar(&o.serve, "serve", "", "be one of the servers to compare with (the program starts itself so)")
	flags.StringVar(&o.address, "address", "", "where that server listens")
	flags.StringVar(&o.answers, "answers", "", "file of the answers that the server gives which does nothing")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.rounds > maxRounds || seconds < 1 || seconds > maxSeconds {
		return o, fmt.Errorf("-rounds must be 1 to %d and -seconds 1 to %d", maxRounds, maxSeconds)
	}
	o.duration, o.only = time.Duration(seconds)*time.Second, strings.Split(only, ",")
	for _, name := range o.only {
		if !slices.Contains(sections, name) {
			return o, fmt.Errorf("-only: there is no %q; there are %s", name, strings.Join(sections, ", "))
		}
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	o, err := parseOptions(arguments)
	switch {
	case err != nil:
		return err
	case o.serve != "":
		return serve(ctx, o)
	case o.profiles:
		at, err := testServers()
		if err != nil {
			return err
		}
		return measureProfiles(ctx, o, at)
	case !o.render:
		if err := measure(ctx, o); err != nil {
			return err
		}
	}
	return render(o)
}

// measure makes all rounds. The results are written after each, so that an interrupted run leaves whole rounds.
func measure(ctx context.Context, o options) error {
	found := &results{}
	if o.add {
		var err error
		if found, err = readResults(o.results); err != nil {
			return err
		}
	}
	found.Machine = describeMachine()
	at, err := testServers()
	if err != nil {
		return err
	}
	first := found.lastRound() + 1
	for number := first; number < first+o.rounds; number++ {
		began := time.Now()
		if number == first+overloadRounds && len(o.only) > 1 {
			o.only = slices.DeleteFunc(o.only, func(section string) bool { return section == sectionOverload })
		}
		samples, err := measureRound(ctx, o, at, number)
		if err != nil {
			return fmt.Errorf("round %d: %w", number, err)
		}
		found.Samples = append(found.Samples, samples...)
		if err := found.write(o.results); err != nil {
			return err
		}
		fmt.Printf("round %d took %.0f s\n", number, time.Since(began).Seconds())
	}
	return nil
}
