package api

import (
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var pathParameter = regexp.MustCompile(`:(\w+)`)

// TestTheDocumentAndTheRoutesAreTheSame holds for both directions: no route without an operation, no operation without
// a route. The console's pages are for people, and stand in no document.
func TestTheDocumentAndTheRoutesAreTheSame(t *testing.T) {
	b := newFixture(t).start()
	served := b.get("/openapi.yaml")
	require.Equal(t, 200, served.Code)
	var document struct {
		OpenAPI string                               `yaml:"openapi"`
		Paths   map[string]map[string]map[string]any `yaml:"paths"`
	}
	require.NoError(t, yaml.Unmarshal(served.Body.Bytes(), &document))
	assert.True(t, strings.HasPrefix(document.OpenAPI, "3.1"))
	var documented, routed []string
	for path, operations := range document.Paths {
		for method := range operations {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, route := range b.server.engine.Routes() {
		if strings.HasPrefix(route.Path, "/console") || strings.HasPrefix(route.Path, "/c/") {
			continue
		}
		routed = append(routed, route.Method+" "+pathParameter.ReplaceAllString(route.Path, "{$1}"))
	}
	assert.ElementsMatch(t, routed, documented)
}
