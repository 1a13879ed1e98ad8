package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"firstcome/clockshift"
)

// replicatedFaults is the table of all faults of the replicated topology. One node, one broker and one database at a time
// is away: of three, two must be there.
var replicatedFaults = slices.Concat(processFaults, networkFaults(linkNames([]string{mysqlServer})), clusterFaults, brokerFaults,
	topicFaults, mysqlFaults, pairFaults, ownClockFaults, operatorFaults)

// What no two faults may touch at the same time.
const (
	wholeCluster = "the Redis Cluster"
	allBrokers   = "the brokers"
)

// brokerFaults lose nothing: each record is on two of three brokers before it counts.
var brokerFaults = []fault{
	{lasting("kill broker", 0, 12*time.Second, brokers...).occupying(allBrokers), killServer},
	{lasting("freeze broker", 300*time.Millisecond, 12*time.Second, brokers...).occupying(allBrokers), freezeServer},
	{lasting("restart brokers in turn", 0, time.Second, allBrokers), restartBrokers},
	{momentary("topic deleted", "topic").losing(kafkaServer).occupying(allBrokers), deleteTopic},
}

// restartBrokers is what an upgrade does: one broker after the other, each when the last one is back.
func restartBrokers(ctx context.Context, w *world, s step) (healing, error) {
	for _, broker := range brokers {
		if err := w.servers.run(ctx, "stop", broker); err != nil {
			return startAgain(w, broker), err
		}
		pause(ctx, s.For)
		if err := w.servers.run(ctx, "start", broker); err != nil {
			return startAgain(w, broker), err
		}
	}
	return nil, nil
}

// ownClockFaults set the clock of one of our processes ahead or back, and right again.
var ownClockFaults = []fault{
	{lasting("own clock ahead", time.Second, 12*time.Second, processNames...), shiftOwnClock(+1)},
	{lasting("own clock back", time.Second, 12*time.Second, processNames...), shiftOwnClock(-1)},
}

func shiftOwnClock(direction int) func(context.Context, *world, step) (healing, error) {
	return func(_ context.Context, w *world, s step) (healing, error) {
		seconds := s.between(1, 85)
		seconds *= seconds // 1 s to about two hours, the short ones more often
		shift := time.Duration(direction*seconds) * time.Second
		file := w.clockFile(s.Target)
		return func(context.Context) error { return clockshift.Set(file, 0) }, clockshift.Set(file, shift)
	}
}

// clockFile is from where a process reads how far its clock is shifted.
func (s *supervisor) clockFile(process string) string {
	return filepath.Join(s.folder, process+".clock")
}

// removeClocks deletes the files of the clocks, and what was built with.
func (s *supervisor) removeClocks() error {
	var errs []error
	names := []string{"time.go", "shift.go", "overlay.json"}
	for _, r := range roles {
		names = append(names, filepath.Base(s.clockFile(r.process)))
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(s.folder, name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// pairFaults are those of a database with a replica; those of its process touch it as a whole.
var pairFaults = []fault{
	{lasting("kill primary", 0, 4*time.Second, mysqlServer), onPrimary(killServer)},
	{lasting("freeze primary", 300*time.Millisecond, 12*time.Second, mysqlServer), onPrimary(freezeServer)},
	{lasting("switch-over", 0, 3*time.Second, mysqlServer), switchOver},
	// What operators do while commits are being lost would be lost as well, and is theirs to do again.
	{lasting("fail-over without the last commits", 500*time.Millisecond, 4*time.Second, mysqlServer).
		losing(mysqlServer).occupying("campaign", "coupons", "throttle"), failOver},
}

func onPrimary(strike func(context.Context, *world, step) (healing, error)) func(context.Context, *world, step) (healing, error) {
	return func(ctx context.Context, w *world, s step) (healing, error) {
		s.Target = w.servers.primary
		return strike(ctx, w, s)
	}
}

func (s *servers) pairPort(name string) int { return s.ports["PAIR"] + slices.Index(pairNames, name) }

func otherOfPair(name string) string {
	return pairNames[1-slices.Index(pairNames, name)]
}

// switchOver is planned: the old primary takes no writes any more, the replica has everything, and then the address
// moves. The old one stays alive, and so do the connections to it.
func switchOver(ctx context.Context, w *world, _ step) (healing, error) {
	was, will := w.servers.primary, otherOfPair(w.servers.primary)
	if err := w.execute(ctx, "SET GLOBAL super_read_only = ON"); err != nil {
		return w.executeAtLast("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"), err
	}
	return func(ctx context.Context) error {
		if err := w.caughtUp(ctx, will); err != nil {
			return errors.Join(err, w.execute(ctx, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"))
		}
		if err := w.servers.run(ctx, "lead", will); err != nil {
			return err
		}
		w.servers.moveTo(will)
		return w.servers.run(ctx, "follow", was)
	}, nil
}

// moveTo lets the address point at another primary.
func (s *servers) moveTo(primary string) {
	s.primary = primary
	s.moving.point(s.pairPort(primary))
}

// caughtUp waits until the replica has every transaction of the primary.
func (w *world) caughtUp(ctx context.Context, replica string) error {
	var done string
	if err := w.database.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&done); err != nil {
		return err
	}
	return w.onDatabase(ctx, replica, func(ctx context.Context, database *sql.DB) error {
		var late int
		if err := database.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 20)", done).Scan(&late); err != nil {
			return err
		}
		if late != 0 {
			return fmt.Errorf("%s has not caught up within 20 s", replica)
		}
		return nil
	})
}

// onDatabase asks one of the pair, wherever the address points.
func (w *world) onDatabase(ctx context.Context, name string, ask func(context.Context, *sql.DB) error) error {
	database, err := sql.Open("mysql", mysqlDSN(w.servers.pairPort(name), w.name)+"?timeout=5s&readTimeout=30s&writeTimeout=10s")
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	return ask(ctx, database)
}

// failOver lets the replica fall behind, ends the primary, and goes on with the replica: what was committed meanwhile is
// lost. The old primary comes back as a copy of the new one.
func failOver(ctx context.Context, w *world, _ step) (healing, error) {
	was, will := w.servers.primary, otherOfPair(w.servers.primary)
	err := w.onDatabase(ctx, will, func(ctx context.Context, database *sql.DB) error {
		_, err := database.ExecContext(ctx, "STOP SLAVE")
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := errors.Join(w.servers.run(ctx, "kill", was), w.servers.run(ctx, "lead", will)); err != nil {
			return err
		}
		w.servers.moveTo(will)
		return w.servers.run(ctx, "join", was)
	}, nil
}
