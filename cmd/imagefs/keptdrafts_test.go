package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/fs"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// Of a removed file that may have left something at the service the journal stays, and
// the recovery is told; of another one nothing stays.
func TestDiscardTells(t *testing.T) {
	for _, made := range []bool{true, false} {
		r := &rooms{staging: openStagingOf(t, filepath.Join(t.TempDir(), "staging"), "http://127.0.0.1:1", ""), log: quiet, left: make(chan struct{}, 1)}
		for range 2 { // the second finds that it was told
			d, err := r.drafts().Create(fs.DraftSpec{Name: "x", Entry: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if made {
				err = d.(*draft).Update(func(rec *staging.Record) { rec.State, rec.Image = staging.StateCommitting, d.ID() })
			}
			if err := errors.Join(err, d.Unlink(), d.Discard()); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := r.staging.Kept()
		if want := map[bool]int{true: 2}[made]; err != nil || len(kept) != want || len(r.left) != min(want, 1) {
			t.Errorf("made %v: told %d, kept %+v, %v", made, len(r.left), kept, err)
		}
		for _, k := range kept {
			if whatNext(k, "") != goesOn {
				t.Errorf("the recovery leaves it alone: %+v", k)
			}
		}
		if n := r.liveDrafts.Load(); n != 0 {
			t.Errorf("%d drafts live on", n)
		}
	}
}

// What a failed commit has left half made goes, and its draft stays as it was; what is
// not half made stays named.
func TestClearAway(t *testing.T) {
	api, err := client.Dial(t.Context(), client.Options{Endpoint: service(t, nil), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	s := openStagingOf(t, filepath.Join(t.TempDir(), "staging"), api.Service(), "")
	r := &rooms{client: api, staging: s, log: quiet, committer: commit.New(commit.Options{Service: api})}
	for _, c := range []struct {
		half  bool
		state staging.State
	}{{true, staging.StateFailed}, {false, staging.StateFailed}, {true, staging.StateOpen}} { // open: written again, when the daemon was killed
		half := c.half
		d, err := s.Create(staging.Spec{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		properties := map[string]string{}
		if half {
			properties[image.PropertyDraft] = d.ID()
		}
		img, err := api.Create(t.Context(), image.New{Name: "x", Hidden: half, Properties: properties})
		if err == nil {
			_, err = d.WriteAt(t.Context(), []byte("bytes"), 0)
		}
		if err == nil {
			err = d.Update(func(rec *staging.Record) { rec.Image = img.ID })
		}
		end := d.Close
		if c.state == staging.StateFailed {
			end = func() error { return d.Keep("no luck") }
		}
		if err := errors.Join(err, end()); err != nil {
			t.Fatal(err)
		}
		find := func() staging.Record {
			kept, err := s.Kept()
			for _, k := range kept {
				if k.Draft == d.ID() {
					return k
				}
			}
			t.Fatalf("the draft is gone: %v", err)
			return staging.Record{}
		}
		if !(&recovery{}).due(find()) {
			t.Errorf("%+v: the recovery leaves it alone", c)
		}
		if err := r.resume(t.Context(), find()); err != nil {
			t.Error(err)
		}
		if _, err := api.Get(t.Context(), img.ID); image.Is(err, image.NotFound) != half {
			t.Errorf("half made %v: %v", half, err)
		}
		if k := find(); k.State != c.state || (k.Reason == "no luck") != (c.state == staging.StateFailed) || k.Size != 5 || (k.Image == "") != half || k.Uncertain {
			t.Errorf("%+v: draft %+v", c, k)
		}
	}
}

// Whoever may write to a mount chooses names, and must not reach the terminal of who
// settles drafts.
func TestNamesForTerminals(t *testing.T) {
	const id = "3d9a9a60-c320-4b38-8cb3-58b16b5aeeb4"
	for name, want := range map[string]string{"": id, "a b.img": "a b.img", "x\x1b]0;owned\x07\n": "x%1B]0;owned%07%0A"} {
		if got := nameOf(staging.Record{Draft: id, Name: name}); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}
