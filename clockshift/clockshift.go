// Package clockshift builds programs whose wall clock a test can set while they run. Go programs ask the kernel for the
// time themselves, so libfaketime does not reach them; this package changes one function of the standard library instead,
// for one build, by an overlay:
//
//  1. overlay, err := clockshift.Overlay(ctx, folder) writes what is changed into the folder.
//  2. go build -overlay <overlay> builds the program with it.
//  3. The program runs with clockshift.Variable set to the name of a file.
//  4. clockshift.Set(file, -time.Hour) sets the program's wall clock back by an hour; it follows within 50 ms.
//
// Only what time.Now says of the wall clock is shifted. The elapsed time (timers, the monotonic part of a time.Time)
// goes on, as it does on a host whose clock is set.
package clockshift

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Variable names the file from which a program reads how far its wall clock is shifted. A program without it, or
// without the file, is not shifted.
const Variable = "CLOCKSHIFT_FILE"

// source is added to package time.
//
//go:embed shift.go.txt
var source []byte

// The line of time.Now that asks for the time, and what stands there instead.
const (
	asked   = "\tsec, nsec, mono := runtimeNow()\n"
	shifted = "\tsec, nsec, mono := shiftedNow()\n"
)

// Overlay writes a changed package time and the file that go build -overlay wants, and gives that file's name. It fails
// when the standard library does not look as it did when this was written.
func Overlay(ctx context.Context, folder string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("clockshift: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", fmt.Errorf("clockshift: %w", err)
	}
	if strings.Count(string(original), asked) != 1 {
		return "", fmt.Errorf("clockshift: time.Now of %s is not the one that is known", library)
	}
	changed, added := filepath.Join(folder, "time.go"), filepath.Join(folder, "shift.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(library, "time.go"): changed, filepath.Join(library, "shift.go"): added,
	}})
	if err != nil {
		return "", fmt.Errorf("clockshift: %w", err)
	}
	name := filepath.Join(folder, "overlay.json")
	for path, content := range map[string][]byte{
		changed: []byte(strings.Replace(string(original), asked, shifted, 1)), added: source, name: overlay,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return "", fmt.Errorf("clockshift: %w", err)
		}
	}
	return name, nil
}

// Set has the wall clock of the programs that read the file differ from the host's by so much.
func Set(file string, shift time.Duration) error {
	// A program must not read half a number.
	next := file + ".next"
	if err := os.WriteFile(next, []byte(strconv.FormatInt(int64(shift), 10)), 0o600); err != nil {
		return fmt.Errorf("clockshift: %w", err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("clockshift: %w", err)
	}
	return nil
}
