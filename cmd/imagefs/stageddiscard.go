package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const stagedDiscardHelp = `Discard removes drafts with their bytes, for good. What a commit has left half made at
the service, as the draft's journal says, is removed too where the service answers;
what could not be removed is named.

On a terminal it asks before; elsewhere it needs --yes.`

func stagedDiscardCommand(std streams) *cobra.Command {
	var f stagedFlags
	var all, yes bool
	cmd := &cobra.Command{
		Use:     "discard [flags] {ID… | --all}",
		Short:   "Remove files that were not uploaded",
		Long:    stagedDiscardHelp,
		Example: "  imagefs staged discard 3d70c0ea\n  imagefs staged discard --all --yes",
		Args:    draftsOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			found, err := survey(c)
			if err != nil {
				return err
			}
			var chosen []staging.Record
			if all {
				for _, k := range found {
					if !k.Held {
						chosen = append(chosen, k)
					}
				}
			} else if chosen, err = pick(found, args); err != nil {
				return err
			}
			if err := confirm(std, chosen, yes); err != nil || len(chosen) == 0 {
				return err
			}
			return discardStaged(ctx, c, chosen, std)
		},
	}
	f.add(cmd, whichService...)
	cmd.Flags().BoolVar(&all, "all", false, "every draft that is not in use")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirm asks whether the drafts may go.
func confirm(std streams, chosen []staging.Record, yes bool) error {
	if yes || len(chosen) == 0 {
		return nil
	}
	in, ok := std.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fail(exitUsage, "%d drafts would be removed for good, and nobody can be asked: give --yes", len(chosen))
	}
	for _, k := range chosen {
		if _, err := fmt.Fprintf(std.Err, "  %s  %s, %s\n", oneLine(errors.New(nameOf(k))), stateOf(k), humanize.IBytes(uint64(k.Size))); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(std.Err, "Remove %d for good? [y/N] ", len(chosen)); err != nil {
		return err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err == nil && strings.HasPrefix(strings.ToLower(answer), "y") {
		return nil
	}
	return fail(exitInterruptedBy, "nothing was removed")
}

func discardStaged(ctx context.Context, c config.Config, chosen []staging.Record, std streams) error {
	c.LogLevel = max(c.LogLevel, slog.LevelError)
	services := newStagedRooms(c, std.Err)
	var failures []error
	for _, k := range chosen {
		if ctx.Err() != nil {
			failures = append(failures, fail(exitInterruptedBy, "interrupted: the others were not removed"))
			break
		}
		if err := services.discard(ctx, k); err != nil {
			failures = append(failures, draftFailure(k, err))
		}
	}
	if err := services.close(); err != nil {
		failures = append(failures, err)
	}
	return tellAll(std.Err, failures)
}

// discard removes one draft, and first what it has left at the service. Where that
// cannot be done, the draft goes all the same, and the error says what is left.
func (s *stagedRooms) discard(ctx context.Context, k staging.Record) error {
	switch {
	case k.Held:
		return usable(k)
	case k.Image == "", k.Image == k.Replaces, k.Damage != "":
		return staging.Discard(k)
	}
	left := func(why error) error {
		return fail(exitDraft, "%s is removed, but image %s (os_hidden, with the property %s=%s) may be left at the service: %w",
			nameOf(k), k.Image, image.PropertyDraft, k.Draft, why)
	}
	r, err := s.of(ctx, k)
	if err != nil {
		return errors.Join(staging.Discard(k), left(err))
	}
	d, err := r.staging.Reopen(k.Draft, staging.ReopenSpec{})
	if err != nil {
		return err
	}
	stays, err := r.committer.Withdraw(image.Quietly(ctx), d)
	if ctx.Err() != nil {
		return keepAfter(d, fail(exitInterruptedBy, "interrupted: %s was not removed", nameOf(k)))
	}
	if discardErr := d.Discard(); discardErr != nil {
		return discardErr
	}
	switch {
	case err != nil:
		return left(err)
	case stays != "":
		return fail(exitDraft, "%s is removed; image %s at the service is not half made, and stays", nameOf(k), stays)
	default:
		return nil
	}
}
