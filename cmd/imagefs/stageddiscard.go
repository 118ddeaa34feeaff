package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const stagedDiscardHelp = `Discard removes drafts with their bytes, for good. What a commit has left half made at
the service, as the draft's journal says, is removed too where the service answers;
what could not be removed is named. A draft whose image may be made yet, as a daemon has
asked for it within the last 10 seconds, is kept.

--all leaves out what is in use, and what cannot be read: a damaged draft needs its ID,
and one that a later version of imagefs wrote only that version removes.

On a terminal it asks before; elsewhere it needs --yes.`

func stagedDiscardCommand(std streams) *cobra.Command {
	var options optionFlags
	var all, yes bool
	cmd := &cobra.Command{
		Use:     "discard [flags] {ID… | --all}",
		Short:   "Remove files that were not uploaded",
		Long:    stagedDiscardHelp,
		Example: "  imagefs staged discard 3d70c0ea\n  imagefs staged discard --all --yes",
		Args:    draftsOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			return options.run(cmd, func(ctx context.Context, c config.Config) error {
				chosen, left, err := draftsOf(c, args, func(k staging.Record) bool { return whyNotDiscarded(k) == "" })
				if err == nil {
					err = tellLeftOut(std.Err, left, len(chosen), whyNotDiscarded, "; a damaged one needs its ID")
				}
				if err == nil && !yes && len(chosen) > 0 {
					err = confirmDiscard(ctx, std, chosen)
				}
				if err != nil {
					return err
				}
				return discardStaged(ctx, c, chosen, std)
			})
		},
	}
	options.add(cmd, whichDrafts...)
	cmd.Flags().BoolVar(&all, "all", false, "every draft that is not in use and can be read")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// whyNotDiscarded says why --all does not remove a draft; "" where it does. Nobody knows
// whether what cannot be read is of no use.
func whyNotDiscarded(k staging.Record) string {
	if k.Held || k.Damage != "" {
		return stateOf(k)
	}
	return ""
}

// confirmDiscard asks whether the drafts may go, and shows which they are.
func confirmDiscard(ctx context.Context, std streams, chosen []staging.Record) error {
	var total int64
	var lines []string
	for _, k := range chosen {
		total += k.Size
		lines = append(lines, fmt.Sprintf("%s  %s, %s", oneLine(errors.New(nameOf(k))), stateOf(k), humanize.IBytes(uint64(k.Size))))
	}
	return confirm(ctx, std, countOf(len(chosen), "draft", total), lines...)
}

func discardStaged(ctx context.Context, c config.Config, chosen []staging.Record, std streams) error {
	services := newStagedRooms(c, std.Err, slog.LevelError) // what failed is said below
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
// cannot be done, the draft goes all the same, and the error says what is left; but what
// may yet come there is waited for, as only the draft would know it.
func (s *stagedRooms) discard(ctx context.Context, k staging.Record) error {
	switch {
	case k.Held, k.Newer:
		return usable(k)
	case k.Image == "", k.Image == k.Replaces, k.Damage != "":
		return elsewhere(staging.Discard(k))
	}
	left := func(why error) error {
		return fail(exitDraft, "%s is removed, but image %s (os_hidden, with the property %s=%s) may be left at the service: %w",
			nameOf(k), k.Image, image.PropertyDraft, k.Draft, why)
	}
	r, err := s.of(ctx, k)
	if err != nil {
		if err := staging.Discard(k); err != nil {
			return elsewhere(err)
		}
		return left(err)
	}
	d, err := r.take(k, staging.ReopenSpec{}) // its bytes are not read
	if err != nil {
		return err
	}
	stays, err := r.committer.Withdraw(image.Quietly(ctx), d)
	if ctx.Err() != nil {
		return keepAfter(d, fail(exitInterruptedBy, "interrupted: %s was not removed", nameOf(k)))
	}
	if errors.Is(err, commit.ErrMayCome) {
		return keepAfter(d, fail(exitDraft, "%s was not removed: %w; try it again in a few seconds", nameOf(k), commit.ErrMayCome))
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
