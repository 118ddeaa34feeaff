package main

import (
	"context"
	"os"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
)

// optionFlags are the flags of a command for options of the configuration, all of them
// (mount) or some, and for the file that has more.
type optionFlags struct {
	flags config.Flags
	file  string
}

// addAll gives the command a flag for every option.
func (f *optionFlags) addAll(cmd *cobra.Command) {
	var all []string
	for _, o := range config.Options() {
		all = append(all, o.Name)
	}
	f.add(cmd, all...)
}

// add gives the command the flags of the named options.
func (f *optionFlags) add(cmd *cobra.Command, names ...string) {
	cmd.Flags().SortFlags = false
	for _, o := range config.Options() {
		if o.Secret || !slices.Contains(names, o.Name) {
			continue
		}
		cmd.Flags().Var(f.flags.Flag(o, configHost()), o.Name, o.Usage)
		if o.Arg == "" {
			cmd.Flags().Lookup(o.Name).NoOptDefVal = "true"
		}
	}
	cmd.Flags().StringVar(&f.file, "config", "", "YAML `FILE` with options (default $IMAGEFS_CONFIG)")
}

// load resolves the configuration from the file, the environment and flags.
func (f *optionFlags) load() (config.Config, error) {
	c, _, err := f.resolve()
	return c, err
}

// resolve is load, and where each value comes from.
func (f *optionFlags) resolve() (config.Config, config.Origins, error) {
	if f.file == "" {
		f.file = os.Getenv("IMAGEFS_CONFIG")
	}
	c, origins, err := config.Load(config.Sources{Host: configHost(), File: f.file, Getenv: os.Getenv, Flags: &f.flags})
	if err != nil {
		return config.Config{}, nil, fail(exitUsage, "%w", err)
	}
	return c, origins, nil
}

// run does what the command is for, with the configuration, until that has ended or
// the user ends it.
func (f *optionFlags) run(cmd *cobra.Command, do func(ctx context.Context, c config.Config) error) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	return do(ctx, c)
}
