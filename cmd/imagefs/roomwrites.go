package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// drafts makes drafts for fs, and counts those that have not ended.
type drafts struct {
	*staging.Store
	live  *atomic.Int64
	adopt func(*staging.Draft) (begin func()) // see rooms.adopt
	left  chan<- struct{}                     // see rooms.left
	fresh newFiles
}

// Create makes a draft. One of a new file must be of an image that shows.
func (s drafts) Create(spec fs.DraftSpec) (fs.Draft, error) {
	if spec.Into == nil && spec.Replaces == nil {
		if err := s.fresh.check(spec.Name); err != nil {
			return nil, err
		}
	}
	with := staging.Spec{Name: spec.Name, Entry: spec.Entry, Attributes: spec.Attributes}
	if spec.Into != nil {
		with.Into, with.Inherit = spec.Into.ID, spec.Into
	}
	if spec.Replaces != nil {
		with.Replaces, with.Inherit = spec.Replaces.ID, spec.Replaces
	}
	if spec.Base != nil {
		with.Base, with.BaseImage = spec.Base, *spec.Replaces
	}
	d, err := s.Store.Create(with)
	if err != nil {
		return nil, err
	}
	return s.wrap(d), nil
}

// BeginRename begins the journal of a rename over what is there.
func (s drafts) BeginRename(spec fs.RenameSpec) fs.RenameJournal {
	return renameJournal{s.Store.BeginRename(staging.RenameSpec(spec)), s.left}
}

// wrap counts an open draft and shows it to fs.
func (s drafts) wrap(d *staging.Draft) *draft {
	s.live.Add(1)
	return &draft{Draft: d, adopt: s.adopt, left: s.left, fresh: s.fresh, ended: sync.OnceFunc(func() { s.live.Add(-1) })}
}

// draft is a draft of staging as fs sees it.
type draft struct {
	*staging.Draft
	adopt func(*staging.Draft) (begin func())
	left  chan<- struct{}
	fresh newFiles
	ended func() // called after the end, once or more
}

// SetAttributes journals what the committed image begins with.
func (d *draft) SetAttributes(a image.Attributes) error {
	return d.Update(func(r *staging.Record) { r.Attributes = a })
}

// SetSettings journals what was set of the record that the next commit makes.
func (d *draft) SetSettings(s image.Settings) error {
	return d.Update(func(r *staging.Record) { r.Settings = s })
}

// CheckEmpty says why no image is to be made of a new file without bytes.
func (d *draft) CheckEmpty() error {
	rec := d.Record()
	return d.fresh.checkEmpty(rec.Name, rec.Settings)
}

// Rename gives the draft another name, perhaps over another draft.
func (d *draft) Rename(name, entry string, over *image.Image, inherit bool, gone string) error {
	return d.RenameOver(name, entry, over, inherit, gone)
}

// Close leaves the draft in staging as it is.
func (d *draft) Close() error {
	defer d.ended()
	return d.Draft.Close()
}

// Discard removes the draft. What was committed stays in the cache. Where a commit of
// an unlinked one may have left something at the service, its journal stays, for the
// recovery of this mount or the next to remove that.
func (d *draft) Discard() error {
	defer d.ended()
	if rec := d.Record(); rec.Unlinked && rec.Image != "" && rec.State != staging.StateCommitted {
		err := d.Draft.Close()
		tell(d.left)
		return err
	}
	defer d.adopt(d.Draft)()
	return d.Draft.Discard()
}

// Abandon keeps the draft: its writer was killed.
func (d *draft) Abandon(why string, mayGo bool) error {
	defer d.ended()
	return d.Draft.Abandon(why, mayGo)
}

// KeepFailed keeps the draft: its commit failed.
func (d *draft) KeepFailed(err error) error {
	defer d.ended()
	return d.Keep(err.Error())
}

// committer makes images of drafts for fs.
type committer struct{ *commit.Committer }

// Commit makes an image of the draft.
func (c committer) Commit(ctx context.Context, d fs.Draft) (image.Image, error) {
	own, ok := d.(*draft)
	if !ok {
		return image.Image{}, errForeignDraft
	}
	return c.Committer.Commit(ctx, own.Draft)
}

// Behind makes an image of a draft whose close was answered before.
func (c committer) Behind(ctx context.Context, d fs.Draft, turn func(context.Context) error) (image.Image, error) {
	own, ok := d.(*draft)
	if !ok {
		return image.Image{}, errForeignDraft
	}
	return c.Committer.Behind(ctx, own.Draft, turn)
}

// CommitEmpty makes an image without data of the draft.
func (c committer) CommitEmpty(ctx context.Context, d fs.Draft) (image.Image, error) {
	own, ok := d.(*draft)
	if !ok {
		return image.Image{}, errForeignDraft
	}
	return c.Committer.CommitEmpty(ctx, own.Draft)
}
