package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"firstcome/domain"
	"firstcome/store/kafkaqueue"
)

// prepareTimeout bounds what a start waits for a server that is not up yet, before it goes on without.
const prepareTimeout = 10 * time.Second

func serveCommand() *cobra.Command {
	return configured("serve", "Run roles of the service on Redis, Kafka and MySQL",
		func(ctx context.Context, config Config, command *cobra.Command) error {
			needed := []string{"HTTP_ADDR", "REDIS_ADDRS", "KAFKA_BROKERS", "MYSQL_DSN"}
			if config.hasRole(roleAPI) && len(config.AdminTokens) == 0 {
				needed = append(needed, "ADMIN_TOKEN")
			}
			if err := config.require(needed...); err != nil {
				return err
			}
			command.Println("firstcome", version, "with this configuration:")
			config.print(command.OutOrStdout())
			return serve(ctx, config, command)
		})
}

// serve runs the configured roles until ctx ends.
func serve(ctx context.Context, config Config, command *cobra.Command) error {
	p, err := newProgram(config, config.configuredAddresses())
	if err != nil {
		return err
	}
	p.prepare(ctx)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.HTTPAddr)
	if err != nil {
		return fmt.Errorf("%sHTTP_ADDR: %w", envPrefix, err)
	}
	command.Printf("listening on http://%s, roles %v\n", listener.Addr(), config.Roles)
	return p.Run(ctx, listener)
}

// prepare looks at the database and makes the topic. A server that is not up yet does not keep the process from
// starting: its roles wait for it.
func (p *program) prepare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := p.stores.ledger.SchemaCurrent(ctx); err != nil {
		p.tools.logger.Warn("the database is not ready", "error", err)
	}
	if err := kafkaqueue.EnsureTopic(ctx, p.config.kafkaConfig(p.config.configuredAddresses())); err != nil {
		p.tools.logger.Warn("the topic could not be checked", "error", err)
	}
}

func migrateCommand() *cobra.Command {
	return configured("migrate", "Bring the database's tables up to date and make the topic",
		func(ctx context.Context, config Config, command *cobra.Command) error {
			if err := config.require("MYSQL_DSN"); err != nil {
				return err
			}
			at := config.configuredAddresses()
			ledger, err := openLedger(config, at, instruments{registry: newRegistry(), logger: config.logger()})
			if err != nil {
				return err
			}
			defer func() { _ = ledger.Close() }()
			if err := ledger.Migrate(ctx); err != nil {
				return err
			}
			command.Println("the database is up to date")
			if len(at.kafka) == 0 {
				return nil
			}
			return makeTopic(ctx, config, command)
		})
}

// makeTopic makes the topic if it is missing. One with another number of partitions works as well, and is left alone.
func makeTopic(ctx context.Context, config Config, command *cobra.Command) error {
	err := kafkaqueue.EnsureTopic(ctx, config.kafkaConfig(config.configuredAddresses()))
	switch domain.CodeOf(err) {
	case "":
		command.Printf("the topic %s exists\n", config.KafkaTopic)
	case domain.CodeConflict:
		command.Println("warning:", err)
	default:
		return err
	}
	return nil
}
