package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const stagedHelp = `Files that were written and not (yet) uploaded are drafts in the staging directory:
of closes that failed, of writers that were killed, of a daemon that was killed. A
mount goes on by itself with those whose close had begun; the others wait here.

ID is a draft's id as list shows it, or its first digits (4 or more) where they are
unique. Drafts that a mount is writing or uploading are shown and never touched.`

func stagedCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "staged",
		Short: "Show and settle files that were not uploaded",
		Long:  stagedHelp,
		Args:  unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, errors.New("no command given"))
		},
	}
	cmd.AddCommand(stagedListCommand(std), stagedRetryCommand(std), stagedExportCommand(std), stagedDiscardCommand(std))
	return cmd
}

// whichDrafts are the options that say where drafts are and whose they are.
var whichDrafts = []string{"staging-dir", "cloud", "endpoint", "insecure"}

// whatImage are the options that say what an image begins with, and ends.
var whatImage = []string{"new-visibility", "new-property", "new-tag", "store", "trash"}

// survey lists every draft of the staging directory.
func survey(c config.Config) ([]staging.Record, error) {
	all, err := staging.Survey(c.StagingDir)
	if err != nil {
		return nil, stagingFailure(err)
	}
	return all, nil
}

// draftsOf returns the drafts that the arguments name or, where there are none (--all),
// all that fit, and those that do not.
func draftsOf(c config.Config, ids []string, fits func(staging.Record) bool) (chosen, left []staging.Record, err error) {
	found, err := survey(c)
	switch {
	case err != nil:
		return nil, nil, err
	case len(ids) > 0:
		chosen, err = pick(found, ids)
		return chosen, nil, err
	}
	for _, k := range found {
		if fits(k) {
			chosen = append(chosen, k)
		} else {
			left = append(left, k)
		}
	}
	return chosen, left, nil
}

// minDigits, a number of characters, is the least that stands for an id, as in git.
const minDigits = 4

// pick returns the drafts that the arguments name, each once, in their order.
func pick(all []staging.Record, ids []string) ([]staging.Record, error) {
	var picked []staging.Record
	for _, id := range ids {
		want := strings.ToLower(id)
		var found []staging.Record
		for _, k := range all {
			if k.Draft == want || len(want) >= minDigits && strings.HasPrefix(k.Draft, want) {
				found = append(found, k)
			}
		}
		switch {
		case len(found) == 0 && len(want) < minDigits:
			return nil, fail(exitUsage, "%q is too short for an id: give %d digits or more", id, minDigits)
		case len(found) == 0:
			return nil, fail(exitNoDraft, "no draft has the id %q: see imagefs staged list", id)
		case len(found) > 1:
			return nil, fail(exitUsage, "%q is the beginning of %d ids: give more digits", id, len(found))
		}
		if !slices.ContainsFunc(picked, func(k staging.Record) bool { return k.Draft == found[0].Draft }) {
			picked = append(picked, found[0])
		}
	}
	return picked, nil
}

// draftsOrAll checks the arguments of a command that takes ids or --all.
func draftsOrAll(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && !*all:
			return usageError(cmd, errors.New("no draft is named: give its ID, or --all"))
		case len(args) > 0 && *all:
			return usageError(cmd, errors.New("--all and an ID are both given: give one of them"))
		}
		return nil
	}
}

// stagedRooms opens the rooms of the services that drafts belong to, each once. One
// goroutine asks for them; another may show their progress.
type stagedRooms struct {
	config config.Config
	log    io.Writer
	failed map[string]error // by service, cloud and project

	mu   sync.Mutex        // guards the field below
	open map[string]*rooms // by the same
}

// newStagedRooms makes a stagedRooms that has no cache on disk, for a mount may have that,
// and whose log says nothing below a level.
func newStagedRooms(c config.Config, log io.Writer, least slog.Level) *stagedRooms {
	c.CacheSize, c.LogLevel = 0, max(c.LogLevel, least)
	return &stagedRooms{config: c, log: log, open: map[string]*rooms{}, failed: map[string]error{}}
}

// of returns the rooms of a draft's service, as the options name it, else as the
// mount that wrote it did.
func (s *stagedRooms) of(ctx context.Context, k staging.Record) (*rooms, error) {
	key := k.Service + "\n" + k.Cloud + "\n" + k.Project
	s.mu.Lock()
	r, ok := s.open[key]
	s.mu.Unlock()
	if ok {
		return r, nil
	}
	if err := s.failed[key]; err != nil {
		return nil, err
	}
	c := s.config
	if c.Cloud == "" && c.Endpoint == "" {
		c.Cloud = k.Cloud
		if k.Cloud == "" && k.Project == "" { // without Keystone
			c.Endpoint = k.Service
		}
	}
	r, err := openRooms(ctx, c, newLogger(s.log, c.LogFormat, c.LogLevel))
	if err == nil {
		if why := whoseIs(k, r.client.Service(), r.client.Project()); why != "" {
			err = errors.Join(fail(exitUsage, "%s %s: name that with --cloud or --endpoint", nameOf(k), why), r.close())
		}
	}
	if err != nil {
		s.failed[key] = err
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[key] = r
	return r, nil
}

// whoseIs says why a draft is not the business of these credentials; "" when it is.
func whoseIs(k staging.Record, service, project string) string {
	switch {
	case k.Service != service:
		return "belongs to the service " + k.Service + ", not to " + service
	case k.Project != "" && project != "" && k.Project != project:
		return "belongs to project " + k.Project + ", not to " + project
	default:
		return ""
	}
}

func (s *stagedRooms) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, r := range s.open {
		err = errors.Join(err, r.close())
	}
	return err
}

// usable refuses a draft that somebody has, or that cannot be read.
func usable(k staging.Record) error {
	switch {
	case k.Held:
		return fail(exitDraftBusy, "%s: a mount writes or uploads it, or another command has it", nameOf(k))
	case k.Newer:
		return errNewer(k)
	case k.Damage != "":
		return fail(exitDraft, "%s is damaged: %s; what there is of it is in %s", nameOf(k), k.Damage, k.Path)
	default:
		return nil
	}
}

// errNewer refuses a draft that only a later version can settle.
func errNewer(k staging.Record) error {
	return fail(exitDraft, "%s was written by a later version of imagefs, which can settle it: %s; what there is of it is in %s", nameOf(k), k.Damage, k.Path)
}

// draftFailure gives an error of one draft its exit code.
func draftFailure(k staging.Record, err error) error {
	var known *failure
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, errElsewhere):
		return fail(exitDraftBusy, "%s: %w", nameOf(k), err)
	case image.Is(err, image.NotFound):
		return fail(exitNoDraft, "%s: %w", nameOf(k), err)
	case image.Is(err, image.LocalFull):
		return fail(exitLocalFull, "%s: %w", nameOf(k), err)
	default:
		return fail(exitDraft, "%s: %w", nameOf(k), err)
	}
}

// tellAll prints every error but the last, as one line each, and returns that one.
func tellAll(stderr io.Writer, failures []error) error {
	for i, err := range failures {
		if i == len(failures)-1 {
			return err
		}
		if _, printErr := fmt.Fprintf(stderr, "imagefs: %s\n", oneLine(err)); printErr != nil {
			return errors.Join(err, printErr)
		}
	}
	return nil
}
