package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
)

const mountHelp = `Mount makes an Image service a directory, and returns when the mount answers; a
daemon goes on serving it until it is unmounted. MOUNTPOINT is an empty directory, or
a mount whose daemon was killed, which is taken away first.

Who you are comes from clouds.yaml (--cloud, $OS_CLOUD), else from the OS_*
variables; --endpoint names an Image API that is not behind Keystone.

Every flag can be a line of the YAML file of --config ("memory: 1GiB"), or a
variable (IMAGEFS_MEMORY=1GiB). A flag wins over a variable, and that over the file.

The daemon logs to /var/log/imagefs (root) or $XDG_STATE_HOME/imagefs/log, at most
32 MiB for each mountpoint. Exit codes: imagefs help exit-codes.`

func mountCommand(std streams) *cobra.Command {
	var options optionFlags
	cmd := &cobra.Command{
		Use:   "mount [flags] MOUNTPOINT",
		Short: "Mount an Image service on a directory",
		Long:  mountHelp,
		Example: `  imagefs mount --cloud mycloud ~/images
  imagefs mount --cloud mycloud --read-only --allow-other /srv/images
  imagefs mount --endpoint http://127.0.0.1:9292 --foreground ~/images`,
		Args: exactly(1, "the mountpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := options.load()
			if err != nil {
				return err
			}
			switch taken, err := takeDead(cmd.Context(), args[0]); {
			case err != nil:
				return err
			case taken:
				if err := printNotes(std, []string{"the dead mount on " + args[0] + " is taken away: its daemon was killed"}); err != nil {
					return err
				}
			}
			mountpoint, err := prepare(thisHost(), c, args[0])
			if err != nil {
				return err
			}
			if c.Foreground {
				return liveMount(cmd.Context(), life{
					mountpoint: mountpoint, config: c, log: newLogger(std.Err, c.LogFormat, c.LogLevel),
					ready: func(notes []string) error { return printNotes(std, notes) },
				})
			}
			return startDaemon(cmd.Context(), order{
				Mountpoint: mountpoint, LogFile: logPath(configHost(), mountpoint), Config: c,
			}, std.Err)
		},
	}
	options.addAll(cmd)
	return cmd
}

// prepare checks everything that can be wrong before a request is made.
func prepare(h fuseHost, c config.Config, path string) (mountpoint string, err error) {
	mountpoint, err = checkMountpoint(path)
	if err != nil {
		return "", err
	}
	if err := h.checkFUSE(); err != nil {
		return "", err
	}
	if c.AllowOther {
		if err := h.checkAllowOther(); err != nil {
			return "", err
		}
	}
	return mountpoint, nil
}

func printNotes(std streams, notes []string) error {
	for _, note := range notes {
		if _, err := fmt.Fprintf(std.Err, "imagefs: %s\n", note); err != nil {
			return err
		}
	}
	return nil
}
