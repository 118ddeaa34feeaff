package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

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
		_, err := api.List(t.Context(), client.Filter{}, func(page []image.Image) error {
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

// What an interrupted rename decides about is not uploaded before that: there would be two
// images of its name for ever.
func TestStagedRetryUndecided(t *testing.T) {
	r := newRenameRooms(t, time.Minute)
	r.killed(t)
	kept, err := r.staging.Kept()
	if err != nil || len(kept) != 2 {
		t.Fatal(len(kept), err)
	}
	for _, k := range kept {
		if said, err := r.retry(t.Context(), k); codeOf(err) != exitDraftBusy || !strings.Contains(err.Error(), "rename") {
			t.Errorf("%s: %s, %v", k.Name, said, err)
		}
	}
	if err := r.finish(t.Context(), r.rename(t)); err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		if _, err := r.retry(t.Context(), k); err != nil {
			t.Errorf("%s, decided: %v", k.Name, err)
		}
	}
}
