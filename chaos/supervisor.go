package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firstcome/clockshift"
)

// supervisor owns what the runs of one call share: the ports, the servers, the proxies and the built program.
type supervisor struct {
	topology     topology
	root, folder string
	binary       string
	// commit is the state of the code, as git tells it.
	commit  string
	ports   *portBlock
	servers *servers
	links   *links
	// httpPorts are those of the processes, by name.
	httpPorts map[string]int
	// linkPorts are where a process finds a server, by the link's name.
	linkPorts map[string]int
}

// role is what a process does; of each there are two, so that one can stand still while the other goes on.
type role struct{ process, role string }

var roles = []role{
	{"api1", "api"}, {"api2", "api"}, {"consumer1", "consumer"}, {"consumer2", "consumer"},
	{"retryer1", "retryer"}, {"retryer2", "retryer"},
}

var apiNames = []string{"api1", "api2"}

// linkName names the connection of a process to a server.
func linkName(process, server string) string { return process + "-" + server }

// clientLink names the applicants' connection to an api.
func clientLink(api string) string { return "applicants-" + api }

// linkNames are all connections that can be disturbed, where processes reach these servers through proxies.
func linkNames(linked []string) []string {
	var names []string
	for _, r := range roles {
		for _, server := range linked {
			names = append(names, linkName(r.process, server))
		}
	}
	for _, api := range apiNames {
		names = append(names, clientLink(api))
	}
	return names
}

// newSupervisor builds the program and starts servers and proxies. Only close undoes it, also after an error.
func newSupervisor(ctx context.Context, root string, o options) (*supervisor, error) {
	s := &supervisor{
		root: root, links: newLinks(), httpPorts: map[string]int{}, linkPorts: map[string]int{},
	}
	var err error
	if s.topology, err = topologyNamed(o.world); err != nil {
		return s, err
	}
	if s.folder, err = os.MkdirTemp("", "firstcome-chaos"); err != nil {
		return s, err
	}
	if err := os.Chmod(s.folder, 0o755); err != nil { //nolint:gosec // the servers' user passes through it
		return s, err
	}
	if s.ports, err = reservePorts(o.firstPort); err != nil {
		return s, err
	}
	if err := s.build(ctx, o.race); err != nil {
		return s, err
	}
	behind := s.assignPorts()
	if s.servers, err = newServers(root, filepath.Join(s.folder, "servers"), s.ports, s.topology, behind.pairs()); err != nil {
		return s, err
	}
	if err := s.openLinks(behind); err != nil {
		return s, err
	}
	return s, s.servers.run(ctx, "up", s.topology.servers...)
}

func (s *supervisor) build(ctx context.Context, race bool) error {
	s.binary = filepath.Join(s.folder, "firstcome")
	arguments := []string{"build", "-o", s.binary}
	if race {
		arguments = append(arguments, "-race")
	}
	if s.topology.shiftedClocks {
		overlay, err := clockshift.Overlay(ctx, s.folder)
		if err != nil {
			return err
		}
		arguments = append(arguments, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(arguments, ".")...)
	command.Dir = s.root
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building firstcome: %w: %s", err, output)
	}
	s.commit = describe(ctx, s.root)
	return nil
}

// describe names the commit, and "-dirty" if the code differs from it; "unknown" where there is no git.
func describe(ctx context.Context, root string) string {
	command := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(output))
}

// listener is a port of Kafka's for one process, and the proxy's port that it sends clients to.
type listener struct {
	process       string
	port, proxied int
}

type listeners []listener

func (l listeners) pairs() []string {
	pairs := make([]string, len(l))
	for i, one := range l {
		pairs[i] = fmt.Sprintf("%d:%d", one.port, one.proxied)
	}
	return pairs
}

// assignPorts gives each process, link and listener its ports.
func (s *supervisor) assignPorts() listeners {
	for _, name := range linkNames(s.topology.linked) {
		s.linkPorts[name] = s.ports.take()
	}
	var behind listeners
	for _, r := range roles {
		s.httpPorts[r.process] = s.ports.take()
		if slices.Contains(s.topology.linked, kafkaServer) {
			behind = append(behind, listener{r.process, s.ports.take(), s.linkPorts[linkName(r.process, kafkaServer)]})
		}
	}
	return behind
}

func (s *supervisor) openLinks(behind listeners) error {
	var errs []error
	open := func(name string, upstream int) { errs = append(errs, s.links.open(name, s.linkPorts[name], upstream)) }
	for _, r := range roles {
		if slices.Contains(s.topology.linked, redisServer) {
			open(linkName(r.process, redisServer), s.servers.ports["REDIS"])
		}
		open(linkName(r.process, mysqlServer), s.servers.direct().mysqlPort)
	}
	for _, one := range behind {
		open(linkName(one.process, kafkaServer), one.port)
	}
	for _, api := range apiNames {
		open(clientLink(api), s.httpPorts[api])
	}
	return errors.Join(errs...)
}

// mysqlDSN is the database at a port.
func mysqlDSN(port int, database string) string {
	return fmt.Sprintf("firstcome:firstcome@tcp(%s)/%s", address(port), database)
}

// close ends everything and deletes it, but for the folders of runs that found a difference.
func (s *supervisor) close() error {
	s.links.close()
	var errs []error
	if s.servers != nil {
		errs = append(errs, s.servers.remove())
	}
	if s.ports != nil {
		s.ports.release()
	}
	if s.binary != "" {
		errs = append(errs, os.Remove(s.binary), s.removeClocks())
	}
	if s.folder != "" {
		_ = os.Remove(s.folder) // stays when a run's folder is in it
	}
	return errors.Join(errs...)
}

// stopPatience is how long a process may take to stop in an orderly way: its own limit and some time more.
const stopPatience = 30 * time.Second
