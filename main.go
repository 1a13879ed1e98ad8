// Command firstcome hands out exactly N coupons to the first N people who ask. "firstcome dev" runs the whole
// of it in one process with nothing installed; "firstcome serve" runs it on Redis, Kafka and MySQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes beside 0.
const (
	exitFailure = 1
	// exitUsage is for what the caller can put right: a missing variable, an unknown flag.
	exitUsage = 2
	// exitInterrupted is what shells give for a program that Ctrl-C ended.
	exitInterrupted = 130
)

// version is set by the linker in releases.
var version = "development"

// usageError is a mistake of the caller; its text is all that is printed.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// interruptedError is the end of a command that was told to stop, and found nothing wrong until then.
type interruptedError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and gives the exit code.
func run(ctx context.Context, arguments []string) int {
	root := rootCommand()
	root.SetArgs(arguments)
	root.SetOut(os.Stdout) // what a command prints can be piped; errors and logs go to standard error
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "firstcome:", usage)
		return exitUsage
	}
	fmt.Fprintln(os.Stderr, "firstcome:", err)
	if _, interrupted := errors.AsType[interruptedError](err); interrupted {
		return exitInterrupted
	}
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "firstcome",
		Short:         "Hands out exactly N coupons to the first N people who ask",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) > 0 {
				return usageError{fmt.Sprintf("unknown command %q; see firstcome --help", arguments[0])}
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err.Error()} })
	root.AddCommand(devCommands()...)
	root.AddCommand(serveCommand(), migrateCommand(), campaignCommand(), tokenCommand(), auditCommand(), loadtestCommand(), versionCommand())
	return root
}

// configured makes a command that is given the configuration, once read and checked.
func configured(use, short string, body func(context.Context, Config, *cobra.Command) error) *cobra.Command {
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := commandConfig(command)
			if err != nil {
				return err
			}
			return body(command.Context(), config, command)
		},
	}
	addFlags(command)
	return command
}

// commandConfig reads a command's configuration and warns of variables that mean nothing to us.
func commandConfig(command *cobra.Command) (Config, error) {
	config, unknown, err := loadConfig(os.Environ(), command.Flags())
	for _, name := range unknown {
		fmt.Fprintf(os.Stderr, "firstcome: warning: %s is no setting of ours and is ignored\n", name)
	}
	return config, err
}

// group makes a command that only holds others. By itself it shows its help; a word that is none of them is a mistake.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use: use, Short: short,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) > 0 {
				return usageError{fmt.Sprintf("unknown command %q; see firstcome %s --help", arguments[0], use)}
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(commands...)
	return command
}

// localURL is where a firstcome on this machine listens, as far as the configuration tells.
func localURL(config Config) string {
	if config.HTTPAddr == "" {
		return "http://" + devHTTPAddr
	}
	host, port, err := net.SplitHostPort(config.HTTPAddr)
	if err != nil {
		return "http://" + config.HTTPAddr
	}
	if address := net.ParseIP(host); host == "" || address.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func noArguments(_ *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return usageError{fmt.Sprintf("unexpected argument %q", arguments[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		Run: func(command *cobra.Command, _ []string) {
			command.Println("firstcome", version, revision())
		},
	}
}

// revision gives the commit that the binary was built from, as far as the toolchain noted it.
func revision() string {
	info, known := debug.ReadBuildInfo()
	if !known {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "(" + setting.Value + ", " + info.GoVersion + ")"
		}
	}
	return "(" + info.GoVersion + ")"
}
