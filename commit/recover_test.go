package commit

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// clone is the service as it goes on after this process: without faults.
func (f *fake) clone() *fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := newFake()
	g.project, g.algo, g.mute, g.keep = f.project, f.algo, f.mute, f.keep
	for id, img := range f.images {
		g.images[id] = img.Clone()
	}
	g.data, g.used = maps.Clone(f.data), maps.Clone(f.used)
	for id, all := range f.members {
		g.members[id] = slices.Clone(all)
	}
	return g
}

// scene is a staging directory and a service as a killed daemon leaves them.
type scene struct {
	call    call
	dir     string
	service *fake
}

// film copies both.
func (h *house) film(c call) scene {
	h.t.Helper()
	dir := memoryDir(h.t)
	copyStaging(h.t, dir, h.dir)
	check(h.t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	}))
	return scene{c, dir, h.service.clone()}
}

// filming returns a hook that films. After a request that only reads, everything is as
// before it.
func (h *house) filming(scenes *[]scene) func(call) {
	return func(c call) {
		if c.done && (c.op == "get" || c.op == "members") {
			return
		}
		*scenes = append(*scenes, h.film(c))
	}
}

// resumed is a house that goes on with a scene.
func (s scene) resumed(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, service: s.service, names: &fakeNames{}, dir: s.dir, log: &lines{}}
	h.Committer = New(h.options())
	var err error
	h.store, err = staging.Open(staging.Options{Dir: s.dir, Service: testService, Project: s.service.project})
	check(t, err)
	return h
}

// reopen takes up a kept draft, with what lies under it where that is there.
func (h *house) reopen(r staging.Record) *staging.Draft {
	h.t.Helper()
	spec := staging.ReopenSpec{}
	if base, ok := h.service.images[r.Base]; ok {
		spec.Base, spec.BaseImage = h.OpenBase(base), base
	}
	d, err := h.store.Reopen(r.Draft, spec)
	check(h.t, err)
	return d
}

// recover settles everything that waits in staging.
func (h *house) recover() error {
	h.t.Helper()
	kept, err := h.store.Kept()
	check(h.t, err)
	var all error
	for _, r := range kept {
		d := h.reopen(r)
		if _, err := h.Recover(ctxb, d); err != nil {
			all = errors.Join(all, err, d.Close())
			continue
		}
		check(h.t, d.Discard())
	}
	return all
}

// play is one way to commit, and what its right end is.
type play struct {
	name    string
	faults  []fault
	spec    func(*house) (staging.Spec, image.Image)
	content []byte
	aside   bool          // the replaced image could not be deleted
	keep    time.Duration // how long replaced images are kept in the trash
}

var plays = []play{
	{"new", nil, newSpec, pattern(3500), false, 0},
	{"new, cut off", one(nth("upload", 1, image.Rejected, cut)), newSpec, pattern(3500), false, 0},
	{"new, removal away", []fault{nth("upload", 1, image.Rejected, cut), nth("delete", 1, image.Forbidden, before)}, newSpec, pattern(3500), false, 0},
	{"new, removal away after all", []fault{nth("update", 1, image.Forbidden, before), nth("delete", 1, image.Forbidden, before)}, newSpec, pattern(3500), false, 0},
	{"new, damaged", one(nth("upload", 1, 0, damaged)), newSpec, pattern(3500), false, 0},
	{"new, answer lost", one(nth("upload", 1, image.Unavailable, after)), newSpec, pattern(3500), false, 0},
	{"empty", nil, newSpec, nil, false, 0},
	{"replace", nil, overSpec, pattern(3500), false, 0},
	{"replace by empty", nil, overSpec, nil, false, 0},
	{"replace, in use", one(nth("delete", 1, image.Busy, before)), overSpec, pattern(3500), true, 0},
	{"replace, retire refused", one(nth("delete", 1, image.Protected, before)), overSpec, pattern(3500), false, 0},
	{"replace, retire unsure", []fault{nth("delete", 1, image.Forbidden, after), nth("get", 5, image.Forbidden, before)}, overSpec, pattern(3500), false, 0},
	{"into", nil, intoSpec, pattern(3500), false, 0},
	{"into, rejected", one(nth("upload", 1, image.Rejected, before)), intoSpec, pattern(3500), false, 0},
	{"into, spoilt", one(nth("upload", 1, 0, damaged)), intoSpec, pattern(3500), false, 0},
	{"edit", nil, editSpec, pattern(3500), false, 0},
	{"replace, with trash", nil, overSpec, pattern(3500), false, time.Hour},
	{"replace, trash refused", one(nth("update", 2, image.Forbidden, before)), overSpec, pattern(3500), false, time.Hour},
	{"edit, with trash", nil, editSpec, pattern(3500), false, time.Hour},
}

// film runs the commit of a play and returns what a kill leaves at each of its
// requests, in the middle of its uploads, and at its end; and the whole content.
func (p play) film(t *testing.T) (scenes []scene, want []byte) {
	f := newFake(p.faults...)
	f.keep = p.keep
	h := newHouse(t, f)
	spec, old := p.spec(h)
	if old.ID != "" {
		img := f.images[old.ID]
		img.Tags, img.Properties, img.MinDisk = []string{"t"}, map[string]string{"k": "v"}, 3
		f.images[old.ID] = img
		spec.Inherit = &img
	}
	d := h.draft(spec, p.content)
	want = bytesOf(t, d)
	film := h.filming(&scenes)
	film(call{op: "the beginning"})
	f.hook = film
	f.slow = func(got int64) error {
		if got == 2000 {
			film(call{op: "half an upload"})
		}
		return nil
	}
	if _, err := h.CommitEmpty(ctxb, d); err != nil {
		t.Log(err)
	}
	f.hook, f.slow = nil, nil
	film(call{op: "the end"})
	return scenes, want
}

// ended fails unless the service has the draft once, whole, visible, with what it
// took over, and staging has nothing more of it.
func (p play) ended(t *testing.T, h *house, want []byte) {
	t.Helper()
	var found []image.Image
	lying := 0
	for _, img := range h.service.all() {
		if p.aside && img.Name == (image.Image{ID: img.ID, Name: "x"}).AsideName() && string(h.stored(img.ID)) == "old bytes" {
			continue
		}
		if _, trashed := img.Trashed(); trashed {
			lying++
			continue
		}
		found = append(found, img)
	}
	if want := map[bool]int{true: 1}[p.keep > 0]; lying != want {
		t.Errorf("%d images lie in the trash, want %d", lying, want)
	}
	if len(found) != 1 {
		t.Errorf("the service has %+v", found)
		return
	}
	img := found[0]
	status := image.StatusActive
	if len(want) == 0 {
		status = image.StatusQueued
	}
	if img.Name != "x" || img.Hidden || img.Properties[image.PropertyDraft] != "" || img.Status != status || !bytes.Equal(h.stored(img.ID), want) {
		t.Errorf("the image is %+v of %d bytes, want %d", img, len(h.stored(img.ID)), len(want))
	}
	if strings.HasPrefix(p.name, "new") || p.name == "empty" {
		if img.Properties["from"] != "mount" {
			t.Errorf("defaults are missing: %+v", img)
		}
	} else if img.Properties["k"] != "v" || !slices.Equal(img.Tags, []string{"t"}) || img.MinDisk != 3 {
		t.Errorf("not taken over: %+v", img)
	}
	if strings.HasPrefix(p.name, "replace") && len(h.service.members[img.ID]) != 1 {
		t.Errorf("members %+v", h.service.members[img.ID])
	}
	if kept, err := h.store.Kept(); err != nil || len(kept) != 0 {
		t.Errorf("kept %+v %v", kept, err)
	}
}

// TestRecover kills the daemon at each request of each play, and then once more at
// each request of the recovery: the end is always the same.
func TestRecover(t *testing.T) {
	for _, p := range plays {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scenes, want := p.film(t)
				for _, s := range scenes {
					h := s.resumed(t)
					var again []scene
					h.service.hook = h.filming(&again)
					err := h.recover()
					h.service.hook = nil
					if err != nil {
						t.Errorf("killed at %+v: %v\n%s", s.call, err, h.log)
					}
					p.ended(t, h, want)
					check(t, h.store.Close())
					for _, second := range again {
						h := second.resumed(t)
						if err := h.recover(); err != nil {
							t.Errorf("killed at %+v and %+v: %v\n%s", s.call, second.call, err, h.log)
						}
						p.ended(t, h, want)
						check(t, h.store.Close())
						if t.Failed() {
							t.Fatalf("killed at %+v and %+v:\n%s", s.call, second.call, h.log)
						}
					}
					if t.Failed() {
						t.Fatalf("killed at %+v:\n%s", s.call, h.log)
					}
				}
				if len(scenes) < 4 {
					t.Errorf("%d scenes", len(scenes))
				}
			})
		})
	}
}
