package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
)

// serviceFlags are those of a command that asks the service itself, without a
// mount.
type serviceFlags struct {
	flags config.Flags
	file  string
}

// serviceOptions name the service and who asks.
var serviceOptions = []string{"cloud", "endpoint", "token"}

func (f *serviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	for _, o := range config.Options() {
		if slices.Contains(serviceOptions, o.Name) {
			cmd.Flags().Var(f.flags.Flag(o, configHost()), o.Name, o.Usage)
		}
	}
	addConfigFlag(cmd, &f.file)
}

// load resolves the configuration as mount does.
func (f *serviceFlags) load() (config.Config, error) { return loadConfig(f.file, &f.flags) }

// addConfigFlag gives the command the flag that names a file of options.
func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "YAML `FILE` with options (default $IMAGEFS_CONFIG)")
}

// loadConfig resolves the configuration from the file, the environment and flags.
func loadConfig(file string, flags *config.Flags) (config.Config, error) {
	if file == "" {
		file = os.Getenv("IMAGEFS_CONFIG")
	}
	c, _, err := config.Load(config.Sources{Host: configHost(), File: file, Getenv: os.Getenv, Flags: flags})
	if err != nil {
		return config.Config{}, fail(exitUsage, "%w", err)
	}
	return c, nil
}

// with runs do with a client of the service, until it ends or the user ends it. An
// error of the service gets its exit code.
func (f *serviceFlags) with(cmd *cobra.Command, std streams, do func(ctx context.Context, service *client.Client) error) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	release, _ := buildVersion()
	// What was changed, and why not, the command says itself.
	log := newLogger(std.Err, c.LogFormat, max(c.LogLevel, slog.LevelError))
	dial, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	service, err := client.Dial(dial, client.Options{
		Cloud: c.Cloud, Endpoint: c.Endpoint, Token: c.Token.Reveal(), UserAgent: "imagefs/" + release, Logger: log,
	})
	if err == nil {
		defer service.Close()
		err = do(ctx, service)
	}
	var own *failure
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fail(exitInterruptedBy, "interrupted")
	case errors.As(err, &own):
		return err
	}
	return serviceFailure(err, c.Cloud, c.Endpoint)
}
