package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

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
32 MiB for each mountpoint. At SIGHUP it reads log-level from the file again, and
nothing else. Exit codes: imagefs help exit-codes.`

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
			c, origins, err := options.resolve()
			if err != nil {
				return err
			}
			source, err := options.levelSource(origins)
			if err != nil {
				return fail(exitUsage, "%w", err)
			}
			if err := mountOverDead(cmd.Context(), std, c, args[0]); err != nil {
				return err
			}
			mountpoint, err := prepare(thisHost(), c, args[0])
			if err != nil {
				return err
			}
			if c.Foreground {
				log, reread := source.newLogger(std.Err, c)
				if hangupEnds() {
					reread = nil
				}
				return liveMount(cmd.Context(), life{
					mountpoint: mountpoint, config: c, log: log, reread: reread,
					ready: func(notes []string) error { return printNotes(std, notes) },
				})
			}
			return startDaemon(cmd.Context(), order{
				Mountpoint: mountpoint, LogFile: logPath(configHost(), mountpoint), Config: c, Level: source,
			}, std.Err)
		},
	}
	options.addAll(cmd)
	return cmd
}

// mountOverDead takes a dead mount away from the mountpoint, once nothing is known that
// would keep another from its place: programs that write to a dead mount fail, and to the
// bare directory they would write what nobody uploads.
func mountOverDead(ctx context.Context, std streams, c config.Config, path string) error {
	t, err := findTarget(path)
	if err != nil || t.mount == nil || !t.isDead(ctx) {
		return err
	}
	if err := checkHost(thisHost(), c); err != nil {
		return err
	}
	service, err := dialService(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return serviceFailure(err, c.Cloud, c.Endpoint)
	}
	service.Close()
	taken, err := takeDead(ctx, path)
	if err != nil || !taken {
		return err
	}
	return printNotes(std, []string{"the dead mount on " + path + " is taken away: its daemon was killed"})
}

// prepare checks everything that can be wrong before a request is made.
func prepare(h fuseHost, c config.Config, path string) (mountpoint string, err error) {
	mountpoint, err = checkMountpoint(path)
	if err != nil {
		return "", err
	}
	for _, dir := range []string{c.CacheDir, c.StagingDir} {
		if leadsInto(dir, mountpoint) { // the daemon would wait for its own mount
			return "", fail(exitUsage, "%s lies in the mountpoint %s: name a directory outside of it with --cache-dir or --staging-dir", dir, mountpoint)
		}
	}
	return mountpoint, checkHost(h, c)
}

// leadsInto reports whether an absolute path is the directory or below it, also by symbolic
// links. What is missing of it need not be there.
func leadsInto(path, dir string) bool {
	for ; path != filepath.Dir(path); path = filepath.Dir(path) {
		if at, err := filepath.EvalSymlinks(path); err == nil && at == dir {
			return true
		}
	}
	return false
}

// checkHost checks what the machine must have.
func checkHost(h fuseHost, c config.Config) error {
	if err := h.checkFUSE(); err != nil || !c.AllowOther {
		return err
	}
	return h.checkAllowOther()
}

func printNotes(std streams, notes []string) error {
	for _, note := range notes {
		if _, err := fmt.Fprintf(std.Err, "imagefs: %s\n", note); err != nil {
			return err
		}
	}
	return nil
}
