package fs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// draft is the writing side of a node.
//
// It commits when a process that opened it closes what it has written, and at the
// latest when its last writer has gone. It ends (settle) when it has neither writers
// nor bytes that the service does not have.
type draft struct {
	fs    *FS
	node  *node
	bytes Draft

	mu    sync.Mutex // guards the fields below
	entry string     // file name that it will have
	name  string     // of the image that it becomes, and of the one under it unless others have renamed that
	// replaces is the image that the draft of a new one was renamed over: its commit
	// retires it. nil for none.
	replaces *image.Image
	// follows is the image whose record the commit carries over though it is gone; nil:
	// that of replaces.
	follows  *image.Image
	writers  int  // open handles that write
	closed   bool // settled: nobody joins any more
	last     bool // the commit after its last writer runs: no writer joins, lest it take half of what is written
	unlinked bool // its entry was removed: never committed
	// doomed is there while its entry is being removed, and closed when it is known
	// whether it was: until then nothing is committed.
	doomed chan struct{}
	killed bool // the last process that closed it was told to stop
	unsure bool // with killed: nobody could tell for sure
	// killedAt is change when that was.
	killedAt uint64
	// change counts the changes of the bytes; wrote is change at the last one that
	// was not a truncation by open(2), and cached at the last one that the kernel has
	// sent from its page cache, where it does not say who made it; settled is change
	// at the last commit that was tried, and failure how that one ended.
	//
	// accepted is change at the last close that was answered before its commit, which
	// is owed while settled is less; behind is the wait for it.
	change, wrote, cached, settled, accepted uint64

	failure   error
	behind    *behind
	changing  int                     // changes of the bytes under way
	lingers   lingerState             // of a file that ended empty
	unopened  bool                    // made by mknod(2), and nobody has opened it for writing yet
	accepting bool                    // a close is being answered: what is set now, its journal does not have
	unnoted   bool                    // the journal does not say that the commit is owed (note)
	cut       int                     // tries of the commit behind that a change has ended, since the last that succeeded
	set       image.Attributes        // what the committed image will carry
	noted     image.Attributes        // of that, what the journal has
	settings  image.Settings          // of its record; the journal has them
	cancel    context.CancelCauseFunc // ends the commit that runs; nil when none does
}

// handleChanges is what one open handle has changed of its draft, as draft.change at the time,
// and guarded by draft.mu. A close answers for what was written through its handle: it
// must not publish what another program has half written.
type handleChanges struct {
	changed uint64 // at the last change, to make or to truncate the file by open(2) too
	wrote   uint64 // at the last one that was not by open(2)
	unheard bool   // its program has ended without a close, and is told of no failure
}

// create begins the draft of a new entry and its node, for one handle.
func (f *FS) create(entry, name string, by *handleChanges) (*draft, error) {
	bytes, err := f.Drafts.Create(DraftSpec{Name: name, Entry: entry})
	if err != nil {
		return nil, err
	}
	d := &draft{fs: f, bytes: bytes, writers: 1, entry: entry, name: name, change: 1}
	by.changed = d.change
	if err := f.Catalog.AddDraft(entry, bytes.ID()); err != nil {
		return nil, errors.Join(err, bytes.Discard())
	}
	f.changes.Add(1)
	f.mu.Lock()
	d.node = f.newNodeLocked(keyOf(bytes.ID()), image.Packed{})
	d.node.draft, d.node.open = d, 1 // nobody has the node yet
	f.bindLocked(d)
	f.mu.Unlock()
	return d, nil
}

// openWrite returns the node's draft with the caller counted as a writer, a new
// one over the node's image when there is none. The caller's handle is counted too,
// and its release ends both.
func (n *node) openWrite(ctx context.Context, truncate bool, by *handleChanges) (*draft, error) {
	if err := n.enter(); err != nil {
		return nil, err
	}
	d, err := n.begin(ctx, truncate, by)
	if err != nil {
		n.leave()
	}
	return d, err
}

// begin joins the node's draft or begins it.
func (n *node) begin(ctx context.Context, truncate bool, by *handleChanges) (*draft, error) {
	if d := n.join(by); d != nil {
		return d, d.truncateAtOpen(ctx, truncate, by)
	}
	if err := n.take(ctx); err != nil {
		return nil, err
	}
	defer n.give()
	if d := n.join(by); d != nil { // begun while we waited
		return d, d.truncateAtOpen(ctx, truncate, by)
	}
	return n.edit(ctx, truncate, by)
}

// join counts one more writer of the node's draft and returns it, nil when there is
// none or it has ended.
func (n *node) join(by *handleChanges) *draft {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draft == nil || !n.draft.join(by) {
		return nil
	}
	return n.draft
}

// truncateAtOpen is O_TRUNC on a draft that others have open. As in truncate, a
// length that is right changes nothing.
func (d *draft) truncateAtOpen(ctx context.Context, truncate bool, by *handleChanges) error {
	if !truncate || d.right(0) {
		return nil
	}
	defer d.touch()()
	if err := d.bytes.Truncate(ctx, 0); err != nil {
		d.unchanged(by)
		d.leave()
		return err
	}
	d.changed(by, false)
	return nil
}

// edit makes a draft over the image, in the node's turn: empty when truncated, else
// with the image's bytes under what will be written.
func (n *node) edit(ctx context.Context, truncate bool, by *handleChanges) (*draft, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryBound)
	defer cancel()
	f := n.fs
	entry, parent := n.Parent()
	n.mu.Lock()
	img, gone := n.img.Unpack(), n.gone
	n.mu.Unlock()
	if img.ID == "" || gone || parent == nil {
		return nil, &image.Error{Op: "open for writing", Image: img.ID, Kind: image.Stale, Detail: "it is not in the directory any more"}
	}
	if err := f.policy.rewrite("open for writing", img); err != nil {
		return nil, err
	}
	// An image that a rename has left with the new name would get its old one back under the
	// draft, and what it was renamed over would be at the entry, too.
	if err := f.Catalog.FinishBefore(ctx, img.ID); err != nil {
		return nil, err
	}
	if img.Status != image.StatusActive {
		fresh, err := f.Catalog.ByID(ctx, img.ID)
		if err != nil {
			return nil, err
		}
		n.found(image.Pack(fresh))
		img = fresh
	}
	img = f.asSet(img)
	spec := DraftSpec{Name: img.Name, Entry: entry, Attributes: img.Attributes()}
	spec.Attributes.ModTime = nil // new bytes have a time of their own
	switch {
	case img.Status == image.StatusQueued:
		spec.Into = &img
	case !img.HasData() || img.Status != image.StatusActive:
		if err := readable("open for writing", img); err != nil {
			return nil, err
		}
		return nil, &image.Error{Op: "open for writing", Image: img.ID, Kind: image.Forbidden, Detail: "its status is " + string(img.Status)}
	default:
		spec.Replaces = &img
		if !truncate && img.Size > 0 {
			if err := f.mayRead(ctx, img); err != nil {
				return nil, err
			}
			spec.Base = f.Engine.Open(img)
		}
	}
	bytes, err := f.Drafts.Create(spec)
	if err != nil {
		return nil, err
	}
	d := &draft{fs: f, node: n, bytes: bytes, writers: 1, entry: entry, name: spec.Name, set: spec.Attributes, noted: spec.Attributes}
	switch {
	case img.Size == 0: // it has no base that would tell; the first write ends it
		at := modified(img)
		d.set.ModTime = &at
	case truncate:
		d.change, by.changed = 1, 1
	}
	if err := f.Catalog.AddDraft(entry, bytes.ID()); err != nil {
		return nil, errors.Join(overtaken(err), bytes.Discard())
	}
	f.mu.Lock()
	f.bindLocked(d)
	f.mu.Unlock()
	n.mu.Lock()
	n.draft = d
	n.mu.Unlock()
	return d, nil
}

// overtaken is the error of who opens what was just looked up, and finds that another draft has
// been begun there meanwhile: ESTALE has the kernel look again, and open that.
func overtaken(err error) error {
	if image.Is(err, image.Exists) {
		return &image.Error{Op: "open for writing", Kind: image.Stale, Err: err}
	}
	return err
}

// allDrafts are those that have not ended.
func (f *FS) allDrafts() []*draft {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.drafts))
}

// forget takes the draft out of the directory.
func (d *draft) forget() {
	d.fs.Catalog.RemoveDraft(d.bytes.ID())
	d.fs.unbind(d)
}

// join counts one more writer; false when the draft has ended, or is about to. The first
// one of a file that nobody has opened has made it, as by create.
func (d *draft) join(by *handleChanges) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.last {
		return false
	}
	if d.unopened {
		d.unopened, by.changed = false, d.change
	}
	d.writers++
	return true
}

// ended reports whether nobody can join any more.
func (d *draft) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *draft) isUnlinked() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unlinked
}

// leave counts one writer less. When none is left, the rest is done aside: the kernel
// waits for no answer, and a commit must not hold one of its places for background
// requests.
func (d *draft) leave() {
	d.mu.Lock()
	d.writers--
	last := d.writers == 0
	d.mu.Unlock()
	if last {
		d.fs.settling.Go(d.settle)
	}
}

// changed counts a change of the bytes through a handle, nil for one that came from
// the page cache. A truncation by open(2) alone makes no close commit: a shell's
// "> file" closes before the command has run.
func (d *draft) changed(by *handleChanges, written bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set.ModTime = nil // what was set before these bytes is no longer their time
	d.countLocked(by, written)
}

func (d *draft) countLocked(by *handleChanges, written bool) {
	d.change++
	if by == nil {
		d.cached = d.change
	} else {
		by.changed = d.change
	}
	if written {
		d.wrote = d.change
		if by != nil {
			by.wrote = d.change
		}
	}
}

// missesLocked reports whether a close of the handle has something to commit: what was
// written through it, perhaps from the page cache, or when it is the last what closes
// that were not the opener's have left, unless their writer was killed.
func (d *draft) missesLocked(by *handleChanges) bool {
	taken := d.takenLocked()
	return max(by.wrote, d.cached) > taken || d.wrote > taken && d.writers == 1 && !d.killed
}

// unchanged counts a change that has failed where a commit is owed: what was to come
// has taken back what the journal promised (Draft.Accept), and the next close has to
// promise it anew.
func (d *draft) unchanged(by *handleChanges) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accepted > d.settled {
		d.countLocked(by, true)
	}
}

func (d *draft) write(ctx context.Context, by *handleChanges, p []byte, off int64) (int, error) {
	defer d.touch()()
	n, err := d.bytes.WriteAt(ctx, p, off)
	switch {
	case n > 0:
		d.changed(by, true)
	case err != nil:
		d.unchanged(by)
	}
	return n, err
}

// right reports a length that the draft has, so that a truncation changes nothing: it
// does where it cuts off what a write was refused.
func (d *draft) right(size int64) bool {
	return d.bytes.Size() == size && !d.bytes.MissesFrom(size)
}

// truncate sets the length. One that is right already changes nothing, and so is
// no reason for a commit.
func (d *draft) truncate(ctx context.Context, by *handleChanges, size int64) error {
	if d.right(size) {
		return nil
	}
	defer d.touch()()
	if err := d.bytes.Truncate(ctx, size); err != nil {
		d.unchanged(by)
		return err
	}
	d.changed(by, true)
	return nil
}

func (d *draft) allocate(ctx context.Context, by *handleChanges, mode uint32, off, size int64) error {
	defer d.touch()()
	if err := d.bytes.Allocate(ctx, mode, off, size); err != nil {
		d.unchanged(by)
		return err
	}
	d.changed(by, true)
	return nil
}
