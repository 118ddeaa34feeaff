package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

func TestNewFiles(t *testing.T) {
	tags := []string{"ready"}
	for _, tc := range []struct {
		what            string
		filter          image.Filter
		visibility      image.Visibility
		tags            []string
		shown, anyShown bool
	}{
		{"no filter", image.Filter{}, "", nil, true, true},
		{"name", image.Filter{Name: "n*"}, "", nil, true, true},
		{"another name", image.Filter{Name: "x"}, "", nil, false, true},
		{"tag", image.Filter{Tags: tags}, "", nil, false, false},
		{"tag that is given", image.Filter{Tags: tags}, "", []string{"a", "ready"}, true, true},
		{"visibility", image.Filter{Visibility: image.VisibilityPublic}, "", nil, false, false},
		{"visibility that is given", image.Filter{Visibility: image.VisibilityPublic}, image.VisibilityPublic, nil, true, true},
		{"the service's visibility", image.Filter{Visibility: image.VisibilityShared}, "", nil, true, true},
		{"format", image.Filter{Formats: []string{"iso"}}, "", nil, true, true},
		{"status", image.Filter{Statuses: []image.Status{image.StatusQueued}}, "", nil, false, false},
		{"owner", image.Filter{Owner: "p"}, "", nil, true, true},
		{"another owner", image.Filter{Owner: "q"}, "", nil, false, false},
		{"hidden, too", image.Filter{Hidden: true, Community: true}, "", nil, true, true},
	} {
		f := newFilesOf(config.Config{Filter: tc.filter, NewVisibility: tc.visibility, NewTags: tc.tags}, "p")
		err := f.check("name")
		if (err == nil) != tc.shown || err != nil && !image.Is(err, image.NotPermitted) {
			t.Errorf("%s: %v", tc.what, err)
		}
		if note := f.note(); (note == "") != tc.anyShown {
			t.Errorf("%s: the note is %q", tc.what, note)
		}
	}
	if err := newFilesOf(config.Config{Filter: image.Filter{Owner: "q"}}, "").check("name"); err != nil {
		t.Errorf("whose it will be is not known: %v", err)
	}
}

// What has no bytes is queued and has no format but the one that was set.
func TestNewEmptyFiles(t *testing.T) {
	iso, hidden, public := "iso", true, image.VisibilityPublic
	for _, tc := range []struct {
		what   string
		filter image.Filter
		set    image.Settings
		shown  bool
	}{
		{"no filter", image.Filter{}, image.Settings{}, true},
		{"status", image.Filter{Statuses: []image.Status{image.StatusActive}}, image.Settings{}, false},
		{"statuses", image.Filter{Statuses: []image.Status{image.StatusActive, image.StatusQueued}}, image.Settings{}, true},
		{"format", image.Filter{Formats: []string{"iso", "raw"}}, image.Settings{}, false},
		{"format that was set", image.Filter{Formats: []string{"iso", "raw"}}, image.Settings{DiskFormat: &iso}, true},
		{"what the user has chosen", image.Filter{Name: "x", Tags: []string{"t"}, Visibility: image.VisibilityPrivate}, image.Settings{Hidden: &hidden, Visibility: &public}, true},
	} {
		err := newFilesOf(config.Config{Filter: tc.filter}, "p").checkEmpty("name", tc.set)
		if (err == nil) != tc.shown || err != nil && (!image.Is(err, image.NotPermitted) || !errors.Is(err, image.ErrUnshown)) {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
}

// An empty file that would not show is not made: who makes it does not find it, and
// would make one after the other.
func TestNewEmptyFilesAreNotMade(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--status", "active"}, {"--format", "raw"}, {"--format", "raw", "--writeback"}} {
		w := newWorld(t)
		endpoint := service(t, nil)
		m := w.mounted(endpoint, flags...)
		w.mustSh("touch m/one m/two m/two")
		f, err := os.Create(filepath.Join(m, "given"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(unix.Fsetxattr(int(f.Fd()), "user.image.disk_format", []byte("raw"), 0), f.Close()); err != nil {
			t.Fatal(err)
		}
		w.mustSh("cp /bin/true m/bytes")
		w.mustRun("unmount", m)
		want := 2
		if flags[0] == "--status" { // a format does not make it active
			want = 1
		}
		if n := imagesOf(t, endpoint); n != want {
			t.Errorf("%v: %d images, want %d", flags, n, want)
		}
		if left, err := staging.Survey(filepath.Join(w.dir, "staging")); err != nil || len(left) != 0 {
			t.Errorf("%v: in staging %v, %v", flags, left, err)
		}
	}
}

// Where nothing can be made the user is told so when the mount begins, and programs
// are told when they try.
func TestNewFilesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	endpoint := service(t, nil)
	m := w.mkdir("m")
	w.cleanMount(m)
	_, stderr, code := w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "--tag", "ready", m)
	if line := oneLineOf(t, stderr); code != exitOK || line != "imagefs: "+newFilesOf(config.Config{Filter: image.Filter{Tags: []string{"ready"}}}, "").note() {
		t.Errorf("code %d, %q", code, line)
	}
	if out, err := w.sh("touch m/x"); err == nil || out != "touch: cannot touch 'm/x': Operation not permitted\n" {
		t.Errorf("%q, %v", out, err)
	}
	w.mustRun("unmount", m)
	if n := imagesOf(t, endpoint); n != 0 {
		t.Errorf("%d images", n)
	}
	_, stderr, code = w.run("mount", "--endpoint", endpoint, "--staging-dir", w.dir+"/staging", "--tag", "ready", "--new-tag", "ready", m)
	if code != exitOK || stderr != "" {
		t.Errorf("code %d, %q", code, stderr)
	}
	if out := w.mustSh("cp /bin/true m/x && ls m"); out != "x\n" {
		t.Errorf("%q", out)
	}
	w.mustRun("unmount", m)
}
