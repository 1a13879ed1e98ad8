package api

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

func TestHealthSaysTheVersion(t *testing.T) {
	got := newFixture(t).start().get("/healthz")
	assert.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `{"status":"ok","version":"1.2.3"}`, got.Body.String())
}

func TestOnlyARequiredDependencyTakesTheServerOut(t *testing.T) {
	fails := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for name, c := range map[string]struct {
		redis, database error
		status          int
		want            string
	}{
		"all well": {nil, nil, 200, `{"status":"ready","checks":[
			{"name":"campaigns","required":true,"status":"ok"},
			{"name":"redis","required":true,"status":"ok"},
			{"name":"database","required":false,"status":"ok"}]}`},
		"the database is away": {nil, domain.Wrap(domain.CodeUnavailable, errDriver, "the database is away"), 200, `{"status":"ready","checks":[
			{"name":"campaigns","required":true,"status":"ok"},
			{"name":"redis","required":true,"status":"ok"},
			{"name":"database","required":false,"status":"failed","error":"unavailable: the database is away"}]}`},
		"redis is away": {errDriver, nil, 503, `{"status":"unavailable","checks":[
			{"name":"campaigns","required":true,"status":"ok"},
			{"name":"redis","required":true,"status":"failed","error":"failed; the log says why"},
			{"name":"database","required":false,"status":"ok"}]}`},
		"redis does not answer": {context.DeadlineExceeded, nil, 503, `{"status":"unavailable","checks":[
			{"name":"campaigns","required":true,"status":"ok"},
			{"name":"redis","required":true,"status":"failed","error":"no answer in time"},
			{"name":"database","required":false,"status":"ok"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			b.checks = []Check{
				{Name: "redis", Required: true, Ping: fails(c.redis)},
				{Name: "database", Ping: fails(c.database)},
			}
			b.start()
			assert.Equal(t, http.StatusOK, b.get("/v1/campaigns/spring").Code, "the campaigns are read now")
			got := b.get("/readyz")
			assert.Equal(t, c.status, got.Code)
			assert.JSONEq(t, c.want, got.Body.String())
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		})
	}
}

func TestWarningsAreShownAndMakeNobodyUnready(t *testing.T) {
	b := newFixture(t)
	b.warnings = func() []domain.StoreWarning {
		return []domain.StoreWarning{{Store: "redis", Text: "appendonly is no"}}
	}
	b.start()
	assert.Equal(t, http.StatusOK, b.get("/v1/campaigns/spring").Code, "the campaigns are read now")
	got := b.get("/readyz")
	assert.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `{"status":"ready","checks":[{"name":"campaigns","required":true,"status":"ok"}],
		"warnings":[{"store":"redis","text":"appendonly is no"}]}`, got.Body.String())
}
