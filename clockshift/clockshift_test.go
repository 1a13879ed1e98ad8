package clockshift

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asker prints, for each line that it reads, what time.Now says: the wall clock and the time since its start.
const asker = `package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

func main() {
	began := time.Now()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		now := time.Now()
		fmt.Println(now.UnixNano(), int64(now.Sub(began)))
	}
}
`

func TestAProgramsWallClockFollowsTheFileAndItsElapsedTimeDoesNot(t *testing.T) {
	folder := t.TempDir()
	overlay, err := Overlay(t.Context(), folder)
	require.NoError(t, err)
	program := filepath.Join(folder, "asker.go")
	require.NoError(t, os.WriteFile(program, []byte(asker), 0o600))
	output, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", filepath.Join(folder, "asker"), program).CombinedOutput()
	require.NoError(t, err, "%s", output)

	file := filepath.Join(folder, "shift")
	command := exec.CommandContext(t.Context(), filepath.Join(folder, "asker"))
	command.Env = []string{Variable + "=" + file}
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	answers := bufio.NewReader(out)
	last := int64(0)
	for _, shift := range []time.Duration{0, -time.Hour, 90 * time.Minute, -1500 * time.Millisecond, 1500 * time.Millisecond, 0} {
		require.NoError(t, Set(file, shift))
		assert.Eventually(t, func() bool {
			var wall, elapsed int64
			_, err := fmt.Fprintln(in)
			require.NoError(t, err)
			_, err = fmt.Fscan(answers, &wall, &elapsed)
			require.NoError(t, err)
			assert.Greater(t, elapsed, last, "time never goes back")
			assert.Less(t, elapsed-last, int64(time.Minute), "nor does it jump")
			last = elapsed
			differs := time.Duration(wall - time.Now().UnixNano())
			return (differs - shift).Abs() < 500*time.Millisecond
		}, 20*time.Second, 20*time.Millisecond, "shift %v", shift)
	}
	require.NoError(t, in.Close())
	require.NoError(t, command.Wait())
}
