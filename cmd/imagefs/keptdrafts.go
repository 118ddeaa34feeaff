package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dustin/go-humanize"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

// keptDrafts lists what waits in staging: what earlier runs left and what failed in
// this one.
func (r *rooms) keptDrafts() ([]metrics.Draft, error) {
	kept, err := r.staging.Kept()
	if err != nil {
		return nil, err
	}
	list := make([]metrics.Draft, 0, len(kept))
	for _, k := range kept {
		list = append(list, metrics.Draft{
			ID: k.Draft, Name: k.Name, Path: k.Path, State: stateOf(k), Reason: reasonOf(k), Size: k.Size,
		})
	}
	return list, nil
}

// stateDamaged, stateNewer and stateHeld are shown in the place of a draft's state.
const (
	stateDamaged = "damaged"
	stateNewer   = "newer"
	stateHeld    = "in use"
)

func stateOf(k staging.Record) string {
	switch {
	case k.Newer:
		return stateNewer
	case k.Damage != "":
		return stateDamaged
	case k.Held:
		return stateHeld
	default:
		return string(k.State)
	}
}

// reasonOf says in one line what a person has to know about a kept draft.
func reasonOf(k staging.Record) string {
	why := k.Reason
	if k.Damage != "" {
		why = k.Damage
	}
	add := func(text string) {
		if why != "" {
			why += "; "
		}
		why += text
	}
	if k.Unlinked {
		add("its file was removed; what its commit left at the service is to be")
	}
	if k.Uncertain {
		add("the last bytes written may be missing: " + map[bool]string{
			true: "the daemon or the machine ended before they were noted", false: "the machine ended, or the disk refused them or failed, before they were on it",
		}[k.Base != ""])
	}
	return why
}

// reopen takes up a draft that an earlier run left, with what lies under it.
func (r *rooms) reopen(ctx context.Context, k staging.Record) (*staging.Draft, error) {
	var spec staging.ReopenSpec
	if k.Base != "" {
		base, err := r.client.Get(ctx, k.Base)
		switch {
		case image.Is(err, image.NotFound), err == nil && !base.HasData(): // the draft says so where it matters
		case err != nil:
			return nil, err
		default:
			spec.Base, spec.BaseImage = bases{r}.OpenBase(base), base
		}
	}
	return r.take(k, spec)
}

// take is staging.Reopen, and says what it means that somebody else has the draft.
func (r *rooms) take(k staging.Record, spec staging.ReopenSpec) (*staging.Draft, error) {
	d, err := r.staging.Reopen(k.Draft, spec)
	return d, elsewhere(err)
}

// elsewhere says of an error of staging what it means that somebody else has the draft: an
// image that is busy at the service is another thing.
func elsewhere(err error) error {
	if image.Is(err, image.Busy) || image.Is(err, image.NotFound) {
		return fmt.Errorf("%w: %w", errElsewhere, err)
	}
	return err
}

// errElsewhere says that somebody else has a draft, or has just settled it.
var errElsewhere = errors.New("a mount or another command has it")

// resume commits a draft that an earlier run left, and removes it when the service
// has it; of a removed one, and of one that waits for a person, it removes what a commit
// left half made.
func (r *rooms) resume(ctx context.Context, k staging.Record) error {
	if hasLeft(k) {
		return r.clearAway(ctx, k)
	}
	if removed, err := r.finishRemoval(ctx, k); err != nil {
		return err
	} else if removed {
		tell(r.left) // what its commit has left
		return nil
	}
	d, err := r.reopen(ctx, k)
	if err != nil {
		return err
	}
	img, err := r.committer.Recover(ctx, d)
	if err != nil {
		return keepAfter(d, err)
	}
	if k.Unlinked {
		r.log.Info("nothing is left at the service of a removed file", "name", k.Name, "draft", k.Draft)
	} else {
		r.log.Info("a file of an earlier run is settled", "name", k.Name, "draft", k.Draft, "image", img.ID)
	}
	return d.Discard()
}

// clearAway removes what a failed commit has left half made. The draft stays as it is.
func (r *rooms) clearAway(ctx context.Context, k staging.Record) error {
	d, err := r.take(k, staging.ReopenSpec{}) // its bytes are not read
	if err != nil {
		return err
	}
	stays, err := r.committer.Withdraw(ctx, d)
	if err == nil && stays == "" {
		err = d.Update(func(rec *staging.Record) { rec.Image = "" })
	}
	if err != nil {
		return keepAfter(d, err)
	}
	return d.Close()
}

// keepAfter lets go of a draft whose commit has failed. A failure to note that must
// not hide the cause.
func keepAfter(d *staging.Draft, cause error) error {
	if err := d.Close(); err != nil {
		return fmt.Errorf("%w; its journal could not be brought up to date: %w", cause, err)
	}
	return cause
}

// maxNotes is how many drafts `mount` names: more would hide what else it says.
const maxNotes = 5

// noteKept logs what earlier runs left in staging, and returns what the user is told
// about it.
func (r *rooms) noteKept(readOnly bool, log *slog.Logger) []string {
	kept, err := r.staging.Kept()
	if err != nil {
		log.Warn("the staging directory cannot be looked through", "error", err)
		return []string{oneLine(fmt.Errorf("the staging directory cannot be looked through: %w", err))}
	}
	var notes []string
	going := 0
	for _, k := range kept {
		what := fateOf(k, r.client.Project(), readOnly)
		log.Warn("an earlier run left a file: it "+what, "name", k.Name, "draft", k.Draft, "path", k.Path,
			"state", stateOf(k), "bytes", k.Size, "reason", reasonOf(k))
		if !readOnly && whatNext(k, r.client.Project()) == goesOn {
			going++
		}
		notes = append(notes, oneLine(errors.New(nameOf(k)+" ("+humanize.IBytes(uint64(k.Size))+") of an earlier run "+what)))
	}
	if len(notes) > maxNotes {
		return []string{fmt.Sprintf("%d files of earlier runs are in staging; %d of them are committed now: see imagefs staged list", len(notes), going)}
	}
	return notes
}

// nameOf is a draft's name as a terminal may show it: whoever may write to a mount
// chooses names.
func nameOf(k staging.Record) string { return catalog.EntryName(k.Name, k.Draft) }

// fateOf says what becomes of a draft that an earlier run left: the end of a sentence.
func fateOf(k staging.Record, project string, readOnly bool) string {
	const see = ": see imagefs staged list"
	switch whatNext(k, project) {
	case damaged:
		if k.Newer {
			return "was written by a later version of imagefs, and is left to that" + see
		}
		return "is damaged and kept" + see
	case foreign:
		return "belongs to project " + k.Project + " and is kept" + see
	case goesOn:
		switch {
		case readOnly:
			return "waits for a mount that is not read-only"
		case k.Unlinked:
			return "was removed; what its upload left is removed now"
		case k.Removing != "":
			return "was being removed: it goes if its image is gone, and is committed now if not"
		default:
			return "was being committed, and is committed now"
		}
	}
	switch {
	case k.Owed():
		return "was being committed, may lack bytes, and is kept" + see
	case k.State == staging.StateAbandoned:
		return "was abandoned by a killed writer, and is kept" + see
	case k.State == staging.StateFailed:
		return "was not uploaded, and is kept" + see
	default:
		return "was never closed, and is kept" + see
	}
}
