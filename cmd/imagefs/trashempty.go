package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

const emptyHelp = `Empty deletes images of the trash for good, also before their time: all of them, those
that are named, or those that have been there for longer than --older-than. On a
terminal it asks before; elsewhere it needs --yes. A protected image, and one that is
in use, stays.`

// emptying is what the trash is emptied of.
type emptying struct {
	words     []string
	olderThan string // "" for any age
	yes       bool
}

func trashEmptyCommand(std streams) *cobra.Command {
	var service serviceFlags
	var what emptying
	cmd := &cobra.Command{
		Use:     "empty [flags] [IMAGE…]",
		Short:   "Delete images of the trash for good",
		Long:    emptyHelp,
		Example: "  imagefs trash empty --cloud mycloud\n  imagefs trash empty --older-than 2d --yes",
		RunE: func(cmd *cobra.Command, words []string) error {
			what.words = words
			if len(words) > 0 && what.olderThan != "" {
				return usageError(cmd, errors.New("images are named and --older-than is given: give one of them"))
			}
			return service.with(cmd, std, func(ctx context.Context, c *client.Client) error {
				trash := newTrash(c, 0, nil)
				all, err := trash.List(ctx)
				if err != nil {
					return err
				}
				chosen, err := what.of(all, c.Now())
				if err != nil {
					return err
				}
				if err := what.confirm(ctx, std, chosen); err != nil {
					return err
				}
				return each(std, chosen, "deleted", func(img image.Image) error { return trash.Delete(ctx, img) })
			})
		},
	}
	service.add(cmd)
	cmd.Flags().StringVar(&what.olderThan, "older-than", "", "only what has been in the trash for `DURATION` (36h, 7d)")
	cmd.Flags().BoolVar(&what.yes, "yes", false, "do not ask")
	return cmd
}

// of returns the images that are to be deleted.
func (e emptying) of(all []image.Image, now time.Time) ([]image.Image, error) {
	if len(e.words) > 0 {
		return choose(all, e.words)
	}
	if e.olderThan == "" {
		return all, nil
	}
	age, err := config.ParsePeriod(e.olderThan)
	if err != nil {
		return nil, fail(exitUsage, "--older-than: %w", err)
	}
	var old []image.Image
	for _, img := range all {
		if why, _ := img.Trashed(); now.Sub(why.At) >= age {
			old = append(old, img)
		}
	}
	return old, nil
}

// confirm asks, unless it was told not to or there is nothing to delete.
func (e emptying) confirm(ctx context.Context, std streams, images []image.Image) error {
	if e.yes || len(images) == 0 {
		return nil
	}
	f, ok := std.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return fail(exitUsage, "%s would be deleted for good, and nobody can be asked: give --yes", amount(images))
	}
	if _, err := fmt.Fprintf(std.Err, "Delete %s for good? [y/N] ", amount(images)); err != nil {
		return err
	}
	if err := typed(ctx, f); err != nil {
		return err
	}
	answer := make([]byte, maxReply)
	n, err := f.Read(answer)
	if err != nil && !errors.Is(err, io.EOF) {
		return fail(exitInternal, "no answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(string(answer[:n]))) {
	case "y", "yes":
		return nil
	}
	return fail(exitInternal, "nothing was deleted")
}

const (
	maxReply = 256                    // bytes: more than any answer has
	lookPoll = 200 * time.Millisecond // how late Ctrl-C is noticed at most
)

// typed waits until a line has been typed at the terminal, or ctx ends: a read could
// not be ended.
func typed(ctx context.Context, terminal *os.File) error {
	fds := []unix.PollFd{{Fd: int32(terminal.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(lookPoll.Milliseconds()))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fail(exitInternal, "the terminal cannot be read: %w", err)
		}
	}
}

func amount(images []image.Image) string {
	var size uint64
	for _, img := range images {
		size += uint64(img.Size)
	}
	if len(images) == 1 {
		return fmt.Sprintf("1 image of %s", humanize.IBytes(size))
	}
	return fmt.Sprintf("%d images of %s", len(images), humanize.IBytes(size))
}
