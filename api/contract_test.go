package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// contract is what openapi.yaml says of the answers.
type contract struct {
	Paths map[string]map[string]struct {
		Responses map[string]documentedAnswer `yaml:"responses"`
	} `yaml:"paths"`
	Components struct {
		Responses map[string]documentedAnswer `yaml:"responses"`
		Schemas   map[string]struct {
			Required []string `yaml:"required"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}

type documentedAnswer struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct {
		Schema struct {
			Ref        string `yaml:"$ref"`
			Properties struct {
				Type struct {
					Enum []string `yaml:"enum"`
				} `yaml:"type"`
			} `yaml:"properties"`
		} `yaml:"schema"`
	} `yaml:"content"`
}

var readContract = sync.OnceValues(func() (contract, error) {
	var read contract
	err := yaml.Unmarshal(openAPI, &read)
	return read, err
})

// requireDocumented asserts that openapi.yaml names the status of an answer and its content type, and that the answer
// has the fields, and a problem one of the types, that it promises. Addresses that are in no document, and methods, are refused by the router alone.
func requireDocumented(tb testing.TB, request *http.Request, got reply) {
	tb.Helper()
	document, err := readContract()
	require.NoError(tb, err)
	operation, documented := document.Paths[document.pathOf(request.URL.Path)][strings.ToLower(request.Method)]
	if !documented {
		return
	}
	call := request.Method + " " + request.URL.Path + " answered " + strconv.Itoa(got.Code)
	answer, documented := operation.Responses[strconv.Itoa(got.Code)]
	require.True(tb, documented, "%s, which openapi.yaml does not name: %s", call, got.Body)
	if answer.Ref != "" {
		answer = document.Components.Responses[lastOf(answer.Ref)]
	}
	if len(answer.Content) == 0 {
		return
	}
	kind, _, err := mime.ParseMediaType(got.Header().Get("Content-Type"))
	require.NoError(tb, err, call)
	content, documented := answer.Content[kind]
	require.True(tb, documented, "%s as %s, which openapi.yaml does not name", call, kind)
	for _, field := range document.Components.Schemas[lastOf(content.Schema.Ref)].Required {
		assert.Contains(tb, got.body, field, call)
	}
	if types := content.Schema.Properties.Type.Enum; len(types) > 0 {
		assert.Contains(tb, types, got.body["type"], call)
	}
}

// pathOf gives the documented path of an address; one without parameters goes first.
func (d contract) pathOf(address string) string {
	if _, exact := d.Paths[address]; exact {
		return address
	}
	parts := strings.Split(address, "/")
	for path := range d.Paths {
		if pattern := strings.Split(path, "/"); len(pattern) == len(parts) && matches(pattern, parts) {
			return path
		}
	}
	return ""
}

func matches(pattern, parts []string) bool {
	for i, part := range pattern {
		if part != parts[i] && !strings.HasPrefix(part, "{") {
			return false
		}
	}
	return true
}

func lastOf(reference string) string { return reference[strings.LastIndex(reference, "/")+1:] }

// TestEveryProblemIsDocumented holds the table of problems against openapi.yaml. The method that an address does not know
// is the only one that stands at no call.
func TestEveryProblemIsDocumented(t *testing.T) {
	document, err := readContract()
	require.NoError(t, err)
	var documented, known []string
	for _, answer := range document.Components.Responses {
		documented = append(documented, answer.Content["application/problem+json"].Schema.Properties.Type.Enum...)
	}
	for code, kind := range problems {
		if code != domain.CodeMethodNotAllowed {
			known = append(known, kind.name)
		}
	}
	assert.ElementsMatch(t, known, documented)
}
