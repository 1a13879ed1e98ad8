package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
)

// answer is one that firstcome gave, for the server that does nothing to repeat.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// serve is this program as one of the servers to compare with, until the context ends.
func serve(ctx context.Context, o options) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/healthz", func(c *gin.Context) { c.Status(http.StatusOK) })
	switch o.serve {
	case nothingProcess:
		if err := addNothing(engine, o.answers); err != nil {
			return err
		}
	case plainProcess:
		end, err := addPlain(engine)
		if err != nil {
			return err
		}
		defer end()
	case plainConsumerProcess:
		return runPlainConsumer(ctx, o, engine)
	case singleProcess:
		return serveSingle(ctx, o)
	case slowedProcess:
		return serveSlowed(ctx, o)
	default:
		return fmt.Errorf("there is no server %q", o.serve)
	}
	return listenAndServe(ctx, o.address, engine)
}

// addNothing answers what firstcome has answered, after reading the application: what the HTTP server alone costs.
func addNothing(engine *gin.Engine, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	answers := map[string]answer{}
	if err := json.Unmarshal(content, &answers); err != nil {
		return err
	}
	engine.POST("/v1/campaigns/:code/apply", func(c *gin.Context) {
		given, known := answers[c.Param("code")]
		if _, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)); err != nil || !known {
			c.Status(http.StatusBadRequest)
			return
		}
		header := c.Writer.Header()
		for name, values := range given.Header {
			header[name] = values
		}
		c.Status(given.Status)
		_, _ = c.Writer.Write(given.Body)
	})
	return nil
}

// maxBody is the limit that firstcome has.
const maxBody = 4 << 10

// listenAndServe has the limits of firstcome's own server.
func listenAndServe(ctx context.Context, address string, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 25 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(stopping)
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
