package catalog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// names reads a listing from an index on until it would wait, or to its end.
func names(t *testing.T, l *Listing, from int) (got []string) {
	t.Helper()
	for l.Ready(from + len(got)) {
		e, ok, err := l.At(t.Context(), from+len(got))
		if err != nil {
			t.Fatalf("At(%d): %v", from+len(got), err)
		}
		if !ok {
			break
		}
		got = append(got, e.Name)
	}
	return got
}

func TestFirstListingStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "b"), ours(4, "c"), ours(5, "a"))
		s.slow(2 * time.Second) // a page is there after two seconds
		c := newCatalog(t, s)
		if err := c.AddDraft("new", draft("d")); err != nil {
			t.Fatal(err)
		}
		if err := c.AddDraft("b", draft("e")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		l, err := c.List(t.Context())
		if err != nil || time.Since(start) != 0 || l.Ready(0) {
			t.Fatalf("List: %v, %v, ready: %v", err, time.Since(start), l.Ready(0))
		}
		if e, ok, err := l.At(t.Context(), 0); err != nil || !ok || e.Name != "a" || time.Since(start) != 2*time.Second {
			t.Fatalf("the first entry: %v %v %v after %v", e, ok, err, time.Since(start))
		}
		if diff := cmp.Diff([]string{"a", "b"}, names(t, l, 0)); diff != "" {
			t.Errorf("after the first page: %s", diff)
		}
		if e, ok, err := l.At(t.Context(), 2); err != nil || !ok || e.Name != "c" || time.Since(start) != 4*time.Second {
			t.Errorf("the first entry of the second page: %v %v %v after %v", e, ok, err, time.Since(start))
		}
		late, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, names(t, late, 0)); diff != "" {
			t.Errorf("who comes later: %s", diff)
		}
		if e, ok, err := l.At(t.Context(), 3); err != nil || !ok || e.Name != "a~00000005" || time.Since(start) != 8*time.Second {
			t.Errorf("the end: %v %v %v after %v", e, ok, err, time.Since(start))
		}
		want := []string{"a", "b", "c", "a~00000005", "b~00000003", "new"}
		for _, l := range []*Listing{l, late} {
			if diff := cmp.Diff(want, names(t, l, 0)); diff != "" {
				t.Errorf("all: %s", diff)
			}
		}
		if e, _, _ := l.At(t.Context(), 1); e.Draft == nil || e.Image.ID() != ours(2, "").ID {
			t.Errorf("a draft over an image that had come: %+v", e)
		}
		wantRequests(t, s, "list")
	})
}

// TestStreamUnderChanges: what happens while the first listing comes.
func TestStreamUnderChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "stays"), ours(2, "renamed"), ours(3, "twin"), ours(4, "removed"), ours(5, "twin"), ours(6, "last"))
		s.slow(2 * time.Second)
		c := newCatalog(t, s)
		l, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3500 * time.Millisecond) // the second page is on its way with what was there
		s.slow(0)
		if diff := cmp.Diff([]string{"stays", "renamed"}, names(t, l, 0)); diff != "" {
			t.Fatal(diff)
		}
		if _, err := c.Rename(t.Context(), ours(2, "renamed"), "other", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Remove(t.Context(), ours(4, "").ID); err != nil {
			t.Fatal(err)
		}
		s.set(ours(9, "created"))
		c.Put(ours(9, "created"))
		older := ours(0, "twin")
		s.set(older)
		c.Put(older) // it takes the plain entry from one that has been given out, or will be
		var all []string
		for {
			e, ok, err := l.At(t.Context(), len(all))
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			all = append(all, e.Name)
			if e.Name == "twin" && e.Image.ID() != older.ID {
				t.Errorf("twin is %s", e.Image.ID())
			}
		}
		seen := map[string]int{}
		for _, name := range all {
			seen[name]++
		}
		for entry := range s.want() {
			if seen[entry] != 1 {
				t.Errorf("%q shows %d times: %q", entry, seen[entry], all)
			}
		}
		if seen["removed"] != 0 {
			t.Errorf("the removed one shows: %q", all)
		}
		if diff := cmp.Diff(s.want(), listed(t, c)); diff != "" {
			t.Errorf("the listing that follows: %s", diff)
		}
	})
}

func TestStreamFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "c"))
		c := newCatalog(t, s)
		s.change(func(s *service) { s.broken = failure(image.Unavailable) })
		entries, err := readAll(t.Context(), c.List)
		if !image.Is(err, image.Unavailable) || len(entries) != 2 {
			t.Errorf("%v, %v", entries, err)
		}
		if ids, err := readAll(t.Context(), c.IDs); !image.Is(err, image.Unavailable) || len(ids) != 2 {
			t.Errorf("IDs: %v, %v", ids, err)
		}
		if stats := c.Stats(); stats.Complete || stats.Images != 2 || stats.Away.IsZero() {
			t.Errorf("%+v", stats)
		}
		if got := lookup(t, c, "a"); got != ours(1, "").ID {
			t.Errorf("a is %q", got)
		}
		s.change(func(s *service) { s.broken = nil })
		s.drop(ours(2, "").ID)
		if got := listed(t, c); len(got) != 2 {
			t.Errorf("the next one: %v", got)
		}
		// A pass that fails later removes nothing, and what it has brought stays.
		time.Sleep(DefaultTTL)
		s.drop(ours(1, "").ID)
		s.drop(ours(3, "").ID)
		s.set(ours(0, "new"))
		s.set(ours(8, "new too"))
		s.set(ours(9, "not seen"))
		s.change(func(s *service) { s.broken = failure(image.Unavailable) })
		listed(t, c)
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{"a": ours(1, "").ID, "c": ours(3, "").ID, "new": ours(0, "").ID, "new too": ours(8, "").ID}, listed(t, c)); diff != "" {
			t.Errorf("after a pass that failed: %s", diff)
		}
	})
}

// TestStreamReaderLeaves: a reader that does not want to wait ends only its own wait.
func TestStreamReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.slow(time.Minute)
		c := newCatalog(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, ctx := range []context.Context{ctx, t.Context()} {
			group.Go(func() {
				l, err := c.List(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				_, ok, err := l.At(ctx, 0)
				if ctx == t.Context() && (!ok || err != nil) {
					t.Errorf("who waited: %v %v", ok, err)
				}
				if ctx != t.Context() && !(image.Is(err, image.Interrupted) && errors.Is(err, context.Canceled)) {
					t.Errorf("who did not: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		group.Wait()
		wantRequests(t, s, "list")
	})
}

// TestCloseEndsReaders: a reader of a listing that nobody goes on with is told.
func TestCloseEndsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		s.change(func(s *service) { s.hung = map[string]bool{"list": true} })
		c := New(Options{Lister: s, Records: s, Project: project})
		l, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, ok, err := l.At(t.Context(), 0); ok || err == nil {
			t.Errorf("%v %v", ok, err)
		}
	})
}

// TestFollowerLeavesOut: who begins to read after a change of ours does not see what was
// before, and sees once what is there again in the end.
func TestFollowerLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "c"), ours(4, "d"))
		s.slow(2 * time.Second)
		c := newCatalog(t, s)
		early, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		if diff := cmp.Diff([]string{"a", "b"}, names(t, early, 0)); diff != "" {
			t.Fatal(diff)
		}
		s.slow(0)
		for _, img := range []image.Image{ours(1, "a"), ours(2, "b")} {
			if err := c.Remove(t.Context(), img.ID); err != nil {
				t.Fatal(err)
			}
		}
		late, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, late, 0); len(got) != 0 {
			t.Errorf("removed, and shown: %q", got)
		}
		c.Put(ours(9, "b"))
		s.set(ours(9, "b"))
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]string{"c", "d", "b"}, names(t, late, 0)); diff != "" {
			t.Errorf("who came after the removal: %s", diff)
		}
		if diff := cmp.Diff([]string{"a", "b", "c", "d"}, names(t, early, 0)); diff != "" {
			t.Errorf("who came before: %s", diff)
		}
		if e, ok, err := early.At(t.Context(), 1); !ok || err != nil || e.Image.ID() != ours(9, "").ID {
			t.Errorf("b is %v, %v, %v", e, ok, err)
		}
	})
}

// TestIDsStream: images come by their ids as the service lists them, twins as others, also
// to who asks when some have come.
func TestIDsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "a"), ours(3, "c"), ours(4, "d"))
		c := newCatalog(t, s)
		lookup(t, c, "d") // known, and not listed yet
		s.slow(2 * time.Second)
		if err := c.AddDraft("new", draft("d")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.List(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		l, err := c.IDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{ours(1, "").ID, ours(2, "").ID}, names(t, l, 0)); diff != "" {
			t.Errorf("after the first page: %s", diff)
		}
		s.slow(0)
		c.Put(ours(9, "own"))
		s.set(ours(9, "own"))
		c.Forget(ours(3, "").ID)
		s.drop(ours(3, "").ID)
		time.Sleep(10 * time.Second)
		want := []string{ours(1, "").ID, ours(2, "").ID, ours(4, "").ID, ours(9, "").ID}
		if diff := cmp.Diff(want, names(t, l, 0)); diff != "" {
			t.Errorf("all: %s", diff)
		}
		if l, err = c.IDs(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names(t, l, 0)); diff != "" {
			t.Errorf("from the listing: %s", diff)
		}
	})
}
