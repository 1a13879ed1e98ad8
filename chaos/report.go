package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// report is what one run found; in a file of results it is one line of JSON.
type report struct {
	Seed uint64 `json:"seed"`
	// World is the topology of the servers; a result of before there were two has none.
	World string `json:"world,omitempty"`
	// Commit is the state of the code that was broken, as git tells it.
	Commit string    `json:"commit"`
	Began  time.Time `json:"began"`
	// Faults is how long faults were struck while applicants applied, with the settlements in between; Took is the whole run.
	Faults seconds `json:"faults_seconds"`
	Took   seconds `json:"took_seconds"`
	// Struck counts the faults that struck, Missed those that could not, by name.
	Struck map[string]int `json:"struck"`
	Missed map[string]int `json:"missed"`
	// Answers counts what applicants were told; each application has one answer, if only "unknown".
	Answers map[outcome]int `json:"answers"`
	// Rows is what was issued, Ordered of how many the order of slots was compared, Repairs what `audit --repair` repaired, by kind.
	Rows        int            `json:"rows"`
	Ordered     int            `json:"ordered"`
	Repairs     map[string]int `json:"repairs"`
	Differences []string       `json:"differences"`
	// Void says why the run proves nothing; empty for one that does. A void one has no differences.
	Void string `json:"void,omitempty"`
	// Folder is kept when there are differences, and of a void run.
	Folder string `json:"folder"`
}

// seconds is a duration that reads as a number in JSON.
type seconds time.Duration

func (s seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(s).Round(time.Millisecond).Seconds())
}

func (s *seconds) UnmarshalJSON(text []byte) error {
	var number float64
	err := json.Unmarshal(text, &number)
	*s = seconds(number * float64(time.Second))
	return err
}

// tell prints a run's result, and says whether it found a difference. The folder of a run that did, and of a void one, is
// kept, with the timeline and all logs.
func (r report) tell(out io.Writer) bool {
	_, _ = fmt.Fprintln(out, r.line())
	if r.Void != "" {
		_, _ = fmt.Fprintf(out, "timeline and logs: %s\n", r.Folder)
		return false
	}
	if len(r.Differences) == 0 {
		_ = os.RemoveAll(r.Folder)
		return false
	}
	for _, difference := range r.Differences {
		_, _ = fmt.Fprintln(out, "  ", difference)
	}
	_, _ = fmt.Fprintf(out, "timeline and logs: %s\nagain: make chaos SEED=%d WORLD=%s\n", r.Folder, r.Seed, r.World)
	return true
}

// line tells a run in one line.
func (r report) line() string {
	verdict := "no difference"
	if r.Void != "" {
		verdict = r.Void
	} else if len(r.Differences) > 0 {
		verdict = fmt.Sprintf("%d DIFFERENCES", len(r.Differences))
	}
	return fmt.Sprintf("%s, seed %d: %s in %s; answers %v; %d rows; %d repairs; faults: %d struck, %d missed",
		r.World, r.Seed, verdict, time.Duration(r.Took).Round(time.Second), r.Answers, r.Rows, total(r.Repairs), total(r.Struck), total(r.Missed))
}

// appendTo adds the run to a file of results; without a path there is none.
func (r report) appendTo(path string) error {
	if path == "" {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // nothing secret
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// readReports reads a file of results.
func readReports(path string) ([]report, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []report
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, len(content)+1)
	for lines.Scan() {
		var one report
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(all)+1, err)
		}
		all = append(all, one)
	}
	return all, lines.Err()
}
