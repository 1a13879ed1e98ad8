package redisgate

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A command that Ping does not try could be refused to the gate while readiness says that all is well.
func TestPingTriesEachCommandThatTheScriptsNeed(t *testing.T) {
	command := regexp.MustCompile(`(?:redis\.p?call|call_in_chunks)\('(\w+)'`)
	tried := map[string]bool{}
	for _, found := range command.FindAllStringSubmatch(mustRead("gate")+mustRead("ping"), -1) {
		tried[found[1]] = true
	}
	files, err := scriptFiles.ReadDir("script")
	require.NoError(t, err)
	for _, file := range files {
		text, err := scriptFiles.ReadFile("script/" + file.Name())
		require.NoError(t, err)
		for _, found := range command.FindAllStringSubmatch(string(text), -1) {
			assert.True(t, tried[found[1]], "%s calls %s, which ping.lua does not try", file.Name(), found[1])
		}
	}
}
