package loadtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"firstcome/domain"
)

// target is where applications go, with all of a request but the body's length and the body.
type target struct {
	address string
	// tls is nil for http.
	tls  *tls.Config
	head []byte
}

func newTarget(base, code string) (target, error) {
	to, err := url.Parse(base + "/v1/campaigns/" + url.PathEscape(code) + "/apply")
	if err != nil {
		return target{}, domain.Invalid("base_url", "%v", err)
	}
	found := target{head: []byte("POST " + to.EscapedPath() + " HTTP/1.1\r\nHost: " + to.Host +
		"\r\nUser-Agent: firstcome-loadtest\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: ")}
	port := to.Port()
	if to.Scheme == "https" {
		found.tls = &tls.Config{ServerName: to.Hostname(), MinVersion: tls.VersionTLS12}
		port = orDefault(port, "443")
	}
	found.address = net.JoinHostPort(to.Hostname(), orDefault(port, "80"))
	return found, nil
}

const (
	// maxReplyBytes bounds how much of an answer is looked at; a winner's body has about 150 bytes.
	maxReplyBytes = 8 << 10
	// maxIdle is how long a connection may have been unused and still be trusted: less than servers keep it.
	maxIdle = 20 * time.Second
)

// connection is one worker's, kept open from application to application. It sends what net/http would send, in one
// piece, without the two goroutines and the hand-overs that cost net/http's client more than the request itself: the
// generator shares its machine with the server. It follows no redirect, keeps no cookie and knows no proxy.
type connection struct {
	to      target
	timeout time.Duration
	conn    net.Conn
	reader  *bufio.Reader
	used    time.Time
	// unwatch ends the watch on the run's context.
	unwatch func() bool
	request []byte
	body    [maxReplyBytes]byte
}

func newConnection(to target, timeout time.Duration) *connection {
	return &connection{to: to, timeout: timeout}
}

// post sends one application and reads the answer, whose body is valid until the next call. After an error the
// connection is another one: what was sent on it may still be answered.
func (c *connection) post(ctx context.Context, application []byte) (reply, error) {
	if c.conn != nil && time.Since(c.used) > maxIdle {
		c.close()
	}
	deadline := time.Now().Add(c.timeout)
	got, err := c.exchange(ctx, deadline, application)
	c.used = time.Now()
	if err != nil {
		c.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return got, err
}

func (c *connection) exchange(ctx context.Context, deadline time.Time, application []byte) (reply, error) {
	if c.conn == nil {
		if err := c.dial(ctx, deadline); err != nil {
			return reply{}, err
		}
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return reply{}, err
	}
	if err := ctx.Err(); err != nil { // the watch may have come before the deadline that was just set
		return reply{}, err
	}
	c.request = append(c.request[:0], c.to.head...)
	c.request = strconv.AppendInt(c.request, int64(len(application)), 10)
	c.request = append(append(c.request, "\r\n\r\n"...), application...)
	if _, err := c.conn.Write(c.request); err != nil {
		return reply{}, err
	}
	return c.read()
}

func (c *connection) dial(ctx context.Context, deadline time.Time) error {
	conn, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", c.to.address)
	if err != nil {
		return err
	}
	if c.to.tls != nil {
		conn = tls.Client(conn, c.to.tls)
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	c.unwatch = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return nil
}

func (c *connection) read() (reply, error) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	size, err := io.ReadFull(response.Body, c.body[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return reply{}, err
	}
	if err == nil || response.Close { // more came than is looked at, or the server hangs up
		c.close()
	} else if int64(size) < response.ContentLength {
		return reply{}, io.ErrUnexpectedEOF
	}
	return reply{status: response.StatusCode, body: c.body[:size], retryAfter: response.Header.Get("Retry-After")}, nil
}

func (c *connection) close() {
	if c.conn == nil {
		return
	}
	c.unwatch()
	_ = c.conn.Close()
	c.conn = nil
}

// unanswered is the answer of a server that gave none: the application may have had its effect.
func unanswered(user domain.UserID, err error) Answer {
	answer := Answer{UserID: user, Outcome: Unknown, Code: codeConnection}
	var network net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &network) && network.Timeout()) {
		answer.Code = codeTimeout
	}
	if errors.Is(err, context.Canceled) {
		answer.Code = codeCancelled
	}
	return answer
}
