package catalog

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/image"
)

// memberChanges is how many members of one image are changed at once: one by one, a
// hundred projects do not fit into the time that a rename has.
const memberChanges = 8

// takeover is a rename over another image: what img takes over from it, and what
// puts img back as it was. It belongs to one goroutine.
type takeover struct {
	c             *Catalog
	journal       RenameJournal
	noted         image.Rename   // what the journal knows, or is about to
	img, over     image.Image    // as they were
	changes, undo []image.Change // of img's record
	// share is set where img gets the members of over, which are wanted.
	share          bool
	wanted         []image.Member
	added, removed []image.Member // of img's members, so far
}

// takeOver plans how img gets the name and takes the place of over. It asks for img's
// record, for what others have just set there is img's own, and for over's members,
// and changes nothing.
func (c *Catalog) takeOver(ctx context.Context, img, over image.Image, name string, j RenameJournal) (*takeover, error) {
	attributes, created := img.Attributes(), over.SuccessorTime() // not all of them may have been sent yet
	attributes.Created = &created
	img, err := c.records.Get(ctx, img.ID)
	if err != nil {
		return nil, wrap(opRenameOver, img.ID, err)
	}
	if _, trashed := img.Trashed(); trashed {
		return nil, &image.Error{Op: opRenameOver, Image: img.ID, Kind: image.Stale, Detail: "what is renamed was removed meanwhile"}
	}
	r := image.Rename{Image: img, Name: name, Over: &over, Attributes: attributes.Encode(img.ID)}
	t := c.plan(r, followed{j, c})
	return t, t.wants(ctx)
}

// plan makes the plan of a rename over another image. Who may see the path does not
// change: owner, visibility and members are over's. Of the rest that over carried,
// img's own wins.
func (c *Catalog) plan(r image.Rename, j RenameJournal) *takeover {
	img, over := r.Image, *r.Over
	t := &takeover{c: c, journal: j, noted: r, img: img, over: over, share: over.Visibility == image.VisibilityShared} // no other image has members
	if img.Name != r.Name {
		t.field("name", img.Name, r.Name)
	}
	if img.Owner != "" && over.Owner != "" && img.Owner != over.Owner {
		t.field("owner", img.Owner, over.Owner)
	}
	if over.Visibility != "" && img.Visibility != over.Visibility {
		t.field("visibility", string(img.Visibility), string(over.Visibility))
	}
	if hidden := over.StaysHidden(); img.Hidden != hidden {
		t.field("os_hidden", img.Hidden, hidden)
	}
	if tags := allTags(img.Tags, over.Tags); len(tags) > len(img.Tags) {
		t.field("tags", img.Tags, tags)
	}
	if img.MinDisk == 0 && over.MinDisk > 0 {
		t.field("min_disk", img.MinDisk, over.MinDisk)
	}
	if img.MinRAM == 0 && over.MinRAM > 0 {
		t.field("min_ram", img.MinRAM, over.MinRAM)
	}
	carried := over.CarriedProperties()
	for _, property := range slices.Sorted(maps.Keys(carried)) {
		if _, own := img.Properties[property]; !own {
			t.property(property, carried[property])
		}
	}
	t.property(image.PropertyAttributes, r.Attributes)
	return t
}

// wants learns which members img is to have.
func (t *takeover) wants(ctx context.Context) (err error) {
	if !t.share {
		return nil
	}
	t.wanted, err = t.c.sharer.Members(ctx, t.over.ID)
	if image.Is(err, image.NotFound) { // gone meanwhile: its retirement finds out
		return nil
	}
	return wrap(opRenameOver, t.over.ID, err)
}

// do makes the rename: img becomes what it shall be, then over is retired. Where
// that is refused, img becomes what it was. Once it has begun, ctx does not end it
// but at its deadline: half a rename is worse than a late one.
func (t *takeover) do(ctx context.Context, toEntry string) (image.Image, error) {
	if ctx.Err() != nil {
		return image.Image{}, wrap(opRenameOver, t.img.ID, ctx.Err())
	}
	bound, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), bound)
	defer cancel()
	if err := t.journal.Note(t.noted); err != nil {
		t.journal.Settled()
		return image.Image{}, err
	}
	renamed, err := t.c.update(ctx, t.img.ID, t.changes, toEntry)
	switch {
	case unanswered(err): // what has become of it is looked at later
		if t.journal.Drafted() {
			t.undone()
		}
		return image.Image{}, err
	case err != nil:
		t.journal.Settled()
		return image.Image{}, err
	}
	if err := t.shareOut(ctx); err != nil {
		t.giveBack(ctx, err)
		return image.Image{}, err
	}
	err = t.retire(ctx)
	switch {
	case unanswered(err):
		t.c.log.Error("whether the replaced image is gone is not known; its successor keeps the name", slog.String("image", t.img.ID),
			slog.String("replaced", t.over.ID), slog.String("name", renamed.Name), slog.Any("error", err))
		return renamed, err
	case err != nil:
		t.giveBack(ctx, err)
		return image.Image{}, err
	}
	t.done()
	return renamed, nil
}

// retire takes over away. An unanswered error: it may be there yet.
func (t *takeover) retire(ctx context.Context) error {
	err := t.c.retire(ctx, t.over, t.img.ID)
	if unanswered(err) {
		err = t.c.settled(ctx, t.over, err)
	}
	return err
}

func (t *takeover) field(name string, old, now any) {
	t.changes = append(t.changes, image.Change{Field: name, Value: now})
	t.undo = append(t.undo, image.Change{Field: name, Value: old})
}

func (t *takeover) property(name, value string) {
	t.changes = append(t.changes, image.Change{Field: name, Property: true, Value: value})
	back := image.Change{Field: name, Property: true}
	if old, had := t.img.Properties[name]; had {
		back.Value = old
	}
	t.undo = append(t.undo, back)
}

// allTags returns the tags of both, a's first.
func allTags(a, b []string) []string {
	all := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}

// shareOut gives img, which is shared by now, the members that are wanted and no
// others.
func (t *takeover) shareOut(ctx context.Context) error {
	if !t.share {
		return nil
	}
	has, err := t.c.sharer.Members(ctx, t.img.ID)
	if err != nil {
		return wrap(opRenameOver, t.img.ID, err)
	}
	come, leave := without(t.wanted, has), without(has, t.wanted)
	if !t.noted.Noted {
		t.noted.Members, t.noted.Noted = has, true
		if len(come)+len(leave) > 0 {
			if err := t.journal.Note(t.noted); err != nil {
				return err
			}
		}
	}
	t.since(has)
	// What was tried counts as done: the answer can be lost.
	tried, _, err := t.each(ctx, come, true, t.c.sharer.AddMember)
	t.added = append(t.added, tried...)
	if err == nil {
		tried, _, err = t.each(ctx, leave, true, t.c.sharer.RemoveMember)
		t.removed = append(t.removed, tried...)
	}
	return wrap(opRenameOver, t.img.ID, err)
}

// each changes the members of img, some at once, and returns those that were tried, those
// of them that failed, and a failure: with stop the first one, which ends it, else an
// unanswered one, if there is any.
func (t *takeover) each(ctx context.Context, members []image.Member, stop bool, change func(ctx context.Context, id, project string) error) (tried, failed []image.Member, err error) {
	work := new(errgroup.Group)
	if stop {
		work, ctx = errgroup.WithContext(ctx)
	}
	work.SetLimit(memberChanges)
	failures := make([]error, len(members))
	for i, m := range members {
		if stop && ctx.Err() != nil {
			break
		}
		tried = append(tried, m)
		work.Go(func() error {
			failures[i] = change(ctx, t.img.ID, m.Project)
			return failures[i]
		})
	}
	err = work.Wait()
	for i, m := range tried {
		if failures[i] == nil {
			continue
		}
		failed = append(failed, m)
		if !stop && unanswered(failures[i]) {
			err = failures[i]
		}
	}
	return tried, failed, err
}

// since notes how the members of img, which are these now, differ from those that it
// had: an earlier run may have begun.
func (t *takeover) since(has []image.Member) {
	t.added, t.removed = without(has, t.noted.Members), without(t.noted.Members, has)
}

// without returns the members of a that are not in b.
func without(a, b []image.Member) []image.Member {
	return slices.DeleteFunc(slices.Clone(a), func(m image.Member) bool {
		return slices.ContainsFunc(b, func(o image.Member) bool { return o.Project == m.Project })
	})
}

// accepted returns the projects among the members that have accepted the share.
func accepted(members []image.Member) []string {
	var projects []string
	for _, m := range members {
		if m.Status == "accepted" {
			projects = append(projects, m.Project)
		}
	}
	return projects
}

// done ends the rename, and logs what could not be taken over: an acceptance is the
// member's own to give.
func (t *takeover) done() {
	t.journal.Settled()
	if lost := accepted(t.added); len(lost) > 0 {
		t.c.log.Warn("the image is shared with the projects of the one that it replaced, which have to accept it again",
			slog.String("image", t.img.ID), slog.String("replaced", t.over.ID), slog.Any("projects", lost))
	}
}

// giveBack ends a rename that has failed, as why says: img becomes what it was, also after
// ctx has ended. What the service does not answer in the time that is left, the recovery
// does, for then the journal stays.
func (t *takeover) giveBack(ctx context.Context, why error) {
	t.undone()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoBound)
	defer cancel()
	if err := t.putBack(ctx, unanswered(why)); !unanswered(err) {
		t.journal.Settled()
	}
}

// undone notes that the rename has failed: its image, and a draft of that, keep their name.
func (t *takeover) undone() {
	t.noted.Undone = true
	t.c.noteUndone(t.noted, t.journal)
}

func (c *Catalog) noteUndone(r image.Rename, j RenameJournal) {
	r.Undone = true
	if err := j.Note(r); err != nil {
		c.log.Warn("the journal of a rename does not know that it is taken back; should the daemon end now, the next one tries the rename again",
			slog.String("image", r.Image.ID), slog.Any("error", err))
	}
}

// putBack makes img what it was. Its record comes first, for that ends two images of one
// name, and what projects see of img that see it by the rename only. But the members of an
// image that is not shared cannot be changed. So where it was not, they come before, for
// half of the time; in a hurry they are left, for then they see nothing.
func (t *takeover) putBack(ctx context.Context, hurry bool) error {
	shared := t.img.Visibility == image.VisibilityShared
	if !shared && !hurry {
		early, cancel := context.WithCancel(ctx)
		if bound, ok := ctx.Deadline(); ok {
			cancel()
			early, cancel = context.WithTimeout(ctx, time.Until(bound)/2)
		}
		_ = t.membersBack(early) // which of them are left is said below
		cancel()
	}
	_, err := t.c.update(ctx, t.img.ID, t.undo, EntryName(t.img.Name, t.img.ID))
	switch {
	case unanswered(err):
		t.c.log.Warn("a rename has failed, and the service does not answer whether its image has the old name again; that is tried later",
			slog.String("image", t.img.ID), slog.String("old name", t.img.Name), slog.Any("error", err))
	case err != nil:
		t.c.log.Error("the old name of an image cannot be put back; it keeps the new one", slog.String("image", t.img.ID),
			slog.String("old name", t.img.Name), slog.Any("error", err))
	case shared:
		err = t.membersBack(ctx)
	case len(t.added)+len(t.removed) > 0:
		t.c.log.Warn("a rename has failed, and the image, which is not shared, has members by it: should you ever share the image, remove them",
			slog.String("image", t.img.ID), slog.Any("projects", projects(t.added)), slog.Any("removed", projects(t.removed)))
	}
	return err
}

// membersBack gives img the members that it had; added and removed are what is left of
// the difference. An unanswered error: it can be called again.
func (t *takeover) membersBack(ctx context.Context) error {
	lost := accepted(t.removed)
	var err, failure error
	_, t.added, err = t.each(ctx, t.added, false, t.c.sharer.RemoveMember)
	_, t.removed, failure = t.each(ctx, t.removed, false, t.c.sharer.AddMember)
	if !unanswered(err) && failure != nil {
		err = failure
	}
	id := slog.String("image", t.img.ID)
	switch {
	case unanswered(err):
		t.c.log.Warn("the service does not answer whether an image has the members again that it had before a failed rename; that is tried later", id, slog.Any("error", err))
	case err != nil:
		t.c.log.Error("the members that an image had before a failed rename cannot be put back; see to it by hand", id,
			slog.Any("remove", projects(t.added)), slog.Any("add", projects(t.removed)), slog.Any("error", err))
	case len(lost) > 0:
		t.c.log.Warn("after a failed rename these projects have to accept the image again", id, slog.Any("projects", lost))
	}
	return err
}

// projects are those that the members are.
func projects(members []image.Member) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.Project)
	}
	return all
}
