package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/metrics"
	"github.com/imagefs/imagefs/staging"
)

func TestPick(t *testing.T) {
	all := []staging.Record{
		{Draft: "3d70c0ea-ff57-4087-86d1-3a09a778be6a"}, {Draft: "3d70c0eb-0000-4000-8000-000000000000"},
		{Draft: "aaaa0000-0000-4000-8000-000000000000"},
	}
	for _, c := range []struct {
		ids  string
		want int
		code exitCode
	}{
		{"3d70c0ea", 1, exitOK}, {"AAAA", 1, exitOK}, {"aaaa aaaa0000", 1, exitOK}, {"aaaa 3d70c0eb-0000-4000-8000-000000000000", 2, exitOK},
		{"3d70", 0, exitUsage}, {"3d7", 0, exitUsage}, {"bbbb", 0, exitNoDraft}, {"aaaa bbbb", 0, exitNoDraft},
	} {
		got, err := pick(all, strings.Fields(c.ids))
		if len(got) != c.want || codeOf(err) != c.code {
			t.Errorf("%s: %d drafts, %v", c.ids, len(got), err)
		}
	}
}

func TestIsAt(t *testing.T) {
	const service = "http://127.0.0.1:9292/v2"
	for endpoint, want := range map[string]bool{
		service: true, "http://127.0.0.1:9292": true, "http://127.0.0.1:9292/": true, "http://127.0.0.1:929": false, "http://other": false,
	} {
		if isAt(service, endpoint) != want {
			t.Errorf("%s: not %v", endpoint, want)
		}
	}
}

func TestAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk.raw")
	text := func(s string) func(*os.File) error {
		return func(f *os.File) error {
			if _, err := os.Stat(path); err == nil && s == "first" {
				t.Error("it shows before it is complete")
			}
			_, err := f.WriteString(s)
			return err
		}
	}
	to := aside{path: path, syncDir: syncDir}
	if err := to.write(text("first")); err != nil {
		t.Fatal(err)
	}
	if err := to.write(text("second")); codeOf(err) != exitFileExists {
		t.Errorf("over an existing file: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("%q %v", got, err)
	}
	to.force = true
	to.syncDir = func(of string) error {
		if got, err := os.ReadFile(path); of != dir || err != nil || string(got) != "third" {
			t.Errorf("fsync of %s, with %q %v", of, got, err)
		}
		return syncDir(of)
	}
	if err := to.write(text("third")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "third" {
		t.Errorf("%q %v", got, err)
	}
	broken := errors.New("broken")
	to.syncDir = func(string) error { return broken }
	if err := to.write(text("fourth")); !errors.Is(err, broken) || !strings.Contains(err.Error(), "is written") {
		t.Error(err)
	}
	if err := (aside{path: filepath.Join(dir, "other"), force: true, syncDir: syncDir}).write(func(*os.File) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := (aside{path: filepath.Join(dir, "none", "x"), syncDir: syncDir}).write(text("x")); codeOf(err) != exitDraft {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v %v", left, err)
	}
}

func TestCopySparse(t *testing.T) {
	dir := t.TempDir()
	s := openStaging(t, filepath.Join(dir, "staging"))
	d, err := s.Create(staging.Spec{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for off, text := range map[int64]string{0: "head", 40<<20 + 7: "middle", 80<<20 - 4: "tail"} {
		if _, err := d.WriteAt(t.Context(), []byte(text), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Truncate(t.Context(), 100<<20); err != nil {
		t.Fatal(err)
	}
	to, err := os.Create(filepath.Join(dir, "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	last := int64(0)
	if err := copySparse(t.Context(), to, d, func(done int64) { last = done }); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to.Name())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(d.Path())
	if err != nil || !bytes.Equal(got, want) || last < 80<<20 {
		t.Errorf("the copy differs: %d bytes of %d, %v, %d done", len(got), len(want), err, last)
	}
	info, err := to.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if n := info.Sys().(*syscall.Stat_t).Blocks * 512; n > 4<<20 {
		t.Errorf("the copy occupies %d bytes", n)
	}
}

func openStaging(t *testing.T, dir string) *staging.Store {
	t.Helper()
	return openStagingOf(t, dir, "http://s/v2", "prod")
}

func openStagingOf(t *testing.T, dir, service, cloud string) *staging.Store {
	t.Helper()
	s, err := staging.Open(staging.Options{Dir: dir, Service: service, Cloud: cloud})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// list and discard need neither a mount nor a service.
func TestStagedOffline(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "staging")
	s := openStaging(t, dir)
	kept := map[string]string{}
	for _, name := range []string{"one.img", "two.img", "held.img"} {
		d, err := s.Create(staging.Spec{Name: name, Entry: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt(t.Context(), []byte(name), 0); err != nil {
			t.Fatal(err)
		}
		kept[name] = d.ID()
		if name == "held.img" {
			defer d.Close()
		} else if err := d.Keep("no room"); err != nil {
			t.Fatal(err)
		}
	}
	list := func(args ...string) []metrics.Kept {
		t.Helper()
		var all []metrics.Kept
		text := w.mustRun(append([]string{"staged", "list", "--json", "--staging-dir", dir}, args...)...)
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return all
	}
	all := list()
	if len(all) != 3 || all[0].Name != "one.img" || all[0].State != "failed" || all[0].Reason != "no room" || all[0].Size != 7 || all[2].State != "in use" {
		t.Errorf("list: %+v", all)
	}
	if n := len(list("--cloud", "prod")); n != 3 {
		t.Errorf("of the cloud: %d", n)
	}
	if n := len(list("--cloud", "other")) + len(list("--endpoint", "http://other")); n != 0 {
		t.Errorf("of another: %d", n)
	}
	if n := len(list("--endpoint", "http://s")); n != 3 {
		t.Errorf("of the service: %d", n)
	}
	text := w.mustRun("staged", "list", "--staging-dir", dir)
	for _, want := range []string{"http://s/v2, cloud prod", kept["one.img"][:8], "failed", "no room", "one.img", ".data", "in use"} {
		if !strings.Contains(text, want) {
			t.Errorf("list lacks %q:\n%s", want, text)
		}
	}
	if got := w.mustFail(exitUsage, "staged", "discard", "--staging-dir", dir, kept["one.img"][:8]); !strings.Contains(got, "--yes") {
		t.Errorf("discard without a terminal: %s", got)
	}
	w.mustFail(exitDraftBusy, "staged", "discard", "--yes", "--staging-dir", dir, kept["held.img"])
	w.mustFail(exitDraftBusy, "staged", "export", "--staging-dir", dir, kept["held.img"], filepath.Join(w.dir, "x"))
	w.mustFail(exitNoDraft, "staged", "export", "--staging-dir", dir, "ffffffff", filepath.Join(w.dir, "x"))
	w.mustFail(exitUsage, "staged", "retry", "--staging-dir", dir)
	w.mustFail(exitUsage, "staged")
	out := filepath.Join(w.dir, "out.img")
	w.mustRun("staged", "export", "--staging-dir", dir, kept["two.img"], out)
	if got, err := os.ReadFile(out); err != nil || string(got) != "two.img" {
		t.Errorf("exported %q %v", got, err)
	}
	w.mustFail(exitFileExists, "staged", "export", "--staging-dir", dir, kept["one.img"], out)
	w.mustRun("staged", "discard", "--yes", "--staging-dir", dir, kept["one.img"][:8])
	if all := list(); len(all) != 2 {
		t.Errorf("after discarding: %+v", all)
	}
	w.mustRun("staged", "discard", "--all", "--yes", "--staging-dir", dir)
	if all := list(); len(all) != 1 || all[0].Name != "held.img" {
		t.Errorf("after discarding all: %+v", all)
	}
}

// A draft that somebody takes after it was chosen has the exit code of one that is in use.
func TestStagedDiscardOvertaken(t *testing.T) {
	url := service(t, nil)
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	dir := filepath.Join(t.TempDir(), "staging")
	s := openStagingOf(t, dir, api.Service(), "")
	for _, half := range []string{"", "an image half made"} {
		for _, endpoint := range []string{url, "http://127.0.0.1:1"} {
			d, err := s.Create(staging.Spec{Name: "n"})
			if err == nil {
				err = d.Update(func(r *staging.Record) { r.Image = half })
			}
			if err != nil {
				t.Fatal(err)
			}
			var said lockedBuffer
			err = discardStaged(t.Context(), config.Config{StagingDir: dir, Endpoint: endpoint, Memory: 8 << 20, Streams: 4},
				[]staging.Record{d.Record()}, streams{Err: &said})
			if codeOf(err) != exitDraftBusy {
				t.Errorf("%q at %s: %v", half, endpoint, err)
			}
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
		}
	}
}

// discard shows at a terminal what would go, and Ctrl-C ends its waiting for an answer.
func TestStagedDiscardAsks(t *testing.T) {
	t.Setenv("IMAGEFS_CONFIG", "")
	dir := filepath.Join(t.TempDir(), "staging")
	d, err := openStaging(t, dir).Create(staging.Spec{Name: "one.img"})
	if err == nil {
		_, err = d.WriteAt(t.Context(), []byte("data"), 0)
	}
	if err == nil {
		err = d.Keep("no room")
	}
	if err != nil {
		t.Fatal(err)
	}
	keyboard, terminal := newTerminal(t)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx   context.Context
		typed string
		code  exitCode
		left  int
	}{{interrupted, "", exitInterruptedBy, 1}, {t.Context(), "no\n", exitInternal, 1}, {t.Context(), "yes\n", exitOK, 0}} {
		if _, err := keyboard.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		var stderr lockedBuffer
		code := run(c.ctx, []string{"staged", "discard", "--staging-dir", dir, "--all"}, streams{In: terminal, Out: io.Discard, Err: &stderr})
		left, err := staging.Survey(dir)
		if exitCode(code) != c.code || err != nil || len(left) != c.left {
			t.Errorf("%q: code %d, %d drafts left, %v", c.typed, code, len(left), err)
		}
		if want := "  one.img  failed, 4 B\nDelete 1 draft of 4 B for good? [y/N] "; !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("it asks %q", stderr.String())
		}
	}
}

// mustFail runs the program, which must fail with the code, and returns what it says.
func (w *world) mustFail(code exitCode, args ...string) string {
	w.t.Helper()
	_, stderr, got := w.run(args...)
	if got != code {
		w.t.Errorf("imagefs %v: code %d, want %d: %s", args, got, code, stderr)
	}
	return stderr
}

// What was not uploaded is, when told, without a mount; what an edit did not write over
// comes from the service; what was half made goes with its draft.
func TestStagedWithService(t *testing.T) {
	w := newWorld(t)
	url := service(t, nil)
	dir := filepath.Join(w.dir, "staging")
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	put := func(n image.New, text string) image.Image {
		t.Helper()
		n.DiskFormat, n.ContainerFormat = "raw", "bare"
		img, err := api.Create(t.Context(), n)
		if err == nil {
			err = api.Upload(t.Context(), img.ID, int64(len(text)), func() io.Reader { return strings.NewReader(text) })
		}
		if err == nil {
			img, err = api.Get(t.Context(), img.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	s := openStagingOf(t, dir, api.Service(), "")
	old := put(image.New{Name: "edited.img", Tags: []string{"mine"}}, "0123456789")
	keep := func(spec staging.Spec, text string, change func(*staging.Record)) string {
		t.Helper()
		d, err := s.Create(spec)
		if err == nil {
			_, err = d.WriteAt(t.Context(), []byte(text), 3)
		}
		if err == nil && change != nil {
			err = d.Update(change)
		}
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		return d.ID()
	}
	all := func() map[string]image.Image {
		t.Helper()
		found := map[string]image.Image{}
		for _, hidden := range []bool{false, true} {
			err := api.List(t.Context(), client.Filter{Hidden: hidden}, func(page []image.Image) error {
				for _, img := range page {
					found[img.Name] = img
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return found
	}
	fresh := keep(staging.Spec{Name: "fresh.img", Entry: "fresh.img"}, "xyz", nil)
	edited := keep(staging.Spec{Name: "edited.img", Replaces: old.ID, Inherit: &old, Base: noBase{}, BaseImage: old}, "xyz", func(r *staging.Record) { r.State = staging.StateFailed })

	out := filepath.Join(w.dir, "out.img")
	w.mustRun("staged", "export", "--staging-dir", dir, edited, out)
	if got, err := os.ReadFile(out); err != nil || string(got) != "012xyz6789" {
		t.Errorf("exported %q %v", got, err)
	}
	if said := w.mustRun("staged", "retry", "--staging-dir", dir, "--new-tag", "told", fresh[:8]); !strings.Contains(said, "fresh.img is image "+fresh) {
		t.Errorf("retry says %s", said)
	}
	w.mustRun("staged", "retry", "--staging-dir", dir, "--all", "--endpoint", url)
	images := all()
	if got := images["fresh.img"]; got.Size != 6 || got.Hidden || strings.Join(got.Tags, " ") != "told" {
		t.Errorf("fresh: %+v", got)
	}
	if got := images["edited.img"]; got.ID == old.ID || got.Size != 10 || got.Hidden || strings.Join(got.Tags, " ") != "mine" || len(images) != 2 {
		t.Errorf("edited: %+v of %d", got, len(images))
	}

	// A half-made image goes with its draft.
	id := keep(staging.Spec{Name: "half.img"}, "xyz", nil)
	half := put(image.New{Name: "half.img", Hidden: true, Properties: map[string]string{image.PropertyDraft: id}}, "xyz")
	d, err := s.Reopen(id, staging.ReopenSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Update(func(r *staging.Record) { r.State, r.Image = staging.StateCreated, half.ID }), d.Close()); err != nil {
		t.Fatal(err)
	}
	w.mustRun("staged", "discard", "--staging-dir", dir, "--yes", id)
	if images := all(); len(images) != 2 {
		t.Errorf("left at the service: %+v", images)
	}
	// Where the service is out of reach, the draft goes, and what is left is named.
	id = keep(staging.Spec{Name: "half.img"}, "xyz", func(r *staging.Record) { r.State, r.Image = staging.StateCreated, half.ID })
	if said := w.mustFail(exitDraft, "staged", "discard", "--staging-dir", dir, "--yes", "--endpoint", "http://127.0.0.1:1", id); !strings.Contains(said, half.ID) || !strings.Contains(said, id) {
		t.Errorf("discard says %s", said)
	}
	// A draft of another service is not taken to this one.
	other := openStagingOf(t, dir, "http://127.0.0.1:1/v2", "")
	d, err = other.Create(staging.Spec{Name: "other.img"})
	if err == nil {
		_, err = d.WriteAt(t.Context(), []byte("x"), 0)
	}
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if said := w.mustFail(exitUsage, "staged", "retry", "--staging-dir", dir, "--endpoint", url, d.ID()); !strings.Contains(said, "belongs to the service") {
		t.Errorf("retry says %s", said)
	}
	w.mustFail(exitUnreachable, "staged", "retry", "--staging-dir", dir, d.ID())
	if said := w.mustRun("staged", "list", "--staging-dir", dir); !strings.Contains(said, "other.img") || strings.Contains(said, "half.img") {
		t.Errorf("list: %s", said)
	}
}

// retry --all uploads nothing that its writer had not finished: what it would replace stays.
func TestStagedRetryAll(t *testing.T) {
	w := newWorld(t)
	url := service(t, nil)
	dir := filepath.Join(w.dir, "staging")
	m := w.mounted(url)
	w.mustSh("for f in failed abandoned open lacking; do echo whole > m/$f; done")
	w.mustRun("unmount", m)
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	images := func() map[string]image.Image {
		t.Helper()
		found := map[string]image.Image{}
		err := api.List(t.Context(), client.Filter{}, func(page []image.Image) error {
			for _, img := range page {
				found[img.Name] = img
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	was := images()
	s := openStagingOf(t, dir, api.Service(), "")
	for name, end := range map[string]func(*staging.Draft) error{
		"failed":    func(d *staging.Draft) error { return d.Keep("over quota") },
		"abandoned": func(d *staging.Draft) error { return d.Abandon("killed", true) },
		"open":      (*staging.Draft).Close,
		"lacking": func(d *staging.Draft) error {
			return errors.Join(d.Update(func(r *staging.Record) { r.Uncertain = true }), d.Keep("the disk failed"))
		},
		"held": nil,
	} {
		old := was[name]
		d, err := s.Create(staging.Spec{Name: name, Entry: name, Replaces: old.ID, Inherit: &old})
		if err == nil {
			_, err = d.WriteAt(t.Context(), []byte("half"), 0)
		}
		if err == nil && end != nil {
			err = end(d)
		} else {
			defer d.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, said, code := w.run("staged", "retry", "--staging-dir", dir, "--all", "--endpoint", url)
	if code != exitOK || !strings.Contains(said, "4 of 5 drafts are left (1 in use, 2 open or abandoned, 1 that may lack bytes)") {
		t.Errorf("code %d: %s", code, said)
	}
	now := images()
	if len(now) != len(was) || now["failed"].Size != 4 {
		t.Errorf("images %+v", now)
	}
	for _, name := range []string{"abandoned", "open", "lacking"} {
		if now[name].ID != was[name].ID {
			t.Errorf("%s is replaced by %+v", name, now[name])
		}
	}
}

// A retry of more drafts than are uploaded at once shows from its beginning what it does.
func TestStagedRetryShowsProgress(t *testing.T) {
	t.Parallel()
	g, url := gatedService(t)
	w := newWorld(t)
	dir := filepath.Join(w.dir, "staging")
	api, err := client.Dial(t.Context(), client.Options{Endpoint: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	s := openStagingOf(t, dir, api.Service(), "")
	for range recoveredAtOnce + 1 {
		d, err := s.Create(staging.Spec{Name: "later.img"})
		if err == nil {
			_, err = d.WriteAt(t.Context(), []byte("data"), 0)
		}
		if err := errors.Join(err, d.Keep("the service was away")); err != nil {
			t.Fatal(err)
		}
	}
	p := w.start("staged", "retry", "--staging-dir", dir, "--all", "--endpoint", url)
	eventually(t, "it says what it uploads", func() bool { return strings.Contains(p.err.String(), "later.img") })
	g.release()
	if out, stderr, code := p.end(); code != exitOK || strings.Count(out, "later.img is image") != recoveredAtOnce+1 {
		t.Errorf("code %d: %s%s", code, out, stderr)
	}
}

// noBase is what lies under a draft that nobody reads.
type noBase struct{}

func (noBase) ReadAt(context.Context, []byte, int64) (int, error) { return 0, io.EOF }
func (noBase) Close() error                                       { return nil }
