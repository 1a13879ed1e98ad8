package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"firstcome/bench/gauge"
)

// A profiled way is put under load for longer than the profile lasts, so that the profile sees nothing else.
const (
	profileSeconds = 6
	profileMargin  = 2 * time.Second
	profileRows    = 10
	maxProfile     = 64 << 20
)

// profiledWay is one path whose profiles go into the document, between the marks "NAME cpu" and "NAME allocations".
type profiledWay struct {
	name    string
	process string
	// load is what goes on meanwhile.
	load func(ctx context.Context, r *round) error
}

var profiledWays = []profiledWay{
	{"winning", apiProcess, underLoad(scenario{winning, apiProcess, fillCampaign, false, "accepted"}, peakConnections)},
	{"sold-out", apiProcess, underLoad(scenario{soldOut, apiProcess, soldOutCampaign, true, "sold-out"}, peakConnections)},
	{"crowd", apiProcess, underLoad(scenario{crowded, apiProcess, fillCampaign, false, "accepted"}, crowdConnections)},
	{"storing", consumerProcess, func(ctx context.Context, _ *round) error {
		gauge.Pause(ctx, profileSeconds*time.Second) // what has been won until then is stored as soon as there is a consumer
		return nil
	}},
}

func underLoad(s scenario, connections int) func(context.Context, *round) error {
	return func(ctx context.Context, r *round) error {
		measured, err := r.measureFor(ctx, s, connections, profileMargin+profileSeconds*time.Second+profileMargin)
		if err == nil {
			r.keep(measured)
		}
		return err
	}
}

// measureProfiles makes one round that measures nothing but where the time and the memory of each way go.
func measureProfiles(ctx context.Context, o options, at servers) (err error) {
	w, err := newWorld(ctx, o, at)
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	if err != nil {
		return err
	}
	r := &round{world: w, promised: map[string]int64{}, perhaps: map[string]int64{}}
	if err := r.sellOut(ctx); err != nil {
		return err
	}
	found := map[string]string{}
	for _, way := range profiledWays {
		if _, running := r.processes[way.process]; !running {
			if err := r.startRole(ctx, way.process); err != nil {
				return err
			}
		}
		if err := r.profile(ctx, way, found); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	return gauge.WriteTables(filepath.Join(o.docs, "performance-profiles.md"), found)
}

// profile takes both profiles at the same time.
func (r *round) profile(ctx context.Context, way profiledWay, found map[string]string) error {
	loaded := make(chan error, 1)
	go func() { loaded <- way.load(ctx, r) }()
	if way.process == apiProcess {
		gauge.Pause(ctx, profileMargin)
	}
	type taken struct {
		kind, rows string
		err        error
	}
	all := make(chan taken, 2)
	for kind, path := range map[string]string{"cpu": "profile", "allocations": "allocs"} {
		go func() {
			rows, err := r.takeProfile(ctx, way, path)
			all <- taken{kind, rows, err}
		}()
	}
	var errs []error
	for range 2 {
		one := <-all
		found[way.name+" "+one.kind] = "```text\n" + one.rows + "```"
		errs = append(errs, one.err)
	}
	return errors.Join(append(errs, <-loaded)...)
}

// takeProfile gives the largest rows of a profile of the next seconds.
func (r *round) takeProfile(ctx context.Context, way profiledWay, kind string) (string, error) {
	url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", r.profileAddresses[way.process], kind, profileSeconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxProfile))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, content)
	}
	if err != nil {
		return "", err
	}
	file := filepath.Join(r.folder, way.name+"-"+kind+".pprof")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return "", err
	}
	return topRows(ctx, file, kind)
}

// topRows has pprof print the largest rows, and leaves out when and where the profile was taken.
func topRows(ctx context.Context, file, kind string) (string, error) {
	arguments := []string{"tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", profileRows)}
	if kind == "allocs" {
		arguments = append(arguments, "-sample_index=alloc_space")
	}
	output, err := exec.CommandContext(ctx, "go", append(arguments, file)...).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return tidyRows(string(output)), nil
}

var versionInPath = regexp.MustCompile(`@v[^/ ]+`)

// tidyRows keeps what pprof prints from its sum on.
func tidyRows(printed string) string {
	if from := strings.Index(printed, "Showing nodes"); from >= 0 {
		printed = printed[from:]
	}
	return versionInPath.ReplaceAllString(printed, "")
}
