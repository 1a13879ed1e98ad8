package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// describeMachine says on what was measured, without the names of anything.
func describeMachine() []string {
	lines := []string{
		fmt.Sprintf("%d cores of %s", runtime.NumCPU(), orUnknown(firstMatch("/proc/cpuinfo", `model name\s*: (.*)`))),
		"memory " + orUnknown(firstMatch("/proc/meminfo", `MemTotal:\s*(.*)`)),
		"Linux " + orUnknown(firstMatch("/proc/version", `version (\d+\.\d+)`)) + ", " + runtime.Version(),
	}
	for _, program := range [][]string{{"wrk", "-v"}, {"redis-server", "--version"}, {"java", "-version"}} {
		output, _ := exec.Command(program[0], program[1:]...).CombinedOutput() //nolint:noctx // ends by itself
		if first, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n"); first != "" {
			lines = append(lines, first)
		}
	}
	return lines
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

func firstMatch(file, expression string) string {
	content, _ := os.ReadFile(file)
	if found := regexp.MustCompile(expression).FindSubmatch(content); found != nil {
		return strings.TrimSpace(string(found[1]))
	}
	return ""
}
