package catalog

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// finishBound bounds one try to finish a rename: nobody waits for it under a lock.
const finishBound = time.Minute

// FinishRename goes on with a rename over what was there that ended before its journal
// was told Settled, and reports whether the image has the name in the end. If it has,
// what had the name is retired as the rename would have done it; if it has not, the
// rename had not begun, or is taken back; not, though, where what had the name has gone
// meanwhile: then nothing else has it. What others have changed since is left as it
// is: then both images stay, and the log says so. It tells j how far it got. An error
// means that the service did not answer, or ErrTooYoung: call it again. age is for how long
// it has been there.
func (c *Catalog) FinishRename(ctx context.Context, r image.Rename, age time.Duration, j RenameJournal) (carried bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, finishBound)
	defer cancel()
	if err := c.renaming.enter(ctx, r.Image.ID); err != nil {
		return false, wrap(opRenameOver, r.Image.ID, err)
	}
	defer c.renaming.leave(r.Image.ID)
	b, carried, ended := c.takeUp(begun{Rename: r, at: time.Now().Add(-age)}, j.ID())
	if ended {
		return carried, nil
	}
	return c.finish(ctx, b, followed{j, c})
}

// finish is FinishRename in the turn of r.Image.
func (c *Catalog) finish(ctx context.Context, b begun, j RenameJournal) (carried bool, err error) {
	r := b.Rename
	defer func() {
		if err == nil {
			c.mu.Lock()
			delete(c.unfinished, j.ID())
			c.mu.Unlock()
		}
	}()
	defer c.tellEntries(r)()
	log := c.log.With(slog.String("image", r.Image.ID), slog.String("name", r.Name))
	if r.Over != nil {
		log = log.With(slog.String("replaced", r.Over.ID))
	}
	img, err := c.Fresh(ctx, r.Image.ID)
	switch {
	case image.Is(err, image.NotFound):
		log.Warn("what a rename was interrupted with is gone; what was to be replaced is left alone")
		return false, nil
	case err != nil:
		return false, wrap(opRenameOver, r.Image.ID, err)
	case !r.Carried(img) && r.Undone && r.Noted && img.Visibility == image.VisibilityShared:
		return false, c.plan(r, j).takeBackMembers(ctx, log)
	case !r.Carried(img) && time.Since(b.at) < RenameSettles:
		return false, ErrTooYoung
	case !r.Carried(img):
		log.Info("an interrupted rename had not begun, or was taken back", slog.String("called", img.Name))
		return false, nil
	case r.Over == nil && r.Undone:
		return c.takeNameBack(ctx, r, log)
	case r.Over == nil:
		return true, nil
	}
	over, err := c.Fresh(ctx, r.Over.ID)
	switch {
	case image.Is(err, image.NotFound):
		log.Info("an interrupted rename is finished: what it replaced is gone")
		return true, nil
	case err != nil:
		return true, wrap(opRenameOver, r.Over.ID, err)
	case over.Name != r.Over.Name:
		log.Info("an interrupted rename is finished: what it replaced has another name", slog.String("called", over.Name))
		return true, nil
	case r.Undone:
		return c.plan(r, j).takeBack(ctx, img, log)
	case !r.Untouched(over):
		log.Warn("a rename was interrupted, and what it was to replace has been changed since: both images stay; remove one")
		return true, nil
	}
	if err := over.Replaceable(opRenameOver); err != nil {
		log.Warn("a rename was interrupted, and what it was to replace must not go by now: both images stay", slog.Any("error", err))
		return true, nil
	}
	t := c.plan(r, j)
	t.over = over
	if err = t.wants(ctx); err == nil {
		err = t.shareOut(ctx)
	}
	if err == nil {
		err = t.retire(ctx)
	}
	switch {
	case err == nil:
		t.done()
		log.Info("an interrupted rename is finished: what it replaced is retired")
		return true, nil
	case unsure(err):
		return true, err
	}
	log.Warn("an interrupted rename is refused: it is taken back", slog.Any("error", err))
	return t.takeBack(ctx, img, log)
}

// takeNameBack gives the image of a rename over a draft its own name again: the draft has
// kept the other one.
func (c *Catalog) takeNameBack(ctx context.Context, r image.Rename, log *slog.Logger) (carried bool, err error) {
	_, err = c.update(ctx, r.Image.ID, []image.Change{{Field: "name", Value: r.Image.Name}}, escape(r.Image.Name))
	switch {
	case unsure(err):
		return true, err
	case err != nil:
		log.Warn("a rename was not answered, and its image cannot have its own name again: look whether there are two images of one name", slog.Any("error", err))
	default:
		log.Info("an interrupted rename is taken back", slog.String("called", r.Image.Name))
	}
	return false, nil
}

// unsure reports a failure that says nothing about the rename: it may pass.
func unsure(err error) bool {
	switch image.KindOf(err) {
	case image.Credentials, image.LocalFull, image.NoDescriptors:
		return err != nil
	default:
		return unanswered(err)
	}
}

// takeBack makes img, which is as now by now, what it was, as far as it is what the
// rename has made it.
func (t *takeover) takeBack(ctx context.Context, now image.Image, log *slog.Logger) (carried bool, err error) {
	if t.noted.Noted { // its members may have been changed
		has, err := t.c.sharer.Members(ctx, t.img.ID)
		if err != nil && unsure(err) {
			return true, err
		}
		if err == nil {
			t.since(has)
		}
	}
	for i := len(t.changes) - 1; i >= 0; i-- {
		if !has(now, t.changes[i]) {
			t.undo = slices.Delete(t.undo, i, i+1)
		}
	}
	if !t.noted.Undone {
		t.noted.Undone = true
		if err := t.journal.Note(t.noted); err != nil {
			return true, err
		}
	}
	switch err := t.putBack(ctx, false); {
	case err == nil:
		log.Info("an interrupted rename that was refused is taken back", slog.String("called", t.img.Name))
		return false, nil
	case unsure(err):
		return true, err
	default: // putBack has said so
		return true, nil
	}
}

// takeBackMembers gives img, whose record is what it was, the members that it had. Of
// those that came since, only what the rename gave it goes; and of those that went, what it
// had in common with over stays away, for the rename has not taken it. Any other that
// somebody has taken from it since comes back: what tells that the rename had put it back
// before is its journal's end alone.
func (t *takeover) takeBackMembers(ctx context.Context, log *slog.Logger) error {
	has, err := t.c.sharer.Members(ctx, t.img.ID)
	if err == nil {
		err = t.wants(ctx)
	}
	if err == nil {
		t.since(has)
		t.added, t.removed = without(t.added, without(t.added, t.wanted)), without(t.removed, t.wanted)
		err = t.membersBack(ctx)
	}
	if unsure(err) {
		return err
	}
	log.Info("an interrupted rename that was refused is taken back", slog.String("called", t.img.Name))
	return nil
}

// has reports whether the record is as the change, one of a plan, has made it.
func has(img image.Image, change image.Change) bool {
	if change.Property {
		return img.Properties[change.Field] == change.Value
	}
	switch change.Field {
	case "name":
		return img.Name == change.Value
	case "owner":
		return img.Owner == change.Value
	case "visibility":
		return string(img.Visibility) == change.Value
	case "os_hidden":
		return img.Hidden == change.Value
	case "min_disk":
		return img.MinDisk == change.Value
	case "min_ram":
		return img.MinRAM == change.Value
	case "tags":
		tags, _ := change.Value.([]string)
		return slices.Equal(slices.Sorted(slices.Values(img.Tags)), slices.Sorted(slices.Values(tags)))
	default:
		return false
	}
}

// tellEntries returns what tells of the entries of both images when the rename has
// gone on: nobody has asked for it at these entries, so the kernel does not know.
func (c *Catalog) tellEntries(r image.Rename) (tell func()) {
	entries := map[string]bool{}
	note := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range []string{r.Image.ID, overID(r)} {
			if shown := c.dir.get(id); shown != nil {
				entries[shown.entry()] = true
			}
		}
	}
	note()
	return func() {
		note()
		c.notify.add(entries)
	}
}

func overID(r image.Rename) string {
	if r.Over == nil {
		return ""
	}
	return r.Over.ID
}
