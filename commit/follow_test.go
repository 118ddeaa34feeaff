package commit

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// edit changes a record as if by others.
func (f *fake) edit(id string, change func(*image.Image)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	img := f.images[id].Clone()
	change(&img)
	f.images[id] = img
}

// golden is an image that everybody may see, and what is changed of it.
func golden(h *house) (old image.Image, change func()) {
	old = h.service.put(image.Image{Name: "golden", Visibility: image.VisibilityPublic, Tags: []string{"a", "b"}, MinDisk: 1,
		Properties: map[string]string{"os_distro": "x", "hw_disk_bus": "ide", "kept": "k"}}, []byte("old bytes"))
	return old, func() {
		mode := uint32(0o600)
		h.service.edit(old.ID, func(i *image.Image) {
			i.Visibility, i.Tags, i.MinDisk, i.MinRAM = image.VisibilityPrivate, []string{"b", "c"}, 2, 3
			i.Properties = map[string]string{"os_distro": "y", "new": "n", "kept": "k", image.PropertyAttributes: image.Attributes{Mode: &mode}.Encode(i.ID)}
		})
	}
}

// asChanged fails unless the image has what golden's change has made of its predecessor.
func (h *house) asChanged(got image.Image) {
	h.t.Helper()
	if got.Visibility != image.VisibilityPrivate || got.MinDisk != 2 || got.MinRAM != 3 || !slices.Equal(got.Tags, []string{"b", "c"}) || got.Hidden || got.Name != "golden" {
		h.t.Errorf("record %+v", got)
	}
	if a := got.Attributes(); a.Mode == nil || *a.Mode != 0o600 {
		h.t.Errorf("attributes %+v", a)
	}
	properties := props(got)
	delete(properties, image.PropertyAttributes)
	if diff := cmp.Diff(map[string]string{"os_distro": "y", "new": "n", "kept": "k"}, properties); diff != "" {
		h.t.Error(diff)
	}
}

// What others change of an image during the upload of its successor, that has too, and
// at no moment may more see it than may see the one before.
func TestChangedByOthersDuringTheUpload(t *testing.T) {
	for _, step := range []string{"create", "upload", "update", "get"} {
		for _, long := range []time.Duration{0, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake())
				old, change := golden(h)
				d := h.draft(over(old), pattern(900))
				done := false
				h.service.hook = func(c call) {
					if c.op == step && c.done && !done {
						done = true
						change()
						time.Sleep(long)
					}
					for _, img := range h.service.all() {
						if done && long > 0 && step != "update" && img.ID != old.ID && !img.Hidden && img.Visibility == image.VisibilityPublic {
							t.Errorf("at %+v the successor is %+v", c, img)
						}
					}
				}
				img, err := h.Commit(ctxb, d)
				check(t, err)
				if diff := cmp.Diff(img, h.only()); diff != "" {
					t.Error(diff)
				}
				h.asChanged(img)
			})
		}
	}
}

// Nothing is asked and changed for it where nothing has changed.
func TestUnchangedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, newFake())
		old, _ := golden(h)
		h.service.hook = func(c call) {
			if c.op == "upload" && c.done {
				time.Sleep(time.Hour)
			}
		}
		_, err := h.Commit(ctxb, h.draft(over(old), pattern(900)))
		check(t, err)
		if diff := cmp.Diff([]string{"get", "create", "upload", "get", "get", "update", "get", "delete"}, h.service.calls); diff != "" {
			t.Error(diff)
		}
	})
}

// So it is with the projects that it is shared with.
func TestMembersChangedDuringTheUpload(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after image.Visibility
		was, is, want []image.Member
	}{
		{"others", image.VisibilityShared, image.VisibilityShared, members("p", "q"), members("q", "r"), members("q", "r")},
		{"shared", image.VisibilityPrivate, image.VisibilityShared, nil, members("r"), members("r")},
		{"withdrawn", image.VisibilityShared, image.VisibilityPrivate, members("p"), members("p"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake())
				old := h.service.put(image.Image{Name: "x", Visibility: c.before}, []byte("old bytes"))
				h.service.members[old.ID] = c.was
				h.service.hook = func(at call) {
					if at.op == "upload" && at.done {
						h.service.edit(old.ID, func(i *image.Image) { i.Visibility = c.after })
						h.service.mu.Lock()
						h.service.members[old.ID] = c.is
						h.service.mu.Unlock()
						time.Sleep(time.Hour)
					}
				}
				img, err := h.Commit(ctxb, h.draft(over(old), pattern(900)))
				check(t, err)
				has := h.service.members[img.ID]
				if diff := cmp.Diff(c.want, has); img.Visibility != c.after || len(c.want)+len(has) > 0 && diff != "" {
					t.Errorf("%s %s", img.Visibility, diff)
				}
			})
		})
	}
}

func members(projects ...string) []image.Member {
	var all []image.Member
	for _, p := range projects {
		all = append(all, image.Member{Project: p, Status: "pending"})
	}
	return all
}

// An image that must not be replaced any more, when its successor is uploaded, is not.
func TestUnreplaceableByTheEnd(t *testing.T) {
	for _, long := range []time.Duration{0, time.Hour} {
		for property, kind := range map[string]image.Kind{"": image.Protected, "cinder_encryption_key_id": image.NotPermitted, "img_signature": image.NotPermitted} {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, newFake())
				old := h.service.put(image.Image{Name: "x", Properties: map[string]string{}}, []byte("old bytes"))
				d := h.draft(over(old), pattern(900))
				h.service.hook = func(c call) {
					if c.op == "upload" && c.done {
						h.service.edit(old.ID, func(i *image.Image) {
							if i.Protected = property == ""; property != "" {
								i.Properties = map[string]string{property: "k"}
							}
						})
						time.Sleep(long)
					}
				}
				if _, err := h.Commit(ctxb, d); !image.Is(err, kind) {
					t.Errorf("%q: %v", property, err)
				}
				if h.only().ID != old.ID || d.Record().State != staging.StateFailed {
					t.Errorf("%q: %+v, draft %+v", property, h.service.all(), d.Record())
				}
			})
		}
	}
}

// What a killed daemon had uploaded long ago follows the image that it replaces, too.
func TestChangedByOthersSinceTheCrash(t *testing.T) {
	for _, state := range []staging.State{staging.StateCreated, staging.StateUploaded} {
		h := newHouse(t, newFake())
		old, change := golden(h)
		half := old.Clone()
		half.ID, half.Hidden = "", true
		half.Properties[image.PropertyDraft] = "mine"
		half = h.service.put(half, pattern(900))
		d := h.crashed(over(old), pattern(900), state, half)
		change()
		img, err := h.Recover(ctxb, d)
		check(t, err)
		if h.only().ID != img.ID || img.ID != half.ID {
			t.Errorf("%s: %+v", state, h.service.all())
		}
		h.asChanged(h.only())
	}
}

// Members that were withdrawn meanwhile lose what was given to them before the crash.
func TestMembersChangedSinceTheCrash(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{Name: "x"}, []byte("old bytes"))
	half := h.service.put(image.Image{Name: "x", Hidden: true, Properties: mine()}, pattern(900))
	h.service.members[old.ID], h.service.members[half.ID] = members("q", "r"), members("p", "q")
	d := h.crashed(over(old), pattern(900), staging.StateUploaded, half)
	img, err := h.Recover(context.Background(), d)
	check(t, err)
	if diff := cmp.Diff(members("q", "r"), h.service.members[img.ID]); diff != "" {
		t.Error(diff)
	}
}
