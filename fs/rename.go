package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/imagefs/imagefs/image"
)

// Flags of renameat2(2), from linux/fs.h.
const renameNoReplace = 1

// Rename gives the image another name; an image that has the new name already is
// retired. A draft is renamed by its journal and takes the new name to the
// service when it is committed.
func (r *rootNode) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	switch {
	case r.fs.policy.readOnly:
		return syscall.EROFS
	case flags&^uint32(renameNoReplace) != 0:
		return syscall.EINVAL
	case newParent.EmbeddedInode() != r.EmbeddedInode(), newName == byIDName, name == byIDName:
		return syscall.EPERM
	}
	c, cctx := r.fs.changeBounded(ctx)
	defer c.end()
	err := r.rename(cctx, name, newName, flags&renameNoReplace != 0)
	return errnoOf(r.fs.fail("rename", err, "entry", name, "to", newName))
}

func (r *rootNode) rename(ctx context.Context, from, to string, noReplace bool) error {
	name, err := r.fs.Catalog.ImageName(to)
	if err != nil {
		return err
	}
	n, err := r.target(ctx, from)
	if err != nil {
		return err
	}
	over, err := r.target(ctx, to)
	switch {
	case image.Is(err, image.NotFound):
		over = nil
		if err := r.fs.Catalog.FinishAt(ctx, to); err != nil {
			return err
		}
	case err != nil:
		return err
	case noReplace:
		return &image.Error{Op: "rename", Image: to, Kind: image.Exists}
	case over == n:
		return nil
	}
	// The turn of what comes before that of what goes: where there is none to be had,
	// nothing was given up.
	if err := n.take(ctx); err != nil {
		return err
	}
	defer n.give()
	spec := RenameSpec{From: from, To: to}
	under, moves := n.now()
	if moves != nil {
		spec.Moves = moves.bytes.ID()
	}
	if over == nil {
		free := replaced{}
		if under.ID != "" && moves != nil { // where the service does not answer, the draft keeps its name, and so has the image to
			free.journal = &renaming{RenameJournal: r.fs.Drafts.BeginRename(spec)}
			defer r.endJournal(free.journal, to)
		}
		_, err := n.renameInTurn(ctx, name, to, free)
		return err
	}
	img, _ := over.now()
	if err := r.fs.policy.rewrite("rename over", img); err != nil {
		return err // before a commit under way is given up
	}
	verdict, err := over.condemn(ctx)
	if err != nil {
		return err
	}
	goes, err := over.retires(ctx)
	if err != nil {
		verdict(false)
		return err
	}
	if goes.draft != nil {
		spec.Gone = goes.draft.bytes.ID()
	}
	journal := &renaming{RenameJournal: r.fs.Drafts.BeginRename(spec)}
	over.keepSet(image.Attributes{})
	named, err := n.renameInTurn(ctx, name, to, replaced{goes.img, spec.Gone, journal})
	verdict(named)
	if named && goes.strays {
		over.leaveImage(goes.draft)
	}
	if err != nil { // the kernel believes that nothing has moved, but who knows
		r.fs.notifier.entry(from)
		r.fs.notifier.entry(to)
	}
	r.endJournal(journal, to)
	return err
}

func (r *rootNode) endJournal(j *renaming, entry string) {
	if err := j.End(); err != nil {
		r.fs.log.Warn("the journal of a rename stays, and is looked at by the next mount", "entry", entry, "error", err)
	}
}

// replaced is what has the name that something is renamed to, each nil or "" for none.
type replaced struct {
	img     *image.Image
	draft   string
	journal *renaming // of the rename
}

// renameInTurn gives the node's image, its draft, or both the new name, which over had
// before. named: it has the name, also where the error says that it is not known what
// became of the image there.
func (n *node) renameInTurn(ctx context.Context, name, entry string, over replaced) (named bool, err error) {
	img, d := n.now()
	if img.ID == "" && d == nil {
		return false, &image.Error{Op: "rename", Kind: image.NotFound, Detail: "its draft was not committed"}
	}
	if err := n.fs.policy.change("rename", img); err != nil {
		return false, err
	}
	switch {
	case d == nil:
		return n.renameImage(ctx, img, entry, over)
	case img.ID == "":
		err := d.keepOwn(over.img)
		if err == nil {
			err = d.rename(ctx, name, entry, over.img, true, over.draft)
		}
		return err == nil, err
	}
	d.mu.Lock()
	was, wasNamed := d.entry, d.name
	d.mu.Unlock()
	img.Name = wasNamed
	switch err := n.fs.still(ctx, img); {
	case image.Is(err, image.Stale):
		return false, &image.Error{Op: "rename", Image: img.ID, Kind: image.Stale, Detail: "others have renamed the image under the draft"}
	case image.Is(err, image.NotFound):
		err := n.renameAlone(ctx, d, name, entry, over)
		return err == nil, err
	}
	// A commit that began before the image took over what was at the path would
	// publish without that.
	defer d.touch()()
	// The draft first: a disk that is full must not leave it with another name than
	// its image. (Of a crash in between the draft that had the entry is not to be the
	// victim, so its id is not told.) The predecessor of the draft stays what it is: the image.
	moved := true
	if move := func() error { return d.rename(ctx, name, entry, nil, false, "") }; over.journal != nil {
		over.journal.move = move
	} else if err := move(); err != nil {
		return false, err
	}
	named, err = n.renameImage(ctx, img, entry, over)
	if over.journal != nil {
		moved = over.journal.moved
	}
	switch {
	case named || !moved:
		return named, err
	case image.Is(err, image.NotFound) && image.Is(n.fs.still(ctx, img), image.NotFound): // just now: a commit that gave way removes a record that it has spoilt
		err := n.renameAlone(ctx, d, name, entry, over)
		return err == nil, err
	}
	if undo := d.rename(ctx, wasNamed, was, nil, false, ""); undo != nil {
		n.fs.log.Error("a rename failed, and the draft of the file keeps the new name", "image", img.ID, "name", name, "draft", d.bytes.Path(), "error", undo)
	} else if over.draft != "" {
		n.fs.Catalog.MoveDraft(over.draft, entry) // ours hid it
	}
	return false, err
}

// renameAlone gives the draft of an image that is gone the new name, where there is
// something to commit: else there is nothing that could have it. The commit still carries
// over what was known of that image, and retires what had the name.
func (n *node) renameAlone(ctx context.Context, d *draft, name, entry string, over replaced) error {
	img, _ := n.now()
	d.mu.Lock()
	pending := d.change > d.settled
	d.mu.Unlock()
	if !pending {
		return &image.Error{Op: "rename", Image: img.ID, Kind: image.NotFound, Detail: "it is gone, and nothing of it was changed here"}
	}
	own := n.fs.asSet(img).Attributes() // which may be later than what the commit carries over
	own.ModTime = nil                   // what is changed has the time of that
	if over.img != nil {
		own = overlaid(d.ownUnder(*over.img), own)
	}
	if err := d.goOnShowing(own); err != nil {
		return err
	}
	d.mu.Lock()
	d.follows = &img
	d.mu.Unlock()
	n.leaveImage(d)
	return d.rename(ctx, name, entry, over.img, false, over.draft)
}

// renameImage gives the node's image the name and retires what had it. named: the image
// has the name, also where what became of the other is not known.
func (n *node) renameImage(ctx context.Context, img image.Image, entry string, over replaced) (named bool, err error) {
	var journal RenameJournal
	if over.journal != nil {
		journal = over.journal
	}
	waits, with := n.fs.waiting(img)
	fresh, err := n.fs.Catalog.Rename(ctx, n.fs.asSet(img), entry, over.img, journal, with...)
	if fresh.ID != "" {
		n.fs.unsent.left(img.ID, waits)
		n.refresh(fresh)
	}
	if err == nil && over.img != nil {
		n.fs.unsent.drop(over.img.ID)
	}
	return fresh.ID != "", err
}

// rename gives the draft another name and entry, and of a new one another image to
// retire, and perhaps to inherit from. gone is the draft that had the entry, "" for none.
func (d *draft) rename(ctx context.Context, name, entry string, over *image.Image, inherit bool, gone string) error {
	if err := d.leaveReplaced(ctx); err != nil {
		return err
	}
	if err := d.bytes.Rename(name, entry, over, inherit, gone); err != nil {
		return err
	}
	d.mu.Lock()
	d.entry, d.name = entry, name
	if over != nil {
		d.replaces = over
		if inherit {
			d.follows = nil
		}
		d.interruptLocked(errOvertaken)
	}
	d.mu.Unlock()
	d.fs.Catalog.MoveDraft(d.bytes.ID(), entry)
	return nil
}
