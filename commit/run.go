package commit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// run is one commit of one draft. It belongs to one goroutine.
type run struct {
	c    *Committer
	d    *staging.Draft
	snap *staging.Snapshot
	rec  staging.Record // the journal as the commit found it, after prepare settled it
	prog *progress
	log  *slog.Logger // names the image and the draft

	owed  bool                        // a failure that passes leaves the commit owed
	turn  func(context.Context) error // called before publishing; nil for nobody
	letGo func()                      // lets the draft's writers go on: its bytes are not read any more

	plan  plan
	proof *proof // of the image under an edit; nil where there is none, or it is not known
	told  bool   // the journal has had a state of this run
	used  bool   // the id that the draft began with, perhaps
	made  string // id of the record that has to be taken back if this fails; "" for none

	published bool // the image may show

	filled    bool // what the queued record has is known to be this draft's
	refused   bool // it is not: the service has refused the last upload for what it had, or saw nothing of it
	overtaken bool // somebody else has filled it: the commit goes on with a new record

	kept string // id of a record that could not be taken back; "" for none
	late string // id of a record whose creation, or making ready, was not answered; "" for none

	missed string // id of a record that an earlier process has announced, and that is not there yet; "" for none
}

// plan is what prepare found out. Nothing in the service has been changed yet
// when it is complete.
type plan struct {
	create  image.New      // the new record, without id, marks and attributes
	old     *image.Image   // the image that is replaced; nil for none
	from    *image.Image   // old as the new record takes over from it; nil where that does not
	into    *image.Image   // the queued record that gets the data; nil for none
	read    time.Time      // when old and into were read
	adopted *image.Image   // what an earlier commit has uploaded whole; nil for none
	members []image.Member // of old
	empty   bool           // there is no byte: no data, status queued
	keep    bool           // the formats are the base image's and stay so
	hidden  bool           // the image stays hidden at the end
}

// errUnlinked ends a commit whose entry was removed meanwhile.
var errUnlinked = errors.New("the entry was removed")

// do runs the states in their order. On an error the record made by the last try
// has been taken back, or is named in r.kept.
func (r *run) do(ctx context.Context) (image.Image, error) {
	r.prog.phase(Preparing)
	work := ctx
	if r.turn != nil {
		work = image.Briefly(ctx) // all of it is tried again
	}
	left, err := r.resume(work)
	if err != nil {
		return image.Image{}, cause(ctx, err)
	}
	if left != nil {
		return r.goPublic(ctx, *left)
	}
	if err := r.begun(); err != nil {
		return image.Image{}, err
	}
	err = r.prepare(work)
	if image.Is(err, image.Corrupt) {
		r.renew(err)
		err = r.prepare(work)
	}
	if err != nil {
		return image.Image{}, cause(ctx, err)
	}
	if r.plan.empty && r.plan.into != nil && r.plan.old == nil {
		return r.stayEmpty(ctx)
	}
	img, err := r.tryUploads(work)
	if err != nil {
		return image.Image{}, cause(ctx, err)
	}
	return r.goPublic(ctx, img)
}

// begun journals that a close has begun, so that a crash does not take it for a file
// that is still open: it may wait long for its turn to upload.
func (r *run) begun() error {
	if r.rec.State == staging.StateCommitting {
		return nil
	}
	return r.journal(staging.StateCommitting, nil)
}

// goPublic does what follows once the service has every byte. An empty image that another
// draft's commit is filling is left as that has made it: it is not whole, and its mark is how
// that commit knows it again.
func (r *run) goPublic(ctx context.Context, img image.Image) (image.Image, error) {
	if mark := img.Properties[image.PropertyDraft]; r.plan.empty && mark != "" && !r.marked(img) {
		return img, r.journal(staging.StateCommitted, nil)
	}
	if r.turn != nil {
		if err := r.turn(ctx); err != nil {
			if r.plan.adopted != nil && r.rec.State == staging.StateVisible {
				// Others see it, and perhaps nothing else of that name, until it is replaced.
				r.made = ""
				return image.Image{}, unsettled(cause(ctx, err))
			}
			if ctx.Err() != nil {
				r.letGo()
			}
			r.takeBack(ctx)
			return image.Image{}, cause(ctx, err)
		}
	}
	// From here on a cancellation comes too late: half a publication is worse.
	ctx, cancel := sturdy(ctx)
	defer cancel()
	r.prog.phase(Publishing)
	img, err := r.publish(ctx, img)
	if errors.Is(err, errUnsure) {
		r.kept, r.made = r.made, ""
		r.c.names.Doubt(r.kept, r.d.Record().Name) // two images may have it now
	}
	if err != nil {
		r.takeBack(ctx)
		return image.Image{}, err
	}
	return r.finish(ctx, img)
}

// tryUploads makes the record and gives it the data, with a new record each time
// where trying again is safe.
func (r *run) tryUploads(ctx context.Context) (image.Image, error) {
	wait := waits()
	wait.Reset()
	corrupt := 0
	for try := 1; ; try++ {
		img, err := r.attempt(ctx)
		if err == nil {
			return img, nil
		}
		if ctx.Err() != nil {
			r.letGo()
		}
		r.takeBack(ctx)
		if r.overtaken && ctx.Err() == nil {
			r.overtaken = false
			continue
		}
		if image.Is(err, image.Corrupt) {
			corrupt++
			r.renew(err)
		}
		safe := transient(err) || image.Is(err, image.Corrupt) && corrupt < 2
		if !safe || try >= tries || image.Brief(ctx) || r.kept != "" || ctx.Err() != nil {
			return image.Image{}, err
		}
		pause := wait.NextBackOff()
		r.log.Log(ctx, image.FailureLevel(ctx, slog.LevelWarn), "an upload failed; it is tried again", "error", err, "try", try, "of", tries, "wait", pause)
		r.prog.phase(Waiting)
		if err := image.Pause(ctx, pause); err != nil {
			return image.Image{}, err
		}
	}
}

// attempt is one try: a record, hidden, with its members and its checked data.
func (r *run) attempt(ctx context.Context) (image.Image, error) {
	r.prog.phase(Waiting)
	if r.turn != nil || r.owed {
		if err := r.c.behind.Acquire(ctx, 1); err != nil {
			return image.Image{}, err
		}
		defer r.c.behind.Release(1)
	}
	if err := r.c.uploads.Acquire(ctx, 1); err != nil {
		return image.Image{}, err
	}
	defer r.c.uploads.Release(1)
	if r.d.Record().Unlinked {
		return image.Image{}, errUnlinked
	}
	r.prog.phase(Preparing)
	if err := r.prove(ctx); err != nil {
		return image.Image{}, err
	}
	img, err := r.record(ctx)
	if err != nil {
		return image.Image{}, err
	}
	if r.plan.empty {
		return img, r.journal(staging.StateUploaded, nil)
	}
	if err := r.journal(staging.StateCreated, func(rec *staging.Record) { rec.Filling = r.plan.into != nil }); err != nil {
		return image.Image{}, err
	}
	err = r.snap.During(ctx, func() (err error) {
		img, err = r.upload(ctx, img.ID)
		return err
	})
	if err != nil {
		return image.Image{}, err
	}
	return img, r.journal(staging.StateUploaded, nil)
}

// nextID is the id of the next record: the draft's own, from which the entry's inode
// number comes, as long as the draft has never had an image, nor failed to get one.
// (The record with that id may be somebody's by now: it may lie in the trash.)
func (r *run) nextID() string {
	fresh := r.rec.Replaces == "" && r.rec.Inherit == "" && r.rec.State != staging.StateFailed && r.rec.Reason == ""
	if r.used || !fresh {
		return uuid.NewString()
	}
	r.used = true
	return r.d.ID()
}

// journal writes the state before the action that it announces.
func (r *run) journal(s staging.State, change func(*staging.Record)) error {
	r.told = true
	return r.d.Update(func(rec *staging.Record) {
		rec.State, rec.Reason = s, ""
		if change != nil {
			change(rec)
		}
	})
}

// finish tells the draft and the directory that everything is done.
func (r *run) finish(ctx context.Context, img image.Image) (image.Image, error) {
	if err := r.goOnFrom(img); err != nil {
		// The image stays: its close is answered truthfully, and what the journal
		// names as made is taken for the image to replace by the next commit.
		r.log.Error("the image is committed, but the journal could not say so; a restart will list the draft",
			"image", img.ID, "error", err, "data", r.d.Path())
	}
	if r.d.Unlinked() {
		return image.Image{}, r.tooLate(ctx)
	}
	retired := ""
	if r.plan.old != nil {
		retired = r.plan.old.ID
	}
	r.c.names.Committed(r.d.ID(), img, retired)
	if r.d.Unlinked() { // in the moment between
		return image.Image{}, r.tooLate(ctx)
	}
	r.log.Info("committed", "image", img.ID, "replaced", retired, "size", img.Size, "disk_format", img.DiskFormat, "status", string(img.Status))
	return img, nil
}

// goOnFrom has the next commit of the draft replace the image or, where that is the queued
// record that was there before, fill it.
func (r *run) goOnFrom(img image.Image) error {
	if r.plan.empty && r.plan.into != nil && r.plan.old == nil {
		return r.journal(staging.StateCommitted, func(rec *staging.Record) {
			rec.Image, rec.Filling = "", false
			rec.Settings, rec.Given = image.Settings{}, image.Settings{} // the image has them, as in Rebase
		})
	}
	var base staging.Base
	if r.plan.keep { // otherwise all the bytes are the draft's own
		base = r.c.bases.OpenBase(img)
	}
	return r.d.Rebase(base, img)
}

// tooLate removes the image whose entry was removed while it was published: who
// removed the draft must not find it as an image.
func (r *run) tooLate(ctx context.Context) error {
	r.takeBack(ctx)
	return errUnlinked
}

// reader is the content for format detection.
func (r *run) reader(ctx context.Context) io.ReaderAt { return readerAt{ctx: ctx, from: r.snap} }
