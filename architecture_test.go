package main

import (
	"errors"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "firstcome"

// layers says which of our own packages each may import (tests apart): domain ← store, operator, consumer,
// retryer, loadtest ← api ← main. The chaos suite runs the program as processes, and knows of it the words only.
var layers = map[string][]string{
	"clockshift":              {},
	"crashpoint":              {},
	"domain":                  {},
	"store/redisgate":         {"crashpoint", "domain"},
	"store/kafkaqueue":        {"crashpoint", "domain"},
	"store/sqlledger":         {"crashpoint", "domain"},
	"store/embedded":          {"domain"},
	"store/storetest":         {"domain"},
	"admission/admissiontest": {"domain"},
	"admission":               {"crashpoint", "domain"},
	"operator":                {"crashpoint", "domain"},
	"api":                     {"admission", "crashpoint", "domain", "operator"},
	"consumer":                {"crashpoint", "domain"},
	"retryer":                 {"crashpoint", "domain"},
	"funnel":                  {"domain"},
	"loadtest":                {"domain", "loadtest/chart"},
	"loadtest/chart":          {},
	"chaos":                   {"clockshift", "domain"},
	// The model is the protocol without any of its code.
	"test/model": {},
	// The benchmark puts the same parts together in another way, to compare.
	"bench":        {"domain", "store/redisgate", "store/kafkaqueue", "store/sqlledger", "admission", "api", "loadtest", "loadtest/chart", "bench/gauge"},
	"bench/gauge":  {},
	"bench/growth": {"domain", "bench/gauge", "store/redisgate", "store/sqlledger"},
	".": {
		"domain", "store/redisgate", "store/kafkaqueue", "store/sqlledger", "store/embedded",
		"admission", "api", "operator", "consumer", "retryer", "funnel", "loadtest",
	},
}

// homes says which packages alone may import a driver; the chaos suite breaks the servers past our own
// stores, and the benchmark measures what does without them.
var homes = map[string][]string{
	"github.com/gin-gonic/":          {"api", "bench"},
	"github.com/robfig/cron/":        {"retryer"},
	"github.com/redis/go-redis/":     {"store/redisgate", "chaos", "bench", "bench/growth"},
	"github.com/alicebob/miniredis/": {"store/embedded"},
	"github.com/IBM/sarama":          {"store/kafkaqueue", "chaos", "bench", "bench/growth"},
	"github.com/twmb/franz-go":       {"store/embedded"},
	"gorm.io/":                       {"store/sqlledger"},
	"github.com/pressly/goose/":      {"store/sqlledger"},
	"github.com/go-sql-driver/":      {"store/sqlledger", "chaos", "bench", "bench/growth"},
	"github.com/glebarez/":           {"store/sqlledger"},
	"github.com/Shopify/toxiproxy":   {"chaos"},
	"database/sql":                   {"store/sqlledger", "chaos", "bench", "bench/growth"},
}

func TestImportsGoOneWayAndEachDriverHasOneHome(t *testing.T) {
	for _, folder := range goFolders(t) {
		allowed, known := layers[folder]
		require.True(t, known, "folder %s stands in no layer: name it in this test", folder)
		for _, imported := range importsOf(t, folder) {
			if ours, isOurs := strings.CutPrefix(imported, module+"/"); isOurs {
				require.Contains(t, allowed, ours, "%s must not import %s", folder, ours)
			}
			for driver, home := range homes {
				if strings.HasPrefix(imported, driver) {
					require.Contains(t, home, folder, "%s must not import %s", folder, imported)
				}
			}
		}
	}
}

func TestDomainImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, imported := range importsOf(t, "domain") {
		first, _, _ := strings.Cut(imported, "/")
		require.NotContains(t, first, ".", "domain must not import %s", imported)
	}
}

func goFolders(t *testing.T) []string {
	t.Helper()
	var folders []string
	require.NoError(t, filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "data") {
			return filepath.SkipDir
		}
		if folder := filepath.ToSlash(filepath.Dir(path)); strings.HasSuffix(path, ".go") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		return nil
	}))
	return folders
}

// importsOf gives what the folder's files import, tests and their helpers apart, with and without the release tag.
func importsOf(t *testing.T, folder string) []string {
	t.Helper()
	var imports []string
	for _, tags := range [][]string{nil, {"release"}} {
		context := build.Default
		context.BuildTags = tags
		pkg, err := context.ImportDir(folder, 0)
		var none *build.NoGoError
		if !errors.As(err, &none) {
			require.NoError(t, err)
		}
		if pkg != nil {
			imports = append(imports, pkg.Imports...)
		}
	}
	return imports
}
