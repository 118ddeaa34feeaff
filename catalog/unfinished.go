package catalog

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/imagefs/imagefs/image"
)

// RenameSettles is how old an interrupted rename has to be before it counts as not
// begun: so long its first request may still be on its way, for so long the daemon
// that sent it would have waited for the answer.
const RenameSettles = 10 * time.Second

// ErrTooYoung says that an interrupted rename may yet happen.
var ErrTooYoung = &image.Error{Op: "finish a rename", Kind: image.NoData, Detail: "its request may still be on its way"}

// begun is a rename over another image that has not ended.
type begun struct {
	image.Rename
	at  time.Time // by the host's clock
	own bool      // by this process
}

// outcome is how one has ended of which a journal may still tell.
type outcome struct {
	carried bool // the image has the name
	own     bool
}

// followed is the journal of a rename over another image that the catalog follows, too,
// so that it knows which have not ended.
type followed struct {
	RenameJournal
	c *Catalog
}

// Note notes it also where the journal cannot: what this process has done it knows. With the
// first one, earlier renames of the image end that it overtakes.
func (f followed) Note(r image.Rename) error {
	f.c.mu.Lock()
	known, again := f.c.unfinished[f.ID()]
	if !again {
		known.at, known.own = time.Now(), true
	}
	known.Rename = r
	f.c.unfinished[f.ID()] = known
	f.c.mu.Unlock()
	err := f.RenameJournal.Note(r)
	if err == nil && !again {
		f.c.overtake(f.ID(), r, false)
	}
	return err
}

func (f followed) Settled() {
	f.c.mu.Lock()
	delete(f.c.unfinished, f.ID())
	f.c.mu.Unlock()
	f.RenameJournal.Settled()
}

// FinishBefore finishes, or takes back, a rename over another image whose steps the
// service has not all answered: before another change of the image that was renamed, or
// of the other one where it shows as if it were alone, or is to have its name back. Otherwise what was replaced would
// be back when its successor goes, or a successor would come to the name of what was
// changed. An error is of the service, and nothing else is to be changed then; or Stale:
// the image has not the name any more that it was known by. It ends with ctx.
func (c *Catalog) FinishBefore(ctx context.Context, id string) error {
	c.mu.Lock()
	left := c.unfinishedOf(id)
	var entry, base string
	if r := c.dir.get(id); r != nil {
		entry, base = r.entry(), r.base()
	}
	c.mu.Unlock()
	if err := c.finishAll(ctx, left); err != nil {
		return err
	}
	if len(left) == 0 || entry == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.dir.get(id); r != nil && r.base() == base || r == nil && c.dir.at(entry) == nil {
		return nil
	}
	return &image.Error{Op: "look", Image: id, Kind: image.Stale, Detail: "by a rename that was not answered, another image has its name"}
}

// FinishAt does the same for an entry that is to be made: an image may be about to have its
// old name there back. Stale: there is one now.
func (c *Catalog) FinishAt(ctx context.Context, entry string) error {
	left := map[string]string{}
	c.mu.Lock()
	for journal, r := range c.unfinished {
		if id := r.Image.ID; EntryName(r.Image.Name, id) == entry || EntryName(r.Name, id) == entry {
			left[journal] = id
		}
	}
	c.mu.Unlock()
	if err := c.finishAll(ctx, left); err != nil || len(left) == 0 {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir.at(entry) == nil {
		return nil
	}
	return &image.Error{Op: "look", Image: entry, Kind: image.Stale, Detail: "by a rename that was not answered, an image has it"}
}

// finishAll finishes renames, which are by their journals, as unfinishedOf has them.
func (c *Catalog) finishAll(ctx context.Context, left map[string]string) error {
	for journal, img := range left {
		err := c.finishOne(ctx, journal, img)
		if err != nil && !errors.Is(err, ErrTooYoung) { // one that may yet happen is looked at again the next time
			return wrap("finish the rename of", img, err)
		}
	}
	return nil
}

// unfinishedOf returns the renames that have to be finished before the image is changed,
// by their journals, and what each renames. The caller holds mu.
func (c *Catalog) unfinishedOf(id string) map[string]string {
	left := map[string]string{}
	for journal, r := range c.unfinished {
		shown := c.dir.get(id)
		if r.Image.ID == id || overID(r.Rename) == id && shown != nil && (shown.suffix == "" || r.Undone) {
			left[journal] = r.Image.ID
		}
	}
	return left
}

// FinishOwn is FinishRename of a rename that this process has begun, and whose drafts it has
// seen to. ended: nothing is left to do; not, without an error, where it knows no such rename.
func (c *Catalog) FinishOwn(ctx context.Context, journal string) (ended bool, err error) {
	c.mu.Lock()
	r := c.unfinished[journal]
	c.mu.Unlock()
	if r.own {
		if err := c.finishOne(ctx, journal, r.Image.ID); err != nil {
			return false, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended[journal].own, nil
}

// overtake ends the earlier renames of the image that are to be taken back, before it is asked
// for the same name anew by a rename whose journal, if it has one, is by: else they would undo
// that, once it is answered. Those of earlier runs end when it has the name, for their drafts
// go where the image does. The caller has the image's turn.
func (c *Catalog) overtake(by string, r image.Rename, named bool) {
	for journal, earlier := range c.renamesOf(r.Image.ID) {
		if journal == by || earlier.Name != r.Name || earlier.Over != nil && !earlier.Undone || !earlier.own && !named {
			continue
		}
		if j, there := c.hold(journal); there {
			c.conclude(j, earlier, true)
		}
	}
}

// outlive has the earlier renames of the image, whose requests may still be on their way, taken
// back to what a later one has made it, should they arrive. The caller has the image's turn.
func (c *Catalog) outlive(now image.Image) {
	for journal, earlier := range c.renamesOf(now.ID) {
		if earlier.Name == now.Name {
			continue
		}
		j, there := c.hold(journal)
		if !there {
			continue
		}
		earlier.Image = now
		c.noteUndone(earlier.Rename, followed{j, c})
		c.letGo(j, earlier, nil)
	}
}

// renamesOf returns the renames of the image that have not ended, by their journals.
func (c *Catalog) renamesOf(id string) map[string]begun {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := maps.Clone(c.unfinished)
	maps.DeleteFunc(left, func(_ string, r begun) bool { return r.Image.ID != id })
	return left
}

// hold holds a journal on the disk, or what stands for one that cannot be held: who has that
// finds what is known here, or does the same. Not there: another daemon has ended it, and what
// is known of it here is forgotten.
func (c *Catalog) hold(journal string) (j HeldJournal, there bool) {
	if c.journals == nil {
		return unheld{unjournaled(journal)}, true
	}
	j, err := c.journals.TakeRename(journal)
	switch {
	case image.Is(err, image.NotFound):
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.unfinished, journal)
		return nil, false
	case err != nil:
		return unheld{unjournaled(journal)}, true
	}
	return j, true
}

// unheld stands for a journal that cannot be held.
type unheld struct{ unjournaled }

func (unheld) End() error { return nil }

// conclude ends a rename, and its journal; one that decides about drafts of an earlier run is told
// how it has ended, and FinishRename, here or in the next run, finds nothing else to do.
func (c *Catalog) conclude(j HeldJournal, r begun, carried bool) {
	c.mu.Lock()
	delete(c.unfinished, j.ID())
	c.ended[j.ID()] = outcome{carried, r.own}
	c.mu.Unlock()
	if r.own || !j.Drafted() {
		j.Settled()
		c.letGo(j, r, nil)
		return
	}
	r.Ended, r.Named = true, carried
	c.letGo(j, r, j.Note(r.Rename))
}

// letGo ends holding a journal, and tells of what it could not be told.
func (c *Catalog) letGo(j HeldJournal, r begun, untold error) {
	if err := errors.Join(untold, j.End()); err != nil {
		c.log.Warn("the journal of a rename stays, and is looked at by the next mount", slog.String("image", r.Image.ID), slog.Any("error", err))
	}
}

// lasting is a journal that is not ended by what is noted in it.
type lasting struct{ RenameJournal }

func (lasting) Settled() {}

// takeUp returns what is known of a rename of which a journal tells. ended: nothing is
// left to do, and carried says whether the image has the name.
func (c *Catalog) takeUp(told begun, journal string) (known begun, carried, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o, ended := c.ended[journal]; ended {
		return told, o.carried, true
	}
	if told.Ended { // by another daemon, or an earlier run
		delete(c.unfinished, journal)
		return told, told.Named, true
	}
	known, ours := c.unfinished[journal]
	switch { // the journal may not know of the last step, nor is another daemon's known here
	case !ours:
		known = told
	case told.Undone && !known.Undone, told.Noted && !known.Noted:
		known.Rename = told.Rename
	}
	c.unfinished[journal] = known
	return known, false, false
}

// finishOne finishes a rename of the image that this process has begun, or knows by its
// journal, once it is not under way.
func (c *Catalog) finishOne(ctx context.Context, journal, img string) error {
	ctx, cancel := context.WithTimeout(ctx, finishBound)
	defer cancel()
	if err := c.renaming.enter(ctx, img); err != nil {
		return err
	}
	defer c.renaming.leave(img)
	c.mu.Lock()
	r, left := c.unfinished[journal]
	c.mu.Unlock()
	if !left {
		return nil
	}
	j, there := c.hold(journal)
	if !there {
		return nil
	}
	carried, err := c.finish(ctx, r, followed{lasting{j}, c})
	if err != nil {
		c.letGo(j, r, nil)
		return err
	}
	c.conclude(j, r, carried)
	return nil
}
