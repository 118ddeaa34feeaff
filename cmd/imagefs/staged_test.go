package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefs/imagefs/client"
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
			_, err := api.List(t.Context(), client.Filter{Hidden: hidden}, func(page []image.Image) error {
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
