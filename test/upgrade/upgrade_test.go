package upgrade

import (
	"bytes"
	bin "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/test/daemon"
)

// onEach runs a test on a copy of each fixture, with the service that is in it.
func onEach(t *testing.T, test func(t *testing.T, s *service, dir string)) {
	all, err := filepath.Glob("testdata/format-*")
	if err != nil || len(all) == 0 {
		t.Fatalf("no fixtures, %v", err)
	}
	for _, fixture := range all {
		t.Run(filepath.Base(fixture), func(t *testing.T) {
			dir := t.TempDir()
			copyPrivate(t, dir, fixture)
			s, err := newService(filepath.Join(dir, "served"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			}()
			test(t, s, dir)
		})
	}
}

// copyPrivate copies a directory as daemons have theirs.
func copyPrivate(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mount mounts over what is in the fixture, until the end of the test.
func mount(t *testing.T, dir string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.New(binary, dir, "--endpoint", endpoint, "--abandoned-ttl", "0")
	if d != nil {
		t.Cleanup(func() {
			if err := d.Kill(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the daemon's log:\n%s", d.Tail())
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs imagefs, and returns what it prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("imagefs %v: %v: %s", args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}

// is fails unless the file has the bytes.
func is(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d, %v", path, len(got), len(want), err)
	}
}

// images are the images that the fixture's work ends in, by name, with their bytes.
func images() map[string][]byte {
	edited := content("edited.img", small)
	copy(edited[patchAt:], patch)
	all := map[string][]byte{
		"whole.img": content("whole.img", large), "partial.img": content("partial.img", large),
		"edited.img": edited, "target.img": content("moved.img", small),
	}
	for _, name := range []string{"committing.img", "created.img", "uploaded.img", "visible.img", "owed.img", "attributes.img"} {
		all[name] = content(name, small)
	}
	return all
}

// What was under way before an upgrade is brought to its end after it: the commits in all
// their states, and a rename; what waits for a person is still there.
func TestUpgrade(t *testing.T) {
	onEach(t, func(t *testing.T, s *service, dir string) {
		d := mount(t, dir)
		err := d.Until("all that was owed is done", func() (bool, error) {
			drafts, err := filepath.Glob(filepath.Join(d.Staging, "*", "*.data"))
			renames, _ := filepath.Glob(filepath.Join(d.Staging, "*", "*.rename")) // the pattern is as good
			return len(drafts) == 3 && len(renames) == 0, err
		})
		if err != nil {
			t.Fatal(err)
		}
		finished(t, s)
		waiting(t, d, dir)

		// The cache serves what it had.
		for name, blocks := range map[string]int{"whole.img": large, "partial.img": 10} {
			f, err := os.Open(filepath.Join(d.Mountpoint, name))
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, blocks)
			if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, content(name, large)[:blocks]) || s.readsOf(name) != 0 {
				t.Errorf("%s: %v, and the service was asked %d times", name, err, s.readsOf(name))
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		for name, want := range images() {
			is(t, filepath.Join(d.Mountpoint, name), want)
		}
		if s.readsOf("partial.img") == 0 {
			t.Error("the cache had more of an image than was read")
		}
		info, err := os.Stat(filepath.Join(d.Mountpoint, "attributes.img"))
		if err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(changedAt) {
			t.Errorf("attributes: %v, %v", info, err)
		}
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
		if lines := d.Complaints(); len(lines) > 0 {
			t.Errorf("the log has %q", lines)
		}
	})
}

// finished fails unless the service has each image once, whole, and nothing half made.
func finished(t *testing.T, s *service) {
	t.Helper()
	all, err := s.all()
	if err != nil {
		t.Fatal(err)
	}
	want := images()
	want["trashed.img"] = content("trashed.img", small)
	for _, img := range all {
		got, err := s.get("/v2/images/" + img.ID + "/file")
		if err != nil || img.Draft != "" || img.Status != "active" || !bytes.Equal(got, want[img.Name]) {
			t.Errorf("%+v with %d bytes, %v", img, len(got), err)
		}
		delete(want, img.Name) // a second one has nothing to be like
		kept := slices.Contains([]string{"visible.img", "edited.img", "target.img", "trashed.img"}, img.Name)
		switch {
		case kept && !slices.Equal(img.Tags, []string{"kept"}), (img.Name == "created.img") != (img.Color == "red"):
			t.Errorf("not taken over: %+v", img)
		case (img.Name == "trashed.img") != (img.Hidden && img.Trash != ""):
			t.Errorf("the trash has %+v", img)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if text := run(t, "trash", "list", "--endpoint", endpoint); strings.Count(text, "\n") != 2 || !strings.Contains(text, "trashed.img") {
		t.Errorf("the trash is %s", text)
	}
}

// waiting fails unless staging lists what waits for a person, with its bytes.
func waiting(t *testing.T, d *daemon.Daemon, dir string) {
	t.Helper()
	type draft struct {
		ID        string `json:"draft"`
		Name      string `json:"name"`
		State     string `json:"state"`
		Uncertain bool   `json:"uncertain"`
	}
	var all []draft
	if err := json.Unmarshal([]byte(run(t, "staged", "list", "--json", "--staging-dir", d.Staging)), &all); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"failed": compressed(), "abandoned": []byte(half), "open": content("open.img", small)}
	for _, k := range all {
		if k.Name != k.State+".img" || k.Uncertain != (k.State == "open") {
			t.Errorf("it is %+v", k)
		}
		out := filepath.Join(dir, k.Name)
		run(t, "staged", "export", "--staging-dir", d.Staging, "--endpoint", endpoint, k.ID, out)
		is(t, out, want[k.State])
		delete(want, k.State)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// tree reads all files.
func tree(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// unknown is a version that no program has.
const unknown = 1 << 20

// What a later version has left is told in one line for each file, and left as it is, after
// a downgrade: by the mount, by what is done there, and by the commands.
func TestDowngrade(t *testing.T) {
	onEach(t, func(t *testing.T, s *service, dir string) {
		version := regexp.MustCompile(`"version":\d+`)
		told := map[string]bool{} // what the log has to name
		for path, text := range tree(t, filepath.Join(dir, "staging"), filepath.Join(dir, "cache")) {
			switch ext := filepath.Ext(path); ext {
			case ".json", ".rename":
				text = version.ReplaceAllString(text, fmt.Sprintf(`"version":%d`, unknown))
				named := path
				if ext == ".json" {
					named = strings.TrimSuffix(path, ext) + ".data"
				}
				told[named] = true
			case ".index":
				head := []byte(text)
				bin.LittleEndian.PutUint32(head[len("imgblks\n"):], unknown)
				text = string(head)
				told[path] = true
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) == 0 {
			t.Fatal("nothing was changed")
		}
		before := tree(t, filepath.Join(dir, "staging"), filepath.Join(dir, "cache"))
		records, err := s.all()
		if err != nil {
			t.Fatal(err)
		}
		d := mount(t, dir)
		is(t, filepath.Join(d.Mountpoint, "whole.img"), content("whole.img", large))
		if err := os.WriteFile(filepath.Join(d.Mountpoint, "new.img"), content("new.img", small), 0o600); err != nil {
			t.Error(err)
		}
		run(t, "staged", "retry", "--all", "--staging-dir", d.Staging)
		run(t, "staged", "discard", "--all", "--yes", "--staging-dir", d.Staging)
		err = d.Until("each file is named", func() (bool, error) {
			log, err := os.ReadFile(d.Log)
			for path := range told {
				if !bytes.Contains(log, []byte("="+path)) {
					return false, err
				}
			}
			return true, err
		})
		if err := errors.Join(err, d.Unmount()); err != nil {
			t.Error(err)
		}
		after := tree(t, d.Staging, d.Cache)
		for path, text := range before {
			if got, ok := after[path]; !ok || got != text {
				t.Errorf("%s: there %v, and changed", path, ok)
			}
		}
		if now, err := s.all(); err != nil || len(now) != len(records)+1 {
			t.Errorf("%d images, were %d, %v", len(now), len(records), err)
		}
	})
}
