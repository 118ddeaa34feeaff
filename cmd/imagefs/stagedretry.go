package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

const stagedRetryHelp = `Retry uploads drafts, as the close of their file would: an image comes of each, in the
place of the one that was edited or overwritten. What an earlier try has left at the
service is taken over if it is whole, and removed otherwise. A draft goes when its image
is there; one that fails is kept.

No mount is needed. Beside one, the file shows there within its --list-ttl. The service
is the one that the draft was written for; its credentials come from --cloud, $OS_CLOUD
or the OS_* variables, else from the clouds.yaml entry that the mount was told.

--all takes the drafts whose close had begun and those whose close failed. It leaves out
what is open or abandoned, for its writer had not finished or was interrupted, and what
may lack bytes (list says so): their images would replace whole ones, so that each needs
its ID. What is damaged, in use, or of a later version of imagefs is never taken.`

func stagedRetryCommand(std streams) *cobra.Command {
	var options optionFlags
	var all bool
	cmd := &cobra.Command{
		Use:     "retry [flags] {ID… | --all}",
		Short:   "Upload files that were not uploaded",
		Long:    stagedRetryHelp,
		Example: "  imagefs staged retry 3d70c0ea\n  imagefs staged retry --all --cloud mycloud",
		Args:    draftsOrAll(&all),
		RunE: func(cmd *cobra.Command, args []string) error {
			return options.run(cmd, func(ctx context.Context, c config.Config) error { return retryStaged(ctx, c, args, std) })
		},
	}
	options.add(cmd, append(whichDrafts, whatImage...)...)
	cmd.Flags().BoolVar(&all, "all", false, "every draft whose writer had finished and that lacks nothing")
	return cmd
}

func retryStaged(ctx context.Context, c config.Config, ids []string, std streams) error {
	chosen, left, err := draftsOf(c, ids, func(k staging.Record) bool { return whyLeftOut(k) == "" })
	if err != nil {
		return err
	}
	if err := tellLeftOut(std.Err, left, len(chosen), whyLeftOut, ", and name those that are to be uploaded all the same"); err != nil {
		return err
	}
	services := newStagedRooms(c, std.Err, slog.LevelWarn) // what succeeds is said below
	failures := retryAll(ctx, services, chosen, std)
	if err := services.close(); err != nil {
		failures = append(failures, err)
	}
	if ctx.Err() != nil {
		return fail(exitInterruptedBy, "interrupted: what was not uploaded is kept")
	}
	return tellAll(std.Err, failures)
}

// whyLeftOut says why --all does not take a draft: such as somebody else has, or that are
// not known to be what their writer wanted a file to be; "" where it does.
func whyLeftOut(k staging.Record) string {
	switch {
	case k.Held:
		return stateHeld
	case k.Damage != "":
		return stateOf(k)
	case k.Unlinked: // nothing of it is published
		return ""
	case k.Uncertain:
		return "that may lack bytes"
	case k.Owed(), k.State == staging.StateFailed:
		return ""
	default:
		return "open or abandoned"
	}
}

// tellLeftOut says how many drafts --all leaves, and why, and what one can do.
func tellLeftOut(stderr io.Writer, left []staging.Record, chosen int, why func(staging.Record) string, instead string) error {
	if len(left) == 0 {
		return nil
	}
	n := map[string]int{}
	for _, k := range left {
		n[why(k)]++
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", n[kind], kind))
	}
	_, err := fmt.Fprintf(stderr, "imagefs: %d of %d drafts are left (%s): see imagefs staged list%s\n",
		len(left), len(left)+chosen, strings.Join(kinds, ", "), instead)
	return err
}

// drawEvery is how often the progress of uploads is drawn: as fast as one reads.
const drawEvery = 250 * time.Millisecond

// retryAll uploads the drafts, some at once, and shows how that goes.
func retryAll(ctx context.Context, services *stagedRooms, chosen []staging.Record, std streams) (failures []error) {
	var (
		group errgroup.Group
		mu    sync.Mutex // guards failures and what is written to std
	)
	line := newStatusLine(std.Err)
	group.SetLimit(recoveredAtOnce)
	one := func(k staging.Record, r *rooms) {
		said, err := r.retry(ctx, k)
		mu.Lock()
		defer mu.Unlock()
		line.clear()
		if err == nil {
			_, err = fmt.Fprintln(std.Out, said)
		}
		if err != nil {
			failures = append(failures, draftFailure(k, err))
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, k := range chosen {
			var r *rooms
			err := usable(k)
			if err == nil {
				r, err = services.of(ctx, k)
			}
			if err != nil {
				mu.Lock()
				failures = append(failures, draftFailure(k, err))
				mu.Unlock()
				continue
			}
			group.Go(func() error { // waits for a place
				one(k, r)
				return nil
			})
		}
		_ = group.Wait() // its functions return nothing
	}()
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			line.clear()
			return failures
		case <-tick.C:
			mu.Lock()
			if text := services.progress(); text != "" {
				line.show(text)
			}
			mu.Unlock()
		}
	}
}

// progress is one line about the uploads under way; "" when there are none.
func (s *stagedRooms) progress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var active []metrics.Upload
	for _, r := range s.open {
		active = append(active, uploadsOf(r.committer.Active())...)
	}
	if len(active) == 0 {
		return ""
	}
	text := active[0].Text()
	if more := len(active) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// errNothingWritten: there is nothing that could be uploaded.
var errNothingWritten = errors.New("nothing that was written to it is known: export or discard it")

// retry commits one draft and returns what came of it, in one line.
func (r *rooms) retry(ctx context.Context, k staging.Record) (string, error) {
	renames, err := r.staging.Renames()
	if err != nil {
		return "", err
	}
	if undecided(renames)[k.Draft] {
		return "", fail(exitDraftBusy, "%s: a rename that was interrupted decides about it, which a mount finishes first", nameOf(k))
	}
	d, err := r.reopen(ctx, k)
	if err != nil {
		return "", err
	}
	img, err := r.committer.Recover(image.Quietly(ctx), d)
	uncertain := d.Record().Uncertain
	switch {
	case err != nil:
		return "", keepAfter(d, err)
	case img.ID == "" && !k.Unlinked && uncertain:
		return "", keepAfter(d, errNothingWritten)
	}
	if err := d.Discard(); err != nil {
		return "", err
	}
	switch {
	case img.ID != "" && uncertain:
		return fmt.Sprintf("%s is image %s; it may lack bytes", nameOf(k), img.ID), nil
	case img.ID != "":
		return fmt.Sprintf("%s is image %s", nameOf(k), img.ID), nil
	default:
		return nameOf(k) + ": nothing was to be uploaded; its draft is removed", nil
	}
}
