package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
)

const cacheHelp = `The cache on disk keeps blocks of images between mounts. While a mount has it, its daemon
is asked; without a mount, or with --cache-dir, the directory itself is looked at. A mount
that begins meanwhile waits 5 seconds for it; verify and drop end for that.`

func cacheCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Show, check and drop what is cached on disk",
		Long:  cacheHelp,
		Args:  unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, errors.New("no command given"))
		},
	}
	cmd.AddCommand(cacheListCommand(std), cacheStatsCommand(std), cacheVerifyCommand(std), cacheDropCommand(std))
	return cmd
}

// cacheFlag is the option that names directories to look at instead of a mount.
const cacheFlag = "cache-dir"

var errTwoCaches = errors.New("a mountpoint and a directory are both given: give one of them")

// ofCache calls one of two: mounted with the mount that is named or the only one, or dirs
// with the configuration, where there is none or the user names a directory.
func ofCache(cmd *cobra.Command, options *optionFlags, args []string, mounted func(ctx context.Context, t target) error, dirs func(ctx context.Context, c config.Config) error) error {
	return options.run(cmd, func(ctx context.Context, c config.Config) error {
		t, ok, err := target{}, false, error(nil)
		switch direct := cmd.Flags().Changed(cacheFlag); {
		case direct && len(args) > 0:
			return usageError(cmd, errTwoCaches)
		case len(args) > 0:
			ok = true
			t, err = findTarget(args[0])
		case !direct:
			t, ok, err = theMount()
		}
		switch {
		case err != nil:
			return err
		case ok:
			err = mounted(ctx, t)
		default:
			err = dirs(ctx, c)
		}
		if ctx.Err() != nil {
			return fail(exitInterruptedBy, "interrupted")
		}
		return err
	})
}
