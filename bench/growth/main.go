package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firstcome/bench/gauge"
)

// options are the flags.
type options struct {
	only, program, script, docs string
	campaigns, winners          sizes
}

// sizes is a list of numbers, as "1,100,1000".
type sizes []int

// maxSize bounds what is asked for: half of what a campaign can have, and half a gigabyte of Redis.
const maxSize = 5_000_000

// String implements flag.Value.
func (s *sizes) String() string { return strings.Trim(fmt.Sprint([]int(*s)), "[]") }

// Set implements flag.Value.
func (s *sizes) Set(text string) error {
	*s = nil
	for part := range strings.SplitSeq(text, ",") {
		size, err := strconv.Atoi(part)
		if err != nil || size < 1 || size > maxSize {
			return fmt.Errorf("%q is not a number from 1 to %d", part, maxSize)
		}
		*s = append(*s, size)
	}
	return nil
}

// section measures one kind of growth and gives its table.
type section struct {
	name    string
	limit   time.Duration
	measure func(context.Context, *lab) (string, error)
}

var sections = []section{
	{"campaigns", 4 * time.Minute, measureCampaigns},
	{"winners", 9 * time.Minute, measureWinners},
	{"applicants", 2 * time.Minute, measureApplicants},
	{"processes", 2 * time.Minute, measureProcesses},
}

func parseOptions(arguments []string) (options, error) {
	o := options{campaigns: sizes{1, 100, 1000, 10_000}, winners: sizes{10_000, 100_000, 1_000_000}}
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.StringVar(&o.only, "only", "campaigns,winners,applicants,processes", "what to measure")
	flags.Var(&o.campaigns, "campaigns", "numbers of campaigns, rising; the database holds at most 10,000 within the time")
	flags.Var(&o.winners, "winners", "numbers of winners, rising")
	flags.StringVar(&o.program, "program", "bin/firstcome", "the program to measure")
	flags.StringVar(&o.script, "script", "bench/load/apply.lua", "wrk's script")
	flags.StringVar(&o.docs, "docs", "docs/growth.md", "the document, with the marks for the tables")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if !slices.Contains([]string{"campaigns", "winners", "applicants", "processes"}, name) {
			return o, fmt.Errorf("-only: there is no %q", name)
		}
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

// run measures the sections one after the other; each table is written when it is there.
func run(ctx context.Context, arguments []string) error {
	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	for _, s := range sections {
		if !strings.Contains(","+o.only+",", ","+s.name+",") {
			continue
		}
		if err := o.runSection(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (o options) runSection(ctx context.Context, s section) (err error) {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	began := time.Now()
	l, err := newLab(limited, o)
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	if err != nil {
		return err
	}
	table, err := s.measure(limited, l)
	if err != nil {
		return fmt.Errorf("%w%s", err, l.warnings())
	}
	fmt.Printf("%s, in %.0f s\n%s\n", s.name, time.Since(began).Seconds(), table)
	return gauge.WriteTables(o.docs, map[string]string{s.name: table})
}
