package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func newTestHub() *liveHub {
	return newLiveHub(func(context.Context, []string) liveEvent {
		return liveEvent{Parts: map[string]string{"alerts": "all is well"}}
	})
}

func TestOnePageOfASessionMoreThanTheLimitIsRefused(t *testing.T) {
	hub := newTestHub()
	defer hub.close()
	var joined []*liveStream
	for range maxStreamsOfOne {
		stream, err := hub.join("ann")
		require.NoError(t, err)
		joined = append(joined, stream)
	}
	_, err := hub.join("ann")
	require.Equal(t, domain.CodeOverloaded, domain.CodeOf(err))
	_, err = hub.join("bob")
	require.NoError(t, err, "another session has places of its own")
	hub.leave(joined[0])
	_, err = hub.join("ann")
	require.NoError(t, err, "a page that has gone leaves its place")
}

func TestOnePageMoreThanTheProcessTakesIsRefused(t *testing.T) {
	hub := newTestHub()
	for i := range maxStreams {
		_, err := hub.join(digits(int64(i)))
		require.NoError(t, err)
	}
	_, err := hub.join("late")
	require.Equal(t, domain.CodeOverloaded, domain.CodeOf(err))
	hub.close()
	hub = newTestHub()
	hub.close()
	_, err = hub.join("after the end")
	require.Equal(t, domain.CodeOverloaded, domain.CodeOf(err))
}

// While nobody watches, the stores are not asked; however many watch, they are asked once a second.
func TestTheStoresAreAskedOnceASecondAndOnlyWhileSomebodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		hub := newLiveHub(func(context.Context, []string) liveEvent { asked++; return liveEvent{} })
		defer hub.close()
		time.Sleep(time.Minute)
		require.Zero(t, asked)
		var streams []*liveStream
		for i := range 20 {
			stream, err := hub.join(digits(int64(i)))
			require.NoError(t, err)
			streams = append(streams, stream)
		}
		time.Sleep(10*time.Second + liveInterval/2)
		synctest.Wait()
		require.Equal(t, 11, asked)
		for _, stream := range streams {
			require.Len(t, stream.events, 1, "what was not taken is replaced by what is newer")
			hub.leave(stream)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 11, asked, "nobody watches any more")
	})
}

// slowReader is a browser that takes nothing: a write ends when the time that it may take is over.
type slowReader struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (r *slowReader) SetReadDeadline(time.Time) error { return nil }

func (r *slowReader) SetWriteDeadline(at time.Time) error {
	r.deadline = at
	return nil
}

func (r *slowReader) Write([]byte) (int, error) {
	if r.deadline.IsZero() {
		select {} // without end
	}
	<-time.After(time.Until(r.deadline))
	return 0, os.ErrDeadlineExceeded
}

func TestABrowserThatReadsNothingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		defer b.server.Close()
		operator := b.logIn(testToken)
		begin := time.Now()
		b.server.Handler().ServeHTTP(&slowReader{ResponseRecorder: httptest.NewRecorder()}, operator.liveRequest(t.Context()))
		assert.InDelta(t, streamWriteTimeout.Seconds(), time.Since(begin).Seconds(), 2)
		assert.Empty(t, b.server.console.live.streams, "its place is free")
	})
}

func (v visitor) liveRequest(ctx context.Context) *http.Request {
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/live", http.NoBody)
	request.AddCookie(&http.Cookie{Name: sessionCookie, Value: v.cookie})
	return request
}

// watch opens the stream and gives what it got when it has ended.
func (v visitor) watch(ctx context.Context) <-chan reply {
	ended := make(chan reply, 1)
	go func() {
		got := reply{ResponseRecorder: httptest.NewRecorder()}
		v.b.server.Handler().ServeHTTP(got, v.liveRequest(ctx))
		ended <- got
	}()
	return ended
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).withViewer().start()
		defer b.server.Close()
		ann, left := b.logIn(testToken), 10*time.Second
		_, cookie := b.server.console.sessions.begin(domain.Operator{Name: "vera", Role: domain.RoleViewer}, time.Now().Add(left-sessionLength))
		vera := visitor{b: b, cookie: cookie}
		first, second := ann.watch(t.Context()), vera.watch(t.Context())
		time.Sleep(2 * liveInterval)
		synctest.Wait()
		require.Len(t, b.server.console.live.streams, 2)
		ann.post("/console/logout", nil)
		got := <-first
		require.Equal(t, "text/event-stream", got.Header().Get("Content-Type"))
		require.Len(t, second, 0, "another session goes on")

		begin := time.Now()
		<-second
		assert.InDelta(t, (left - 2*liveInterval).Seconds(), time.Since(begin).Seconds(), 1.5, "a session is over after its time")
		assert.Empty(t, b.server.console.live.streams)
	})
}

func TestAStreamTellsThePartsOfThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.pipeline = func(context.Context) (PipelineView, error) {
			return PipelineView{Partitions: []PartitionLag{{Partition: 0, Committed: 5, End: 1239, Lag: 1234}}}, nil
		}
		b.start()
		defer b.server.Close()
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		ended := b.logIn(testToken).watch(ctx)
		time.Sleep(liveInterval / 2)
		leave()
		got := <-ended
		line, _, _ := strings.Cut(got.Body.String(), "\n\n")
		var event liveEvent
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &event))
		require.Subset(t, keysOf(event.Parts), []string{"alerts", "pipeline", "partitions", "consumers", "retryers", "campaign.spring"})
		assert.Contains(t, event.Parts["pipeline"], "1,234")
		assert.Contains(t, event.Parts["partitions"], "1,234", "the table says the same as the sum above it")
	})
}

func keysOf(parts map[string]string) []string {
	var keys []string
	for key := range parts {
		keys = append(keys, key)
	}
	return keys
}

// A page that is watched would never let a server end that waits for the end of its requests.
func TestAStopEndsTheStreams(t *testing.T) {
	b := newFixture(t)
	b.cfg.ShutdownTimeout = time.Minute
	b.start()
	operator, r := b.logIn(testToken), b.run()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/console/live", http.NoBody)
	require.NoError(t, err)
	request.AddCookie(&http.Cookie{Name: sessionCookie, Value: operator.cookie})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	reader := bufio.NewReader(response.Body)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "campaign.spring")

	begin := time.Now()
	r.stop()
	require.NoError(t, <-r.done)
	assert.Less(t, time.Since(begin), b.cfg.ShutdownTimeout/2)
	_, err = reader.ReadString('#')
	require.Error(t, err, "the stream has ended")
	require.Error(t, operator.joinError(), "nobody may watch any more")
}

func (v visitor) joinError() error {
	_, err := v.b.server.console.live.join("somebody")
	return err
}

// Many pages come and go while events are made; the race detector looks on.
func TestPagesComeAndGo(t *testing.T) {
	hub := newTestHub()
	defer hub.close()
	var pages sync.WaitGroup
	for i := range 16 {
		pages.Go(func() {
			for range 50 {
				stream, err := hub.join(digits(int64(i)))
				if assert.NoError(t, err) {
					hub.leave(stream)
				}
				hub.endSession("3")
			}
		})
	}
	for range 50 {
		hub.runOnce(t.Context())
	}
	pages.Wait()
	assert.Empty(t, hub.streams)
	assert.Nil(t, hub.stop, "the last page that goes ends the loop")
}
