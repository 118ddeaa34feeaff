package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
	"github.com/imagefs/imagefs/test/fault"
)

// A mount whose service fails a few times shows the files that an earlier run had
// accepted all the same: otherwise their entries would have what they replaced.
func TestTakeOwedTriesAgain(t *testing.T) {
	for title, c := range map[string]struct {
		fault    fault.Fault
		removing bool
	}{
		"refused":       {fault: fault.Refused},
		"503":           {fault: fault.Status(http.StatusServiceUnavailable, "Later.")},
		"no JSON":       {fault: fault.InvalidJSON},
		"being removed": {fault: fault.Status(http.StatusBadGateway, "Bad Gateway"), removing: true},
	} {
		t.Run(title, func(t *testing.T) {
			r, p := newOwedRooms(t, c.removing)
			if err := p.Set(fault.Rule{Kind: fault.Get, Fault: c.fault, Times: 2}); err != nil {
				t.Fatal(err)
			}
			owed := r.takeOwed(t.Context())
			if len(owed) != 1 || owed[0].Entry != "a" || owed[0].Under == nil {
				t.Errorf("taken up: %+v", owed)
			}
			if p.Hits() == 0 {
				t.Error("nothing has failed")
			}
			for _, o := range owed {
				if err := o.Draft.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// One whose service does not come back waits no longer than it is told.
func TestTakeOwedEnds(t *testing.T) {
	r, p := newOwedRooms(t, false)
	if err := p.Set(fault.Rule{Kind: fault.Get, Fault: fault.Status(http.StatusServiceUnavailable, "Later."), Times: fault.Always}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if owed := r.takeOwed(ctx); len(owed) != 0 || p.Hits() == 0 {
		t.Errorf("taken up: %+v", owed)
	}
}

// The record that a draft fills lies under it also where an earlier commit has hidden it:
// who removes the file removes that. One that others have hidden does not show.
func TestTakeOwedUnderHidden(t *testing.T) {
	for _, own := range []bool{true, false} {
		r, _ := newOwedRooms(t, false)
		kept, err := r.staging.Kept()
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.take(kept[0], staging.ReopenSpec{})
		if err != nil {
			t.Fatal(err)
		}
		into := kept[0].Replaces
		err = d.Update(func(rec *staging.Record) { rec.Into, rec.Replaces, rec.Image = into, "", into })
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		hide := []image.Change{{Field: "os_hidden", Value: true}}
		if own {
			hide = append(hide, image.Change{Field: image.PropertyDraft, Property: true, Value: kept[0].Draft})
		}
		if _, err := r.client.Update(t.Context(), into, hide); err != nil {
			t.Fatal(err)
		}
		owed := r.takeOwed(t.Context())
		if len(owed) != 1 || (owed[0].Under != nil) != own {
			t.Errorf("hidden by its own commit %v: %+v", own, owed)
		}
		for _, o := range owed {
			if err := o.Draft.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// newOwedRooms are rooms over a service behind a proxy, and an accepted draft over an image.
func newOwedRooms(t *testing.T, removing bool) (*rooms, *fault.Proxy) {
	t.Helper()
	p, err := fault.New(service(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	api, err := client.Dial(t.Context(), client.Options{Endpoint: p.URL(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	s, err := staging.Open(staging.Options{Dir: filepath.Join(t.TempDir(), "staging"), Service: api.Service()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rooms{client: api, staging: s, log: quiet, left: make(chan struct{}, 1), trash: newTrash(api, 0, quiet)}
	r.catalog = catalog.New(catalog.Options{Lister: lister{client: api}, Records: api, Remover: r.trash, Sharer: api})
	t.Cleanup(r.catalog.Close)
	img, err := api.Create(t.Context(), image.New{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Create(staging.Spec{Name: "a", Entry: "a", Replaces: img.ID})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Update(func(rec *staging.Record) {
		if rec.State, rec.Accepted = staging.StateCommitting, true; removing {
			rec.Removing = img.ID
		}
	})
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return r, p
}
