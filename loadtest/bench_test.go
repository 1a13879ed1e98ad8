package loadtest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkClosedLoop measures what the generator itself can send: client and server share the machine, and the
// server does nothing but answer.
func BenchmarkClosedLoop(b *testing.B) {
	body := []byte(`{"type":"urn:firstcome:problem:sold-out","title":"Sold out","status":409}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write(body)
	}))
	defer server.Close()
	cfg := Config{BaseURL: server.URL, Users: b.N, Concurrency: 64}.withDefaults()
	sender, err := newApplicant(cfg, "welcome", newRecorder())
	if err != nil {
		b.Fatal(err)
	}
	users := shuffledUsers(cfg)
	b.ReportAllocs()
	b.ResetTimer()
	send(b.Context(), sender, users, cfg)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
