package main

import (
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is one connection between a process and a server, or between the applicants and an api, through a proxy that
// can disturb it.
type link struct {
	name  string
	proxy *toxiproxy.Proxy
}

// links make proxies that share one server without an API of its own.
type links struct {
	server *toxiproxy.ApiServer
	byName map[string]*link
}

func newLinks() *links {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	return &links{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), byName: map[string]*link{},
	}
}

func (l *links) open(name string, listen, upstream int) error {
	proxy := toxiproxy.NewProxy(l.server, name, address(listen), address(upstream))
	if err := proxy.Start(); err != nil {
		return fmt.Errorf("proxy %s: %w", name, err)
	}
	l.byName[name] = &link{name: name, proxy: proxy}
	return nil
}

func (l *links) close() {
	for _, one := range l.byName {
		one.proxy.Stop()
	}
}

// Directions of what passes a link, as seen from who opened the connection.
const (
	requests = "upstream"
	answers  = "downstream"
)

// disturb adds a toxic in some directions; its attributes are JSON.
func (l *link) disturb(kind, attributes string, directions ...string) error {
	for _, direction := range directions {
		text := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": {%s}}`, direction, kind, direction, attributes)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			return fmt.Errorf("link %s: %w", l.name, err)
		}
	}
	return nil
}

// cut refuses new connections and breaks those that are open; mend takes them again.
func (l *link) cut() { l.proxy.Stop() }

func (l *link) mend() error { return l.proxy.Start() }
