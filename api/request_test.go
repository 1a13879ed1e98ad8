package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestBadBodiesAreAnsweredWithAProblemThatNamesTheField(t *testing.T) {
	b := newFixture(t).start()
	for body, field := range badBodies {
		request := newRequest(http.MethodPost, "/v1/campaigns/spring/apply", body)
		request.Header.Set("Content-Type", "application/json")
		got := b.do(request)
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, field, got.body["field"], "%q", body)
	}
	assert.Empty(t, b.gate.Called(), "a bad body must not reach the gate")
}

func TestABodyAtTheLimitIsReadAndOneByteMoreIsRefused(t *testing.T) {
	b := newFixture(t)
	b.cfg.MaxBodyBytes = 100
	b.start()
	fill := func(size int) string { return `{"user_id":1` + strings.Repeat(" ", size-13) + `}` }
	apply := func(body io.Reader) reply {
		request := httptest.NewRequest(http.MethodPost, "/apply-coupon", body)
		request.Header.Set("Content-Type", "application/json")
		return b.do(request)
	}
	assert.Equal(t, http.StatusAccepted, apply(strings.NewReader(fill(100))).Code)
	assert.Equal(t, http.StatusOK, apply(io.MultiReader(strings.NewReader(fill(100)))).Code, "without a stated length")
	got := apply(strings.NewReader(fill(101)))
	requireProblem(t, got, 413, domain.CodeBodyTooLarge)
	assert.Equal(t, "body", got.body["field"])
	requireProblem(t, apply(io.MultiReader(strings.NewReader(fill(101)))), 413, domain.CodeBodyTooLarge)
}

func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	b := newFixture(t).start()
	unread := strings.NewReader(strings.Repeat(" ", 2<<20))
	request := httptest.NewRequest(http.MethodPost, "/apply-coupon", unread)
	request.Header.Set("Content-Type", "application/json")
	requireProblem(t, b.do(request), 413, domain.CodeBodyTooLarge)
	assert.Equal(t, 2<<20, unread.Len())
}

func TestABodyOfTwoMegabytesIsRefusedOverARealConnection(t *testing.T) {
	b := newFixture(t).start()
	server := httptest.NewServer(b.server.Handler())
	defer server.Close()
	for name, body := range map[string]io.Reader{
		"stated length": bytes.NewReader(make([]byte, 2<<20)),
		"chunked":       io.MultiReader(bytes.NewReader(make([]byte, 2<<20))),
	} {
		t.Run(name, func(t *testing.T) {
			response, err := server.Client().Post(server.URL+"/v1/campaigns/spring/apply", "application/json", body)
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
			assert.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
		})
	}
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	b := newFixture(t).start()
	request := httptest.NewRequest(http.MethodPost, "/apply-coupon", io.MultiReader(strings.NewReader(`{"user_id":1}`), brokenReader{}))
	request.Header.Set("Content-Type", "application/json")
	requireProblem(t, b.do(request), 400, domain.CodeInvalidRequest)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestOnlyJSONIsTaken(t *testing.T) {
	b := newFixture(t).start()
	post := func(contentTypes ...string) reply {
		request := newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id":1}`)
		request.Header["Content-Type"] = contentTypes
		return b.do(request)
	}
	for _, good := range []string{
		"application/json", "application/json; charset=utf-8", `application/json;charset="UTF-8"`,
		"Application/JSON", "application/json; profile=x",
	} {
		assert.Less(t, post(good).Code, 300, good)
	}
	for _, bad := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/problem+json",
		"application/json; charset=latin1", "application/json; charset", "application",
	} {
		requireProblem(t, post(bad), 415, domain.CodeUnsupportedMedia)
	}
	requireProblem(t, post(), 415, domain.CodeUnsupportedMedia)
	requireProblem(t, post("application/json", "text/plain"), 415, domain.CodeUnsupportedMedia)
}

func TestWrongMethodsAndAddressesAreProblems(t *testing.T) {
	b := newFixture(t).start()
	for path, allow := range map[string]string{
		"/v1/campaigns/spring/apply":      "POST",
		"/apply-coupon":                   "POST",
		"/v1/campaigns/spring":            "GET",
		"/v1/campaigns/spring/coupons/42": "GET",
	} {
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
			got := b.do(newRequest(method, path, ""))
			requireProblem(t, got, 405, domain.CodeMethodNotAllowed)
			assert.Equal(t, allow, got.Header().Get("Allow"), path)
		}
	}
	for _, path := range []string{"/", "/nothing", "/v1", "/v1/campaigns", "/v1/campaigns/spring/", "/apply-coupon/", "/V1/campaigns/spring"} {
		requireProblem(t, b.get(path), 404, domain.CodeNotFound)
	}
	for _, code := range []string{"autumn", "SPRING", "%20", "a%2fb", "-x", "%ff"} {
		got := b.do(newRequest(http.MethodPost, "/v1/campaigns/"+code+"/apply", `{"user_id":1}`))
		require.Equal(t, http.StatusNotFound, got.Code, code)
		assert.Equal(t, "application/problem+json", got.Header().Get("Content-Type"), code)
	}
	requireProblem(t, b.do(newRequest(http.MethodPost, "/v1/campaigns/autumn/apply", `{"user_id":1}`)), 404, domain.CodeUnknownCampaign)
	assert.Empty(t, b.gate.Called())
}

func TestAPanicIsAProblemAndTheServerGoesOn(t *testing.T) {
	b := newFixture(t)
	b.queue.Publishing = func(_ context.Context, _ domain.Winner) error { panic("a defect with 10.0.0.7 in it") }
	b.start()
	requireProblem(t, b.apply("42"), 500, domain.CodeInternal)
	assert.Contains(t, b.log.String(), "a defect")
	assert.Equal(t, http.StatusOK, b.get("/healthz").Code)
	assert.Contains(t, b.get("/metrics").Body.String(), `route="/v1/campaigns/:code/apply",status="500"} 1`)
}

func TestAbortedHandlersReachTheServer(t *testing.T) {
	b := newFixture(t).start()
	engine := gin.New()
	engine.Use(b.server.recoverPanic)
	engine.GET("/", func(*gin.Context) { panic(http.ErrAbortHandler) })
	assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() {
		engine.ServeHTTP(httptest.NewRecorder(), newRequest(http.MethodGet, "/", ""))
	})
}

func TestStrangeAddressesMakeNoNewMetrics(t *testing.T) {
	b := newFixture(t).start()
	b.get("/a-scanner-was-here")
	b.do(newRequest("BREW", "/v1/campaigns/spring", ""))
	metrics := b.get("/metrics").Body.String()
	assert.NotContains(t, metrics, "scanner")
	assert.NotContains(t, metrics, "BREW")
	assert.Contains(t, metrics, `firstcome_http_requests_total{method="any",route="unmatched",status="404"} 1`)
	assert.Contains(t, metrics, `firstcome_http_requests_total{method="any",route="unmatched",status="405"} 1`)
}

func TestPagesOfConfiguredOriginsMayCall(t *testing.T) {
	preflight := func(b *fixture, origin string) reply {
		request := newRequest(http.MethodOptions, "/v1/campaigns/spring/apply", "")
		request.Header.Set("Origin", origin)
		request.Header.Set("Access-Control-Request-Method", "POST")
		return b.do(request)
	}
	exact := newFixture(t)
	exact.cfg.CORSOrigins = []string{"https://shop.example"}
	exact.start()
	got := preflight(exact, "https://shop.example")
	require.Equal(t, http.StatusNoContent, got.Code)
	assert.Equal(t, "https://shop.example", got.Header().Get("Access-Control-Allow-Origin"))
	assert.Contains(t, got.Header().Get("Access-Control-Allow-Methods"), "POST")
	assert.Contains(t, got.Header().Get("Access-Control-Allow-Headers"), "Content-Type")
	assert.Equal(t, "Origin", got.Header().Get("Vary"))
	assert.Empty(t, got.Header().Get("Access-Control-Allow-Credentials"))
	for _, stranger := range []string{"https://shop.example.evil.example", "http://shop.example", "null"} {
		got := preflight(exact, stranger)
		assert.Equal(t, http.StatusMethodNotAllowed, got.Code)
		assert.Empty(t, got.Header().Get("Access-Control-Allow-Origin"), stranger)
	}
	request := newRequest(http.MethodGet, "/v1/campaigns/spring", "")
	request.Header.Set("Origin", "https://shop.example")
	got = exact.do(request)
	assert.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "https://shop.example", got.Header().Get("Access-Control-Allow-Origin"))

	all := newFixture(t)
	all.cfg.CORSOrigins = []string{"*"}
	assert.Equal(t, "*", preflight(all.start(), "https://anybody.example").Header().Get("Access-Control-Allow-Origin"))
	assert.Equal(t, http.StatusMethodNotAllowed, preflight(newFixture(t).start(), "https://anybody.example").Code)
}
