package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

const (
	// liveInterval is how often those who watch are told what changed.
	liveInterval = time.Second
	// maxStreams bounds how many pages of this process are live at once, maxStreamsOfOne those of one session: a browser opens
	// six connections to one address, and those that stream must leave it some for its pages.
	maxStreams, maxStreamsOfOne = 64, 4
	// streamWriteTimeout is how long a browser may take to accept an event.
	streamWriteTimeout = 10 * time.Second
)

// liveEvent is what a page is told: parts of it, as HTML by the name of the place where they stand.
type liveEvent struct {
	At    time.Time         `json:"at"`
	Parts map[string]string `json:"parts"`
	// Home has the campaigns of the first page, so that it knows when another one belongs there.
	Home []string `json:"home"`
}

// liveHub makes one event a second while somebody watches, and gives it to all who do: a hundred open pages ask the
// stores no more than one.
type liveHub struct {
	// make makes an event, with these campaigns in addition to those that every event has.
	make func(ctx context.Context, campaigns []string) liveEvent

	mu      sync.Mutex
	streams map[*liveStream]struct{}
	stop    context.CancelFunc // ends the loop; nil while nobody watches
	closed  bool
	loops   sync.WaitGroup
}

// liveStream is one page that watches.
type liveStream struct {
	session string
	// campaigns are those that the page shows, as it says.
	campaigns []string
	events    chan []byte // holds the newest one; an older one that was not taken yet is dropped
	over      chan struct{}
	once      sync.Once
}

func (s *liveStream) end() { s.once.Do(func() { close(s.over) }) }

// offer replaces what the page has not taken yet.
func (s *liveStream) offer(event []byte) {
	select {
	case <-s.events:
	default:
	}
	select {
	case s.events <- event:
	default:
	}
}

func newLiveHub(makeEvent func(ctx context.Context, campaigns []string) liveEvent) *liveHub {
	return &liveHub{make: makeEvent, streams: map[*liveStream]struct{}{}}
}

// join adds a page. CodeOverloaded: there are too many already, or the server shuts down.
func (h *liveHub) join(session string, campaigns ...string) (*liveStream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for stream := range h.streams {
		if stream.session == session {
			own++
		}
	}
	if h.closed || len(h.streams) >= maxStreams || own >= maxStreamsOfOne {
		return nil, domain.Errorf(domain.CodeOverloaded, "Too many pages are live; close some of them.")
	}
	joined := &liveStream{session: session, campaigns: campaigns, events: make(chan []byte, 1), over: make(chan struct{})}
	h.streams[joined] = struct{}{}
	if h.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		h.stop = stop
		h.loops.Go(func() { h.run(ctx) })
	}
	return joined, nil
}

// leave takes a page away; the last one ends the loop.
func (h *liveHub) leave(stream *liveStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, stream)
	if len(h.streams) == 0 && h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// endSession ends the pages of a session that was logged out.
func (h *liveHub) endSession(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream := range h.streams {
		if stream.session == id {
			stream.end()
		}
	}
}

// close ends all pages, so that a shutdown needn't wait for their readers, and lets no new one in.
func (h *liveHub) close() {
	h.mu.Lock()
	h.closed = true
	for stream := range h.streams {
		stream.end()
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	h.mu.Unlock()
	h.loops.Wait()
}

func (h *liveHub) run(ctx context.Context) {
	ticker := time.NewTicker(liveInterval)
	defer ticker.Stop()
	for {
		h.runOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *liveHub) runOnce(ctx context.Context) {
	event, err := json.Marshal(h.make(ctx, h.wanted()))
	if err != nil || ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for stream := range h.streams {
		stream.offer(event)
	}
}

// wanted gives the campaigns that pages show, each once.
func (h *liveHub) wanted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for stream := range h.streams {
		all = append(all, stream.campaigns...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stream answers GET /console/live?campaign= with one event a second (text/event-stream), until the page goes, its session
// ends or the server shuts down. The server's limits on the time of one request don't hold here; each event has its own.
func (k *console) stream(c *gin.Context) {
	found, _ := c.Value(sessionKey).(session)
	joined, err := k.live.join(found.id, campaignsShown(c.QueryArray("campaign"))...)
	if err != nil {
		k.fail(c, err)
		return
	}
	defer k.live.leave(joined)
	control := http.NewResponseController(c.Writer)
	_ = control.SetReadDeadline(time.Time{}) // an error here and below shows at the next write
	c.Header("Content-Type", "text/event-stream")
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	expired := time.NewTimer(time.Until(found.expires))
	defer expired.Stop()
	for {
		select {
		case event := <-joined.events:
			_ = control.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
			if writeEvent(c.Writer, event) != nil || control.Flush() != nil {
				return
			}
		case <-c.Request.Context().Done():
			return
		case <-joined.over:
			return
		case <-expired.C:
			return
		}
	}
}

// campaignsShown are those that a page says it shows, as far as they can be codes, and no more than a page shows.
func campaignsShown(codes []string) []string {
	codes = codes[:min(len(codes), maxWatched)]
	return slices.DeleteFunc(codes, func(code string) bool { return domain.CheckCampaignCode(code) != nil })
}

// writeEvent writes JSON, which holds no line break, as one event.
func writeEvent(w http.ResponseWriter, event []byte) error {
	message := make([]byte, 0, len(event)+8)
	message = append(message, "data: "...)
	message = append(message, event...)
	message = append(message, "\n\n"...)
	_, err := w.Write(message)
	return err
}
