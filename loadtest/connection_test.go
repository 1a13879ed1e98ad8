package loadtest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// postsTo opens a connection to a server that handles every request in the given way.
func postsTo(t *testing.T, handle http.HandlerFunc) (way *connection, opened *atomic.Int64) {
	t.Helper()
	opened = new(atomic.Int64)
	server := httptest.NewUnstartedServer(handle)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	to, err := newTarget(server.URL, "welcome")
	require.NoError(t, err)
	way = newConnection(to, 5*time.Second)
	t.Cleanup(way.close)
	return way, opened
}

func TestAConnectionIsUsedAgainAfterEachKindOfAnswer(t *testing.T) {
	t.Parallel()
	way, opened := postsTo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(strings.Repeat("x", int(r.ContentLength))))
		if r.ContentLength%2 == 0 {
			w.(http.Flusher).Flush() // the answer comes in chunks
		}
	})
	for size := range 20 {
		got, err := way.post(t.Context(), make([]byte, size))
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.Equal(t, "7", got.retryAfter)
		assert.Len(t, got.body, size)
	}
	assert.EqualValues(t, 1, opened.Load())
}

func TestWhatIsNotReadToItsEndIsNotReadAsTheNextAnswer(t *testing.T) {
	t.Parallel()
	way, opened := postsTo(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", 3*maxReplyBytes)))
	})
	for range 2 {
		got, err := way.post(t.Context(), nil)
		require.NoError(t, err)
		assert.Len(t, got.body, maxReplyBytes)
	}
	assert.EqualValues(t, 2, opened.Load())
}

func TestAnAnswerThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	way, _ := postsTo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"status":"accepted"}`))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := way.post(t.Context(), nil)
	require.Error(t, err)
}

func TestAServerThatHangsUpIsDialledAgain(t *testing.T) {
	t.Parallel()
	way, opened := postsTo(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	for range 3 {
		_, err := way.post(t.Context(), nil)
		require.NoError(t, err)
	}
	assert.EqualValues(t, 3, opened.Load())
}
