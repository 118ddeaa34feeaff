package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/commit"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

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
	for _, half := range []bool{true, false} {
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
		if err := errors.Join(err, d.Keep("no luck")); err != nil {
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
		if err := r.resume(t.Context(), find()); err != nil {
			t.Error(err)
		}
		if _, err := api.Get(t.Context(), img.ID); image.Is(err, image.NotFound) != half {
			t.Errorf("half made %v: %v", half, err)
		}
		if k := find(); k.State != staging.StateFailed || k.Reason != "no luck" || k.Size != 5 || (k.Image == "") != half || k.Uncertain {
			t.Errorf("half made %v: draft %+v", half, k)
		}
	}
}
