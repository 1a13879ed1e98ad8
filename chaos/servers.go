package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Names of the servers, as docker/servers.sh knows them.
const (
	redisServer = "redis"
	kafkaServer = "kafka"
	mysqlServer = "mysql"
)

// servers are the real ones of one supervisor, started and broken by docker/servers.sh on ports of their own.
type servers struct {
	topology        topology
	program, folder string
	variables       []string
	// ports are the first ones of each setting for ports.
	ports map[string]int
	// moving leads to the primary of a pair of databases, of which primary is the name; nil without a pair.
	moving  *movingAddress
	primary string
}

// diskSize is how large the database's disk is: small enough to be filled in a moment.
const diskSize = "400m"

// serverTimeout bounds one call of the script, which waits for a server that starts as long as its log grows.
const serverTimeout = 10 * time.Minute

// newServers prepares the folder, with the data of a single database on a small disk and with a clock file for each server
// whose clock can be shifted. proxied are the pairs of ports for FIRSTCOME_SERVERS_KAFKA_PROXIED.
func newServers(root, folder string, ports *portBlock, t topology, proxied []string) (*servers, error) {
	s := &servers{topology: t, program: filepath.Join(root, "docker", "servers.sh"), folder: folder, ports: map[string]int{}}
	s.variables = append(os.Environ(), "FIRSTCOME_SERVERS=native", "FIRSTCOME_SERVERS_FOLDER="+folder,
		"FIRSTCOME_SERVERS_CLOCKS="+s.clocks(), "FIRSTCOME_SERVERS_KAFKA_PROXIED="+strings.Join(proxied, " "),
		"FIRSTCOME_SERVERS_KAFKA_HEAP=384m")
	for setting, count := range t.portsOf() {
		s.ports[setting] = ports.takeRow(count)
		s.variables = append(s.variables, fmt.Sprintf("FIRSTCOME_SERVERS_%s_PORT=%d", setting, s.ports[setting]))
	}
	if err := errors.Join(os.MkdirAll(s.disk(), 0o755), os.MkdirAll(s.clocks(), 0o755)); err != nil {
		return nil, err
	}
	if t.pair {
		var err error
		s.primary = pairNames[0]
		s.moving, err = openMovingAddress(ports.take(), s.pairPort(s.primary))
		return s, err
	}
	for _, name := range []string{redisServer, mysqlServer} {
		if err := s.shiftClock(name, 0); err != nil {
			return nil, err
		}
	}
	err := s.mountDisk()
	return s, err
}

func (s *servers) disk() string   { return filepath.Join(s.folder, mysqlServer) }
func (s *servers) clocks() string { return filepath.Join(s.folder, "clocks") }

// nobody is the user that the servers run as when the supervisor is root.
const nobody = 65534

func (s *servers) mountDisk() error {
	if err := mountSmallDisk(s.disk(), diskSize); err != nil {
		return fmt.Errorf("a small disk for the database needs root and the right to mount: %w", err)
	}
	return os.Chown(s.disk(), nobody, nobody)
}

// run calls the script with a verb for some servers.
func (s *servers) run(ctx context.Context, verb string, names ...string) error {
	_, err := s.call(ctx, verb, names...)
	return err
}

// call gives what the script prints as well.
func (s *servers) call(ctx context.Context, verb string, names ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, s.program, append([]string{verb}, names...)...)
	command.Env = s.variables
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("servers.sh %s %v: %w: %s", verb, names, err, output)
	}
	return string(output), nil
}

// shiftClock sets a server's clock ahead, or back, within about a second.
func (s *servers) shiftClock(name string, seconds int) error {
	return os.WriteFile(filepath.Join(s.clocks(), name), fmt.Appendf(nil, "%+d\n", seconds), 0o644) //nolint:gosec // read by the server's user
}

// copyLogs keeps the servers' logs with those of a run; what cannot be copied is missing there.
func (s *servers) copyLogs(folder string) {
	for _, name := range s.topology.servers {
		if content, err := os.ReadFile(filepath.Join(s.folder, name+".log")); err == nil {
			_ = os.WriteFile(filepath.Join(folder, name+".log"), content, 0o644) //nolint:gosec // nothing secret
		}
	}
}

// remove ends the servers and deletes all that they stored.
func (s *servers) remove() error {
	err := s.run(context.Background(), "kill", s.topology.servers...)
	if s.moving != nil {
		s.moving.close()
		return errors.Join(err, os.RemoveAll(s.folder))
	}
	return errors.Join(err, unmountDisk(s.disk()), os.RemoveAll(s.folder))
}
