package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// renameRooms are rooms over a service of their own, with a journal of a rename of a to
// b, over an image and its draft, that was begun so long ago; also a draft of a.
type renameRooms struct {
	*rooms
	img, over   image.Image
	gone, moves *staging.Draft
	journal     *staging.RenameJournal
}

func newRenameRooms(t *testing.T, ago time.Duration) *renameRooms {
	t.Helper()
	api, err := client.Dial(t.Context(), client.Options{Endpoint: service(t, nil), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	s, err := staging.Open(staging.Options{
		Dir: filepath.Join(t.TempDir(), "staging"), Service: api.Service(), Clock: func() time.Time { return api.Now().Add(-ago) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &renameRooms{rooms: &rooms{client: api, staging: s, log: quiet, left: make(chan struct{}, 1), trash: newTrash(api, 0, quiet)}}
	r.catalog = catalog.New(catalog.Options{Lister: lister{client: api}, Records: api, Remover: r.trash, Sharer: api, Journals: r.journals()})
	t.Cleanup(r.catalog.Close)
	r.committer = commit.New(commit.Options{Service: api})
	make := func(name string) (image.Image, *staging.Draft) {
		img, err := api.Create(t.Context(), image.New{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Create(staging.Spec{Name: name, Entry: name, Replaces: img.ID})
		if err == nil {
			err = d.Update(func(rec *staging.Record) { rec.State, rec.Accepted = staging.StateCommitting, true })
		}
		if err != nil {
			t.Fatal(err)
		}
		return img, d
	}
	r.img, r.moves = make("a")
	r.over, r.gone = make("b")
	r.journal = s.BeginRename(staging.RenameSpec{From: "a", To: "b", Gone: r.gone.ID(), Moves: r.moves.ID()})
	if err := r.journal.Note(image.Rename{Image: r.img, Name: "b", Over: &r.over, Attributes: "x"}); err != nil {
		t.Fatal(err)
	}
	return r
}

// killed lets go of everything as a daemon does that is killed.
func (r *renameRooms) killed(t *testing.T) {
	t.Helper()
	_, err := r.journal.End()
	if err := errors.Join(err, r.gone.Close(), r.moves.Close()); err != nil {
		t.Fatal(err)
	}
}

func (r *renameRooms) rename(t *testing.T) staging.Rename {
	t.Helper()
	all, err := r.staging.Renames()
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// left is what is in staging: the names of drafts and how many journals.
func (r *renameRooms) left(t *testing.T) (names []string, journals int) {
	t.Helper()
	kept, err := r.staging.Kept()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		name := k.Name + map[string]string{r.gone.ID(): " gone", r.moves.ID(): " moves"}[k.Draft]
		if k.Unlinked {
			name += ", unlinked"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	renames, err := r.staging.Renames()
	if err != nil {
		t.Fatal(err)
	}
	return names, len(renames)
}

// The drafts go where the rename has got: that of what is renamed with its image, that
// of what was at the name only where the image has come there.
func TestFinishRenameOfDrafts(t *testing.T) {
	for title, c := range map[string]struct {
		named, moved bool // how far it has got
		half         bool // a commit of the draft that goes has left something
		want         []string
	}{
		"not begun":             {want: []string{"a moves", "b gone"}},
		"only the draft":        {moved: true, want: []string{"a moves", "b gone"}},
		"named":                 {moved: true, named: true, want: []string{"b moves"}},
		"named before its time": {named: true, want: []string{"b moves"}},
		"something left":        {moved: true, named: true, half: true, want: []string{"b gone, unlinked", "b moves"}},
	} {
		t.Run(title, func(t *testing.T) {
			r := newRenameRooms(t, time.Minute)
			if c.moved {
				if err := r.moves.Rename("b", "b", nil); err != nil {
					t.Fatal(err)
				}
			}
			if c.half {
				if err := r.gone.Update(func(rec *staging.Record) { rec.Image = r.gone.ID() }); err != nil {
					t.Fatal(err)
				}
			}
			if c.named {
				if _, err := r.client.Update(t.Context(), r.img.ID, []image.Change{{Field: "name", Value: "b"}}); err != nil {
					t.Fatal(err)
				}
			}
			r.killed(t)
			if err := r.finish(t.Context(), r.rename(t)); err != nil {
				t.Fatal(err)
			}
			if names, journals := r.left(t); !slices.Equal(names, c.want) || journals != 0 {
				t.Errorf("left %q and %d journals, want %q", names, journals, c.want)
			}
			if _, err := r.client.Get(t.Context(), r.over.ID); c.named != image.Is(err, image.NotFound) {
				t.Errorf("what was at the name: %v", err)
			}
		})
	}
}

// A rename whose request may still be on its way has not been given up: what it decides
// about waits for it.
func TestFinishRenameTooYoung(t *testing.T) {
	r := newRenameRooms(t, 0)
	r.killed(t)
	if err := r.finish(t.Context(), r.rename(t)); !errors.Is(err, catalog.ErrTooYoung) {
		t.Fatalf("finished: %v", err)
	}
	if owed := r.takeOwed(t.Context()); len(owed) != 0 {
		t.Errorf("taken up meanwhile: %+v", owed)
	}
	if names, journals := r.left(t); len(names) != 2 || journals != 1 {
		t.Errorf("left %q and %d journals", names, journals)
	}
	// It has arrived.
	if _, err := r.client.Update(t.Context(), r.img.ID, []image.Change{{Field: "name", Value: "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Fatal(err)
	}
	if names, journals := r.left(t); !slices.Equal(names, []string{"b moves"}) || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}

// The mount waits for a rename that decides about drafts until it counts as not begun.
func TestMountWaitsForRenames(t *testing.T) {
	r := newRenameRooms(t, catalog.RenameSettles-200*time.Millisecond)
	r.killed(t)
	r.finishRenames(t.Context())
	if names, journals := r.left(t); !slices.Equal(names, []string{"a moves", "b gone"}) || journals != 0 {
		t.Errorf("left %q and %d journals", names, journals)
	}
	owed := r.takeOwed(t.Context())
	if len(owed) != 2 {
		t.Errorf("taken up: %+v", owed)
	}
	for _, o := range owed {
		if err := o.Draft.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a live mount is about, another one leaves to it: the rename, and the drafts.
func TestFinishRenameInUse(t *testing.T) {
	r := newRenameRooms(t, time.Minute)
	k := r.rename(t)
	if !k.Held {
		t.Error("it is not held")
	}
	r.finishRenames(t.Context())
	if err := r.finish(t.Context(), k); !errors.Is(err, errElsewhere) {
		t.Errorf("the rename: %v", err)
	}
	if _, err := r.journal.End(); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), k); !errors.Is(err, errElsewhere) {
		t.Errorf("the drafts: %v", err)
	}
	if err := r.gone.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.finish(t.Context(), k); !errors.Is(err, errElsewhere) {
		t.Errorf("one draft: %v", err)
	}
	if err := r.moves.Close(); err != nil {
		t.Fatal(err)
	}
	if names, journals := r.left(t); len(names) != 2 || journals != 1 {
		t.Errorf("left %q and %d journals", names, journals)
	}
}

// A file that was being removed goes where its image has gone, and is committed else.
func TestFinishRemoval(t *testing.T) {
	for title, c := range map[string]struct {
		deleted, half bool
		want          []string
	}{
		"deleted":        {deleted: true, want: []string{"a moves"}},
		"not deleted":    {want: []string{"a moves", "b gone"}},
		"something left": {deleted: true, half: true, want: []string{"a moves", "b gone, unlinked"}},
	} {
		t.Run(title, func(t *testing.T) {
			r := newRenameRooms(t, time.Minute)
			err := r.gone.Update(func(rec *staging.Record) {
				if rec.Removing = r.over.ID; c.half {
					rec.Image = r.gone.ID()
				}
			})
			if err == nil && c.deleted {
				err = r.client.Delete(t.Context(), r.over.ID)
			}
			r.journal.Settled()
			if err != nil {
				t.Fatal(err)
			}
			r.killed(t)
			owed := r.takeOwed(t.Context())
			if len(owed) != map[bool]int{true: 1, false: 2}[c.deleted] {
				t.Errorf("taken up: %+v", owed)
			}
			for _, o := range owed {
				if err := o.Draft.Close(); err != nil {
					t.Error(err)
				}
			}
			if names, _ := r.left(t); !slices.Equal(names, c.want) {
				t.Errorf("left %q, want %q", names, c.want)
			}
		})
	}
}

// A rename that is not settled when it ends is told to the recovery.
func TestRenameLeftTells(t *testing.T) {
	r := newRenameRooms(t, 0)
	for _, settled := range []bool{true, false} {
		j := r.drafts().BeginRename(fs.RenameSpec{From: "a", To: "b"})
		if err := j.Note(image.Rename{Image: r.img, Name: "b"}); err != nil {
			t.Fatal(err)
		}
		if settled {
			j.Settled()
		}
		if err := j.End(); err != nil || (len(r.rooms.left) == 1) == settled {
			t.Errorf("settled %v: told %d, %v", settled, len(r.rooms.left), err)
		}
	}
	r.killed(t)
}

// Renames come before the drafts that they decide about, and what cannot be read is
// told once.
func TestRecoveryOfRenames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &image.Error{Op: "rename", Kind: image.Unreachable}
		rename := func(id, project, damage string) staging.Rename {
			k := staging.Rename{ID: id, Project: project, Damage: damage}
			k.Gone = "d"
			return k
		}
		held := staging.Rename{ID: "held", Held: true}
		f := &fakeStaging{
			kept:    []staging.Record{owed("d"), owed("other")},
			renames: []staging.Rename{rename("r", "ours", ""), {ID: "foreign", Project: "theirs"}, {ID: "damaged", Damage: "x", Path: "/p"}, {ID: "newer", Damage: "x", Newer: true, Path: "/q"}, held},
			errs:    map[string][]error{"r": {catalog.ErrTooYoung, away}},
		}
		r, log := startRecovering(f)
		tried := func(id string) []time.Duration {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.tries[id])
		}
		synctest.Wait()
		if len(tried("r")) != 1 || len(tried("d")) != 0 || len(tried("other")) != 1 {
			t.Errorf("at once: %v, %v, %v", tried("r"), tried("d"), tried("other"))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if rename, draft := tried("r"), tried("d"); len(rename) != 3 || len(draft) != 1 || draft[0] != rename[2] {
			t.Errorf("in the end: %v, %v", rename, draft)
		}
		for _, id := range []string{"foreign", "damaged", "newer", "held"} {
			if at := tried(id); len(at) != 0 {
				t.Errorf("%s was tried: %v", id, at)
			}
		}
		r.stop()
		if !r.wait(time.Hour) {
			t.Error("it does not end")
		}
		n, damaged := strings.Count(log.String(), "level=ERROR"), strings.Count(log.String(), "remove it\" path=/p")
		if later := strings.Count(log.String(), "is left to that: until then there may be two images of one name\" path=/q"); n != 2 || damaged != 1 || later != 1 {
			t.Errorf("%d errors:\n%s", n, log)
		}
	})
}
