package commit

import (
	"errors"
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
			if !created.Hidden { // or everybody would see it for the time of a request
				t.Error("created for all to see")
			}
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

// killed runs a commit of a draft with settings, kills the daemon at one of its requests,
// and returns what the next one finds, with the draft; ok is false after the last request.
func killed(t *testing.T, at int, spec func(*house) (staging.Spec, image.Image), content []byte, s image.Settings) (next *house, d *staging.Draft, ok bool) {
	t.Helper()
	h := newHouse(t, newFake())
	with, _ := spec(h)
	d = h.draft(with, content)
	set(t, d, s)
	n, dir, f := 0, memoryDir(t), newFake()
	h.service.hook = func(call) {
		if n++; n == at+1 {
			copyStaging(t, dir, h.dir)
			for _, img := range h.service.all() {
				f.images[img.ID], f.data[img.ID], f.used[img.ID] = img, h.stored(img.ID), true
			}
		}
	}
	_, err := h.CommitEmpty(ctxb, d)
	check(t, err)
	h.service.hook = nil
	if n <= at {
		return nil, nil, false
	}
	next = &house{t: t, service: f, names: &fakeNames{}, dir: dir, log: &lines{}}
	next.Committer = New(next.options())
	next.store, err = staging.Open(staging.Options{Dir: dir, Service: testService, Project: f.project})
	check(t, err)
	again, err := next.store.Reopen(d.ID(), staging.ReopenSpec{})
	check(t, err)
	t.Cleanup(func() { check(t, errors.Join(again.Discard(), next.store.Close())) })
	return next, again, true
}

// A daemon killed at any request of a commit leaves what the next one makes whole.
func TestKilledWithSettings(t *testing.T) {
	for name, spec := range map[string]func(*house) (staging.Spec, image.Image){"new": newSpec, "over": overSpec} {
		for _, content := range [][]byte{pattern(900), nil} {
			for at := 0; ; at++ {
				next, d, ok := killed(t, at, spec, content, allSettings)
				if !ok {
					break
				}
				if _, err := next.Recover(ctxb, d); err != nil {
					t.Errorf("%s of %d bytes, killed at request %d: %v", name, len(content), at, err)
				}
				has(t, next.only())
			}
		}
	}
}

// What others change of an image once it is published stays, though the daemon was killed
// before it could forget what was set; what is set from then on counts.
func TestSettingsOfOthers(t *testing.T) {
	open := image.Settings{Visibility: allSettings.Visibility, Tags: allSettings.Tags, Properties: allSettings.Properties}
	for name, c := range map[string]struct {
		spec     func(*house) (staging.Spec, image.Image)
		content  []byte
		settings image.Settings
	}{
		"new":          {newSpec, pattern(900), allSettings},
		"over":         {overSpec, pattern(900), allSettings},
		"empty":        {newSpec, nil, allSettings},
		"empty, alike": {newSpec, nil, open}, // as it is created
	} {
		t.Run(name, func(t *testing.T) {
			published := 0
			for at := 0; ; at++ {
				next, d, ok := killed(t, at, c.spec, c.content, c.settings)
				if !ok {
					break
				}
				made := func() *image.Image {
					for id, img := range next.service.images {
						if id == d.Record().Image && img.Properties[image.PropertyDraft] == "" {
							return &img
						}
					}
					return nil
				}
				img := made()
				if img == nil {
					continue
				}
				published++
				img.Visibility, img.Hidden, img.Protected, img.Tags, img.Properties = image.VisibilityPrivate, false, false, []string{"theirs"}, map[string]string{"from": "them"}
				next.service.images[img.ID] = *img
				if at%2 == 0 {
					set(t, d, c.settings.With(image.Change{Field: "min_ram", Value: int64(512)}).With(image.Change{Field: "from", Property: true, Value: "us"}))
				}
				_, err := next.Recover(ctxb, d)
				check(t, err)
				now := next.only()
				if now.ID != img.ID || now.Visibility != image.VisibilityPrivate || now.Hidden || now.Protected || !slices.Equal(now.Tags, []string{"theirs"}) ||
					now.Properties["os_distro"] != "" {
					t.Errorf("killed at request %d: %+v", at, now)
				}
				if want := map[bool]string{true: "us", false: "them"}[at%2 == 0]; now.Properties["from"] != want || at%2 == 0 && now.MinRAM != 512 {
					t.Errorf("killed at request %d, and set since: %+v", at, now)
				}
			}
			if published == 0 {
				t.Error("it was never killed after the image was published")
			}
		})
	}
}
