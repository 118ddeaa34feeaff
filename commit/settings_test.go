package commit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

func pointer[T any](v T) *T { return &v }

// allSettings sets everything that can be set of a new image.
var allSettings = image.Settings{
	Visibility: pointer(image.VisibilityCommunity), Hidden: pointer(true), Protected: pointer(true),
	MinDisk: pointer(int64(3)), MinRAM: pointer(int64(64)), DiskFormat: pointer("ami"), ContainerFormat: pointer("aki"),
	Tags: pointer([]string{"b", "a"}), Properties: map[string]*string{"os_distro": pointer("debian"), "from": nil},
}

func set(t *testing.T, d *staging.Draft, s image.Settings) {
	t.Helper()
	check(t, d.Update(func(r *staging.Record) { r.Settings = s }))
}

// has fails unless the record is what allSettings ask for.
func has(t *testing.T, img image.Image) {
	t.Helper()
	if missing := allSettings.Missing(img); len(missing) != 0 || img.DiskFormat != "ami" || img.ContainerFormat != "aki" {
		t.Errorf("the record lacks %+v: %+v", missing, img)
	}
}

// What was set on a draft goes into the one create request, but for what must wait for
// the last update; and it is not set again by the next commit of the draft.
func TestSettings(t *testing.T) {
	for name, content := range map[string][]byte{"bytes": pattern(900), "empty": nil} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, newFake())
			d := h.draft(staging.Spec{Name: "x", Entry: "x"}, content)
			set(t, d, allSettings)
			var created image.Image
			h.service.hook = func(c call) {
				if c.op == "create" && c.done {
					created = h.service.all()[0]
				}
			}
			img, err := h.CommitEmpty(ctxb, d)
			check(t, err)
			h.service.hook = nil
			has(t, h.only())
			if created.Protected || created.Visibility != image.VisibilityCommunity || created.MinDisk != 3 || created.DiskFormat != "ami" ||
				created.Properties["os_distro"] != "debian" || created.Properties["from"] != "" || !slices.Equal(created.Tags, []string{"b", "a"}) {
				t.Errorf("created as %+v", created)
			}
			if n := h.service.count("update"); n != 1 {
				t.Errorf("%d updates", n)
			}
			if s := d.Record().Settings; !s.IsZero() {
				t.Errorf("the draft still has %+v", s)
			}
			_, err = h.service.Update(ctxb, img.ID, []image.Change{{Field: "protected", Value: false}, {Field: "tags", Value: []string{"theirs"}}})
			check(t, err)
			h.write(d, pattern(500), 0)
			_, err = h.Commit(ctxb, d)
			check(t, err)
			if now := h.only(); now.Protected || !slices.Equal(now.Tags, []string{"theirs"}) || now.MinDisk != 3 {
				t.Errorf("the next commit has made %+v", now)
			}
		})
	}
}

// What was set wins over what the replaced image has, also where others change that
// during the upload; the rest is taken over.
func TestSettingsOverAnImage(t *testing.T) {
	h := newHouse(t, newFake())
	old := h.service.put(image.Image{
		Name: "x", Visibility: image.VisibilityShared, Tags: []string{"old"}, MinRAM: 7, Properties: map[string]string{"os_distro": "arch", "site": "here"},
	}, []byte("old"))
	h.service.members[old.ID] = []image.Member{{Project: "p"}}
	d := h.draft(over(old), pattern(900))
	set(t, d, image.Settings{
		Visibility: pointer(image.VisibilityPrivate), Protected: pointer(true), Properties: map[string]*string{"os_distro": pointer("debian")},
	})
	h.service.hook = func(c call) {
		if c.op == "upload" && c.done {
			h.service.mu.Lock()
			now := h.service.images[old.ID].Clone()
			now.Visibility, now.Properties["os_distro"], now.Properties["site"] = image.VisibilityPublic, "void", "there"
			h.service.images[old.ID] = now
			h.service.mu.Unlock()
		}
		for _, img := range h.service.all() {
			if img.ID != old.ID && img.Visibility != image.VisibilityPrivate {
				t.Errorf("at %v it is %s", c, img.Visibility)
			}
		}
	}
	_, err := h.Commit(ctxb, d)
	check(t, err)
	now := h.only()
	if now.Visibility != image.VisibilityPrivate || !now.Protected || now.MinRAM != 7 || !slices.Equal(now.Tags, []string{"old"}) {
		t.Errorf("made %+v", now)
	}
	if diff := cmp.Diff(map[string]string{"os_distro": "debian", "site": "there"}, now.CarriedProperties()); diff != "" {
		t.Error(diff)
	}
	if n := h.service.count("addmember"); n != 0 {
		t.Errorf("%d members of a private image", n)
	}
}

// A commit that fails leaves no protected record behind, and the draft has what was set:
// the next one makes it, also that of another process.
func TestSettingsOfAFailedCommit(t *testing.T) {
	for name, faults := range map[string][]fault{
		"upload":  one(nth("upload", 1, image.Rejected, before)),
		"publish": one(nth("update", 1, image.Forbidden, after)), // it has published, and protected, and says no
		"retire":  one(nth("delete", 1, image.Forbidden, before)),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, newFake(faults...))
			spec, old := overSpec(h)
			d := h.draft(spec, pattern(900))
			set(t, d, allSettings)
			img, err := h.Commit(ctxb, d)
			if name != "publish" { // where the record tells that it has happened
				if err == nil {
					t.Fatalf("made %+v", img)
				}
				if left := h.only(); left.ID != old.ID {
					t.Errorf("left %+v", left)
				}
				if diff := cmp.Diff(allSettings, d.Record().Settings); diff != "" {
					t.Error(diff)
				}
				check(t, d.Close())
				d, err = h.store.Reopen(d.ID(), staging.ReopenSpec{})
				check(t, err)
				defer func() { check(t, d.Close()) }()
				_, err = h.Recover(ctxb, d)
			}
			check(t, err)
			has(t, h.only())
		})
	}
}

// What is set while a commit behind uploads is there when it is published.
func TestSettingsDuringAnUpload(t *testing.T) {
	h := newHouse(t, newFake())
	d := h.draft(staging.Spec{Name: "x", Entry: "x"}, pattern(900))
	check(t, d.Accept(ctxb, image.Attributes{}))
	h.service.hook = func(c call) {
		if c.op == "upload" && !c.done {
			set(t, d, image.Settings{Visibility: pointer(image.VisibilityShared), Tags: pointer([]string{"late"})})
		}
	}
	_, err := h.Behind(ctxb, d, nil)
	check(t, err)
	if img := h.only(); img.Visibility != image.VisibilityShared || !slices.Equal(img.Tags, []string{"late"}) {
		t.Errorf("made %+v", img)
	}
}

// A daemon killed at any request of a commit leaves what the next one makes whole.
func TestKilledWithSettings(t *testing.T) {
	for name, spec := range map[string]func(*house) (staging.Spec, image.Image){"new": newSpec, "over": overSpec} {
		for at := range 12 {
			h := newHouse(t, newFake())
			with, _ := spec(h)
			d := h.draft(with, pattern(900))
			set(t, d, allSettings)
			n, dir := 0, memoryDir(t)
			var images []image.Image
			var data map[string][]byte
			h.service.hook = func(call) {
				if n++; n == at+1 {
					copyStaging(t, dir, h.dir)
					images, data = h.service.all(), map[string][]byte{}
					for _, img := range images {
						data[img.ID] = h.stored(img.ID)
					}
				}
			}
			_, err := h.Commit(ctxb, d)
			check(t, err)
			h.service.hook = nil
			if n <= at {
				continue
			}
			f := newFake()
			for _, img := range images {
				f.images[img.ID], f.data[img.ID], f.used[img.ID] = img, data[img.ID], true
			}
			next := &house{t: t, service: f, names: &fakeNames{}, dir: dir, log: &lines{}}
			next.Committer = New(next.options())
			next.store, err = staging.Open(staging.Options{Dir: dir, Service: testService, Project: f.project})
			check(t, err)
			again, err := next.store.Reopen(d.ID(), staging.ReopenSpec{})
			check(t, err)
			if _, err := next.Recover(ctxb, again); err != nil {
				t.Errorf("%s, killed at request %d: %v", name, at, err)
			}
			has(t, next.only())
			check(t, again.Discard())
			check(t, next.store.Close())
		}
	}
}
