package commit

import (
	"context"
	"errors"
	"time"

	"github.com/imagefs/imagefs/format"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

const (
	bare       = "bare"       // container format of a file that is just a disk
	compressed = "compressed" // container format of a disk in a gzip file
)

// opReplace is the operation that errors name which refuse the replaced image.
const opReplace = "replace"

// undetectable are disk formats that content does not tell: a queued record
// that was given one keeps it.
var undetectable = []string{"ami", "ari", "aki", "ploop"}

// prepare decides everything that can be decided before the service is changed,
// and refuses what must not be.
func (r *run) prepare(ctx context.Context) error {
	r.plan = plan{empty: r.snap.Size() == 0, keep: r.d.ShowsBase(), read: time.Now()}
	source, err := r.findSource(ctx)
	if err != nil {
		return err
	}
	r.sharesAsRemoved()
	switch {
	case source == nil:
		r.plan.create = r.c.defaults.fresh(r.rec.Name)
	default:
		r.plan.create = successor(*source, r.rec.Name)
		r.plan.hidden = r.asFound(*source).StaysHidden()
	}
	if source != nil && r.plan.old != nil && source.ID == r.plan.old.ID {
		r.plan.from = r.plan.old
	}
	if err := r.formats(ctx, source); err != nil {
		return err
	}
	r.plan.create = r.rec.Settings.Create(r.plan.create)
	return nil
}

// findSource reads the record that the new one takes over from: the queued one
// that gets the data, the one that the draft names, or the replaced one. It is
// nil for a new file, and where that record is gone and was never known here.
func (r *run) findSource(ctx context.Context) (*image.Image, error) {
	if err := r.findOld(ctx); err != nil {
		return nil, err
	}
	if r.rec.Into != "" {
		return r.findInto(ctx)
	}
	if r.rec.Inherit == "" || r.plan.old != nil && r.plan.old.ID == r.rec.Inherit {
		return r.plan.old, nil
	}
	source, err := r.lookup(ctx, r.rec.Inherit)
	if err != nil {
		return nil, err
	}
	if source == nil {
		source = r.remembered(r.rec.Inherit)
	}
	if source == nil {
		return r.plan.old, nil
	}
	return source, source.Replaceable(opReplace)
}

// asFound is a record as it was before a commit of this draft made it ready.
func (r *run) asFound(img image.Image) image.Image {
	if was := r.remembered(img.ID); was != nil && r.marked(img) {
		img = img.Clone()
		img.Hidden = was.StaysHidden()
		delete(img.Properties, image.PropertyDraft)
	}
	return img
}

// remembered is the record with the id as the journal has it, where it has: all
// there is of one that somebody has deleted since.
func (r *run) remembered(id string) *image.Image {
	if known := r.rec.Inherited; known != nil && known.ID == id {
		return known
	}
	return nil
}

// findOld reads the image that is replaced and refuses what must not be. One
// that is gone by now needs no retiring.
func (r *run) findOld(ctx context.Context) error {
	id := r.rec.Replaces
	if id == "" || id == r.rec.Into {
		return nil
	}
	old, err := r.lookup(ctx, id)
	if err != nil || old == nil {
		return err
	}
	if err := old.Replaceable(opReplace); err != nil && !r.retired(*old) {
		return err
	}
	r.plan.old = old
	r.c.expect(old.HashAlgo, false)
	r.plan.members, err = r.members(ctx, *old)
	return err
}

// lookup reads one record; nil when there is none (any more), and then the directory is
// told: what a commit makes in its place has the same name.
func (r *run) lookup(ctx context.Context, id string) (*image.Image, error) {
	var found *image.Image
	err := again(ctx, transient, func(ctx context.Context) error {
		img, err := r.c.service.Get(ctx, id)
		switch {
		case image.Is(err, image.NotFound), err == nil && gone(img):
			return nil
		case err == nil:
			found = &img
		}
		return err
	})
	if err == nil && found == nil {
		r.c.names.Gone(id)
	}
	return found, err
}

// inPlace is lookup without the trash: what lies there has been retired, and is not
// what a commit is making.
func (r *run) inPlace(ctx context.Context, id string) (*image.Image, error) {
	img, err := r.lookup(ctx, id)
	if img != nil {
		if _, trashed := img.Trashed(); trashed {
			return nil, nil
		}
	}
	return img, err
}

// gone reports a record that the service still shows and has deleted.
func gone(img image.Image) bool {
	return img.Status == image.StatusDeleted || img.Status == image.StatusPendingDelete
}

// members reads with whom the replaced image is shared. Only a shared image has
// members.
func (r *run) members(ctx context.Context, old image.Image) ([]image.Member, error) {
	if old.Visibility != image.VisibilityShared {
		return nil, nil
	}
	var all []image.Member
	err := again(ctx, transient, func(ctx context.Context) error {
		var err error
		all, err = r.c.service.Members(ctx, old.ID)
		if image.Is(err, image.NotFound) {
			all, err = nil, nil
		}
		return err
	})
	return all, err
}

// formats decides disk and container format: those of the base image for one
// that is edited in place (a guest could have written another format's header
// into its disk), else what the content is.
func (r *run) formats(ctx context.Context, source *image.Image) error {
	to := &r.plan.create
	if r.plan.keep {
		over, ok := r.d.BaseImage()
		if ok && over.DiskFormat == "" && source != nil && source.ID == over.ID {
			over = *source
		}
		if over.DiskFormat == "" {
			return &image.Error{Op: "commit", Image: r.rec.Base, Kind: image.Stale, Detail: "the image that was edited has been deleted, and its formats with it"}
		}
		to.DiskFormat, to.ContainerFormat = over.DiskFormat, over.ContainerFormat
		return r.stillWhole(ctx, over)
	}
	if r.plan.empty {
		return nil // chosen when there is content
	}
	at, size := r.reader(ctx), r.snap.Size()
	disk, err := format.Detect(at, size)
	if err != nil {
		return contentError(err)
	}
	to.DiskFormat, to.ContainerFormat = disk, bare
	if r.plan.into != nil && disk == format.Raw {
		r.keepDeclared(to)
	}
	*to = r.rec.Settings.Create(*to) // whoever names a format knows better than the content
	err = format.Check(at, size, to.DiskFormat, to.ContainerFormat)
	var no *format.Refused
	if errors.As(err, &no) && source != nil && source.ContainerFormat == compressed && to.ContainerFormat != compressed {
		// A compressed image is overwritten, and this may be another one.
		if format.Check(at, size, disk, compressed) == nil {
			to.DiskFormat, to.ContainerFormat, err = source.DiskFormat, compressed, nil
		}
	}
	switch {
	case errors.As(err, &no):
		return &image.Error{Op: "check format", Kind: image.Rejected, Detail: no.Reason}
	case err != nil:
		return contentError(err)
	}
	return nil
}

// stillWhole refuses an edit after which the image needs another file, as `qemu-img
// rebase` makes one. Whether the content is compressed was settled when the image
// was made.
func (r *run) stillWhole(ctx context.Context, over image.Image) error {
	if over.ContainerFormat == compressed || r.plan.empty {
		return nil
	}
	err := format.Check(r.reader(ctx), r.snap.Size(), over.DiskFormat, compressed)
	var no *format.Refused
	switch {
	case errors.As(err, &no):
		return &image.Error{Op: "check format", Kind: image.Rejected, Detail: no.Reason}
	case err != nil:
		return contentError(err)
	}
	return nil
}

// keepDeclared keeps what a queued record says of its future data where content
// cannot tell.
func (r *run) keepDeclared(to *image.New) {
	declared := r.plan.into
	for _, disk := range undetectable {
		if declared.DiskFormat == disk {
			to.DiskFormat = disk
			if declared.ContainerFormat != "" {
				to.ContainerFormat = declared.ContainerFormat
			}
		}
	}
}

// settle changes the journal and the copy that this run goes by.
func (r *run) settle(change func(*staging.Record)) error {
	if err := r.d.Update(change); err != nil {
		return err
	}
	change(&r.rec)
	return nil
}
