package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/imageserver"
)

const demoHelp = `Demo starts an embedded Image API server on a free port of the loopback interface,
puts three small images into it, and mounts it, until Ctrl-C. It needs no cloud and
leaves nothing behind: not even the images that you make meanwhile.

The images are made with qemu-img, xorriso (or genisoimage) and mkfs.ext4, as far as
they are installed.`

func demoCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:     "demo [MOUNTPOINT]",
		Short:   "Try it: an embedded server with sample images, mounted",
		Long:    demoHelp,
		Example: "  imagefs demo\n  imagefs demo ~/images",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mountpoint := ""
			if len(args) == 1 {
				mountpoint = args[0]
				if mountpoint == "" {
					return usageError(cmd, errors.New("the mountpoint is empty"))
				}
			}
			return demo(cmd.Context(), mountpoint, std)
		},
	}
}

// demo runs in a directory of its own, which it removes.
func demo(ctx context.Context, mountpoint string, std streams) (err error) {
	interrupts := watchInterrupts(ctx, endSignals(true)...)
	defer interrupts.stop()
	dir, err := os.MkdirTemp("", "imagefs-demo-")
	if err != nil {
		return fail(localCode(err), "%w: set TMPDIR to a directory with room", err)
	}
	if mountpoint == "" {
		mountpoint = filepath.Join(dir, "images")
		if err := os.Mkdir(mountpoint, 0o700); err != nil {
			return errors.Join(fail(localCode(err), "%w: set TMPDIR to a directory with room", err), os.RemoveAll(dir))
		}
	}
	defer func() { err = errors.Join(err, removeDemo(dir, mountpoint)) }()
	mountpoint, err = prepare(thisHost(), config.Config{}, mountpoint)
	if err != nil {
		return err
	}
	err = demoIn(ctx, interrupts, dir, mountpoint, std)
	if interrupts.first.Err() != nil && codeOf(err) == exitInterruptedBy && interrupts.second.Err() == nil {
		return nil // Ctrl-C is how a demo ends
	}
	return err
}

// demoIn makes the samples, serves and mounts them.
func demoIn(ctx context.Context, interrupts interrupts, dir, mountpoint string, std streams) error {
	log := newLogger(std.Err, config.LogText, slog.LevelWarn)
	samples := filepath.Join(dir, "samples")
	if err := os.Mkdir(samples, 0o700); err != nil {
		return fail(localCode(err), "%w: set TMPDIR to a directory with room", err)
	}
	made, notes, err := makeSamples(interrupts.first, samples)
	if err != nil {
		return interruptedOr(interrupts, err)
	}
	server, err := startEmbedded(imageserver.Options{Dir: filepath.Join(dir, "service"), Logger: log}, "127.0.0.1:0")
	if err != nil {
		return err
	}
	err = uploadSamples(interrupts.first, server.url, made)
	if err == nil {
		err = os.RemoveAll(samples)
	}
	if err != nil {
		return errors.Join(interruptedOr(interrupts, err), server.stop(interrupts.second))
	}
	c := config.Defaults(configHost())
	c.Endpoint, c.Foreground, c.StagingDir, c.CacheDir = server.url, true, filepath.Join(dir, "staging"), filepath.Join(dir, "cache")
	err = liveMount(ctx, life{
		mountpoint: mountpoint, config: c, log: log,
		ready: func([]string) error {
			_, err := fmt.Fprint(std.Out, demoText(mountpoint, server.url, made, notes))
			return err
		},
	})
	return errors.Join(err, server.stop(interrupts.second))
}

func interruptedOr(interrupts interrupts, err error) error {
	if interrupts.first.Err() != nil {
		return fail(exitInterruptedBy, "interrupted: nothing was mounted")
	}
	return err
}

func demoText(mountpoint, url string, made []sample, notes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d images are mounted on %s. In another terminal, try:\n\n", len(made), mountpoint)
	fmt.Fprintf(&b, "  ls -l %s\n", mountpoint)
	for _, s := range made {
		if s.format == "qcow2" {
			fmt.Fprintf(&b, "  qemu-img info %s\n", filepath.Join(mountpoint, s.name))
		}
	}
	fmt.Fprintf(&b, "  cp FILE %s/        # a new image, when the copy ends\n", mountpoint)
	fmt.Fprintf(&b, "  rm %s\n", filepath.Join(mountpoint, made[0].name))
	fmt.Fprintf(&b, "  imagefs status %s\n\n", mountpoint)
	fmt.Fprintf(&b, "The service behind it is %s. Ctrl-C ends the demo and removes everything.\n", url)
	for _, note := range notes {
		fmt.Fprintf(&b, "(%s)\n", note)
	}
	return b.String()
}

// removeDemo removes the demo's directory, unless the mount is still there: then
// what lies below is the service's.
func removeDemo(dir, mountpoint string) error {
	if m, err := topMount(mountpoint); err != nil || m != nil {
		return errors.Join(err, fail(exitUnmountBusy, "%s is still mounted: run imagefs unmount --force %s and remove %s", mountpoint, mountpoint, dir))
	}
	if err := os.RemoveAll(dir); err != nil {
		return fail(exitInternal, "%w: remove %s by hand", err, dir)
	}
	return nil
}
