package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nothing here reaches a server: the mistake is found before.
func TestAMistypedCommandIsRefused(t *testing.T) {
	for name, arguments := range map[string][]string{
		"an unknown command":       {"frob"},
		"an unknown subcommand":    {"campaign", "frob"},
		"no subcommand of token":   {"token", "frob"},
		"a campaign without code":  {"campaign", "pause"},
		"no users":                 {"loadtest", "--users", "0"},
		"no quota":                 {"loadtest", "--quota", "0"},
		"negative users":           {"loadtest", "--users", "-3"},
		"a word that is no number": {"loadtest", "--users", "many"},
		"an argument too many":     {"serve", "now"},
		"an unknown flag":          {"dev", "--frob"},
	} {
		assert.Equal(t, exitUsage, run(t.Context(), arguments), name)
	}
	for _, arguments := range [][]string{{"--help"}, {"campaign"}, {"campaign", "--help"}, {"token"}, {"version"}} {
		assert.Zero(t, run(t.Context(), arguments), arguments)
	}
}

func TestWithoutDatabaseOrTokenACommandSaysWhatItLookedFor(t *testing.T) {
	for _, name := range []string{"MYSQL_DSN", "ADMIN_TOKEN"} { // the tests on real servers run with these
		t.Setenv("FIRSTCOME_"+name, "")
		require.NoError(t, os.Unsetenv("FIRSTCOME_"+name))
	}
	folder := filepath.Join(t.TempDir(), "elsewhere")
	config := Config{DataDir: folder}
	for _, want := range []string{filepath.Join(folder, "firstcome.db"), "FIRSTCOME_MYSQL_DSN", "--data-dir", "--mysql-dsn"} {
		assert.ErrorContains(t, noDatabase(config), want)
	}
	_, err := tokenFor("http://127.0.0.1:8080", config)
	for _, want := range []string{"http://127.0.0.1:8080", filepath.Join(folder, "admin-token"), "FIRSTCOME_ADMIN_TOKEN", "--data-dir"} {
		assert.ErrorContains(t, err, want)
	}
	for _, arguments := range [][]string{{"campaign", "list"}, {"audit"}, {"loadtest"}} {
		assert.Equal(t, exitUsage, run(t.Context(), append(arguments, "--data-dir", folder)), arguments)
	}
}

func TestCommandsAskWhereTheProcessListens(t *testing.T) {
	for address, want := range map[string]string{
		"": "http://127.0.0.1:8080", ":9000": "http://127.0.0.1:9000", "0.0.0.0:9000": "http://127.0.0.1:9000",
		"[::]:9000": "http://127.0.0.1:9000", "10.0.0.7:9000": "http://10.0.0.7:9000", "shop:80": "http://shop:80",
	} {
		assert.Equal(t, want, localURL(Config{HTTPAddr: address}), address)
	}
}
