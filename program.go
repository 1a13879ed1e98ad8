package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"firstcome/api"
	"firstcome/consumer"
	"firstcome/funnel"
	"firstcome/retryer"
)

// The roles of a process.
const (
	roleAPI      = "api"
	roleConsumer = "consumer"
	roleRetryer  = "retryer"
)

// program is one process of firstcome: its roles on their stores. Tests run it as the commands do.
type program struct {
	config   Config
	tools    instruments
	stores   *stores
	server   *api.Server
	consumer *consumer.Consumer
	retryer  *retryer.Retryer
	// auditor answers operators. It is the retryer, or where that role runs elsewhere one that does nothing else.
	auditor *retryer.Retryer
	// funnel counts what becomes of applications, for operators.
	funnel *funnel.Counters
	heart  *heart
	// warnings asks the stores what promises depend on.
	warnings *warningWatch
	// disk watches the folder of embedded servers; nil with real ones.
	disk *diskWatch
}

// newRegistry gives a registry that also reports on the process and the Go runtime.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// newProgram opens the stores and makes the roles that the configuration names. Nothing runs yet.
func newProgram(config Config, at addresses) (*program, error) {
	p := &program{config: config, tools: instruments{registry: newRegistry(), logger: config.logger()}}
	var err error
	if p.stores, err = openStores(config, at, p.tools); err != nil {
		return nil, err
	}
	p.heart = newHeart()
	if at.folder != "" {
		p.disk = newDiskWatch(at.folder, p.tools.logger)
	}
	p.funnel = funnel.New(p.stores.ledger, p.tools.logger)
	if err = p.makeRoles(); err != nil {
		return nil, errors.Join(err, p.stores.close())
	}
	return p, nil
}

func (p *program) makeRoles() error {
	var err error
	p.warnings, err = newWarningWatch([]watchedStore{
		{"redis", p.stores.gate}, {"kafka", p.stores.tail}, {"database", p.stores.ledger},
	}, p.tools)
	if err != nil {
		return err
	}
	if p.config.hasRole(roleConsumer) {
		if p.consumer, err = consumer.New(p.consumerConfig(), p.consumerPorts(), p.tools.registry, p.tools.logger); err != nil {
			return err
		}
	}
	if p.config.hasRole(roleRetryer) {
		if p.retryer, err = retryer.New(p.retryerConfig(), p.retryerPorts(), p.tools.registry, p.tools.logger); err != nil {
			return err
		}
	}
	if p.auditor = p.retryer; p.auditor == nil && p.config.hasRole(roleAPI) {
		private := prometheus.NewRegistry() // the metrics of jobs that don't run here would mislead
		if p.auditor, err = retryer.New(p.retryerConfig(), p.retryerPorts(), private, p.tools.logger); err != nil {
			return err
		}
	}
	p.server, err = api.New(p.apiConfig(), p.apiPorts(), p.tools.registry, p.tools.logger)
	return err
}

// Run serves on the listener until ctx ends or a role fails, and closes the program. It stops in this order:
//
//  1. HTTP: no new request is taken, those under way are answered.
//  2. Consumer and retryer: the batch and the row under way are finished, offsets are committed.
//  3. Publisher, gate and database: flushed and closed.
//
// A process killed at any point leaves what a crash leaves, which the other steps mend.
func (p *program) Run(ctx context.Context, listener net.Listener) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()

	roles := &errgroup.Group{}
	roles.Go(func() error { p.funnel.Run(background); return nil })
	roles.Go(func() error { p.beat(background); return nil })
	roles.Go(func() error { p.warnings.run(background); return nil })
	if p.disk != nil {
		roles.Go(func() error { p.disk.run(background); return nil })
	}
	p.startRole(roles, roleConsumer, func() error { return p.consumer.Run(background) }, stopServing)
	p.startRole(roles, roleRetryer, func() error { return p.retryer.Run(background) }, stopServing)
	p.start(roles, "profiler", func() error { return serveProfiles(background, p.config.ProfileAddr) }, stopServing)

	finished := make(chan error, 1)
	go func() {
		err := p.server.Run(serving, listener)
		stopBackground()
		finished <- errors.Join(err, roles.Wait(), p.stores.close())
	}()
	return p.await(ctx, finished)
}

func (p *program) startRole(roles *errgroup.Group, role string, run func() error, onFailure func()) {
	if p.config.hasRole(role) {
		p.start(roles, role, run, onFailure)
	}
}

func (p *program) start(roles *errgroup.Group, name string, run func() error, onFailure func()) {
	roles.Go(func() error {
		err := run()
		if err != nil {
			onFailure()
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// await waits for the end, and after ctx's end for no longer than the shutdown timeout.
func (p *program) await(ctx context.Context, finished <-chan error) error {
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	deadline := time.NewTimer(p.config.ShutdownTimeout)
	defer deadline.Stop()
	select {
	case err := <-finished:
		return err
	case <-deadline.C:
		return fmt.Errorf("shutdown took longer than %s; what was under way is as after a crash", p.config.ShutdownTimeout)
	}
}
