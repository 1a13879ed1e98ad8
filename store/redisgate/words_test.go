package redisgate

import (
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// allScripts gives the text of every script, without comments.
func allScripts(t *testing.T) string {
	t.Helper()
	names, err := fs.Glob(scriptFiles, "script/*.lua")
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range names {
		text, err := scriptFiles.ReadFile(name)
		require.NoError(t, err)
		all.WriteString(regexp.MustCompile(`--[^\n]*`).ReplaceAllString(string(text), ""))
	}
	return all.String()
}

// found gives what the pattern's group matches, each once, in order.
func found(text, pattern string) []string {
	var words []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		words = append(words, match[1])
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func TestGoKnowsEveryReasonForWhichAScriptClosesTheGate(t *testing.T) {
	said := found(allScripts(t), `(?:return gate, |shut\(|'CLOSED', )'([^']+)'`)
	assert.ElementsMatch(t, domain.ClosedReasons, said)
	for why := range unusable {
		assert.Contains(t, said, why, "an operator would never be told")
	}
}

func TestGoKnowsTheNumbersOfTheScripts(t *testing.T) {
	scripts := allScripts(t)
	for name, want := range map[string]int64{
		"REOPEN_AFTER_MS": domain.ReopenAfter.Milliseconds(), "TOLD_AFTER_MS": domain.TellAfter.Milliseconds(),
		"EPOCH_LEAD": domain.MaxEpochLead,
	} {
		numbers := found(scripts, `local `+name+` = (\d+)`)
		require.Len(t, numbers, 1, name)
		assert.Equal(t, strconv.FormatInt(want, 10), numbers[0], name)
	}
}

func TestGoReadsEveryRefusalOfTheScripts(t *testing.T) {
	letters := found(allScripts(t), `\^\[([A-Z]+)\]\$`) // what reopen_says may be
	require.Len(t, letters, 1)
	refused := decisions{errNotStarted: errNotStarted(0)}
	for _, letter := range strings.Split(letters[0], "") {
		_, _, err := refused.read(1, letter)
		assert.Error(t, err, letter)
	}
	for _, letter := range found(allScripts(t), `(?:return|items\[i\] =) '([A-Z])'`) {
		assert.Contains(t, letters[0], letter)
	}
}
