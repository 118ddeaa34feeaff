package catalog

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

func TestRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"))
		c := newCatalog(t, s)
		listed(t, c)
		s.took()
		img, err := c.Rename(t.Context(), ours(1, "a"), "b%2Fc", nil, nil)
		if err != nil || img.Name != "b/c" {
			t.Fatalf("Rename: %+v, %v", img, err)
		}
		wantRequests(t, s, "update "+img.ID)
		if diff := cmp.Diff(map[string]string{"b%2Fc": img.ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		for entry, kind := range map[string]image.Kind{"..": image.InvalidName, "😀": image.InvalidName, strings.Repeat("x", 256): image.NameTooLong} {
			if _, err := c.Rename(t.Context(), img, entry, nil, nil); !image.Is(err, kind) {
				t.Errorf("to %q: %v", entry, err)
			}
		}
		if _, err := c.Rename(t.Context(), img, "b%2Fc", &img, nil); err != nil {
			t.Errorf("over itself: %v", err)
		}
		s.took()
		s.drop(img.ID)
		if _, err := c.Rename(t.Context(), img, "d", nil, nil); !image.Is(err, image.NotFound) {
			t.Errorf("of a deleted one: %v", err)
		}
		if got := listed(t, c); len(got) != 0 {
			t.Errorf("it still shows: %v", got)
		}
	})
}

// What else is to change travels in the same request; a rename over another image
// puts that one's place into the attributes.
func TestRenameWithAttributes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "old"), ours(2, "new"))
		c := newCatalog(t, s)
		listed(t, c)
		s.took()
		img, mode := ours(2, "new"), uint32(0o640)
		text := image.Attributes{Mode: &mode}.Encode(img.ID)
		also := image.Change{Field: image.PropertyAttributes, Property: true, Value: text}
		img.Properties = map[string]string{image.PropertyAttributes: text}
		img, err := c.Rename(t.Context(), img, "newer", nil, nil, also)
		if err != nil || img.Name != "newer" || img.Properties[image.PropertyAttributes] != text {
			t.Errorf("it is %+v, %v", img, err)
		}
		wantRequests(t, s, "update "+img.ID)
		over := ours(1, "old")
		img, err = c.Rename(t.Context(), img, "old", &over, nil, also)
		if a := img.Attributes(); err != nil || a.Mode == nil || *a.Mode != mode || a.Created == nil {
			t.Errorf("over another it is %+v, %v", a, err)
		}
		wantRequests(t, s, "get "+over.ID, "get "+img.ID, "update "+img.ID, "delete "+over.ID)
	})
}

func TestRenameOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The third would win the entry from the second by its age.
		s := newService(ours(1, "old"), ours(2, "old"), ours(3, "new"))
		c := newCatalog(t, s)
		listed(t, c)
		s.took()
		over := ours(1, "old")
		img, err := c.Rename(t.Context(), ours(3, "new"), "old", &over, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !img.SortTime().Equal(over.SuccessorTime()) {
			t.Errorf("it did not inherit the place: %v", img.SortTime())
		}
		wantRequests(t, s, "get "+over.ID, "get "+img.ID, "update "+img.ID, "delete "+over.ID)
		want := map[string]string{"old": img.ID, "old~00000002": ours(2, "").ID}
		if diff := cmp.Diff(want, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, s.want()); diff != "" {
			t.Errorf("the service: %s", diff)
		}
		// From its own suffixed entry onto the plain one: the name is the same.
		if _, err := c.Rename(t.Context(), ours(2, "old"), "old", &img, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"old": ours(2, "").ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRenameOverWhatCannotGo(t *testing.T) {
	over, img := ours(1, "old"), ours(2, "new")
	img.Properties = map[string]string{image.PropertyAttributes: "kept as it was", "other": "x"}
	protected, signed, trashed := over, over, over
	trashed.Hidden, trashed.Properties = true, map[string]string{image.PropertyTrash: image.Trash{At: epoch, Until: epoch}.Encode(over.ID)}
	protected.Protected = true
	signed.Properties = map[string]string{"img_signature_uuid": "x"}
	renamed := ours(1, "elsewhere")
	for title, tt := range map[string]struct {
		over     *image.Image // as it is in the service; nil: gone
		fail     map[string]error
		kind     image.Kind // Other: success
		want     map[string]string
		requests int
	}{
		"gone":         {nil, nil, image.Other, map[string]string{"old": img.ID}, 2},
		"protected":    {&protected, nil, image.Protected, map[string]string{"old": over.ID, "new": img.ID}, 1},
		"signed":       {&signed, nil, image.NotPermitted, map[string]string{"old": over.ID, "new": img.ID}, 1},
		"in the trash": {&trashed, nil, image.Other, map[string]string{"old": img.ID}, 2},
		"renamed meanwhile": {&renamed, nil, image.Stale,
			map[string]string{"elsewhere": over.ID, "new": img.ID}, 1},
		"in use": {&over, map[string]error{"delete": failure(image.Busy)}, image.Other,
			map[string]string{"old": img.ID, "old~replaced-00000001": over.ID}, 5},
		"in use, and its name stays": {&over, map[string]error{"delete": failure(image.Busy), "update " + over.ID: failure(image.Forbidden)},
			image.Busy, map[string]string{"old": over.ID, "new": img.ID}, 6},
		"forbidden": {&over, map[string]error{"delete": failure(image.Forbidden)}, image.Forbidden,
			map[string]string{"old": over.ID, "new": img.ID}, 5},
		"no answer to the delete": {&over, map[string]error{"delete": failure(image.Stalled)}, image.Stalled,
			map[string]string{"old": img.ID, "old~00000001": over.ID}, 5},
		"in use, and no answer to its name": {&over, map[string]error{"delete": failure(image.Busy), "update " + over.ID: failure(image.Stalled)},
			image.Stalled, map[string]string{"old": img.ID, "old~00000001": over.ID}, 6},
		"the name is refused": {&over, map[string]error{"update " + img.ID: failure(image.Quota)}, image.Quota,
			map[string]string{"old": over.ID, "new": img.ID}, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(over, img)
			c := newCatalog(t, s)
			listed(t, c)
			s.took()
			if tt.over == nil {
				s.drop(over.ID)
			} else {
				s.set(*tt.over)
			}
			for request, err := range tt.fail {
				s.failing(request, err)
			}
			_, err := c.Rename(t.Context(), img, "old", &over, nil)
			if (err == nil) != (tt.kind == image.Other) || err != nil && !image.Is(err, tt.kind) {
				t.Errorf("%s: %v", title, err)
			}
			if requests := s.took(); len(requests) != tt.requests {
				t.Errorf("%s: requests %q", title, requests)
			}
			if diff := cmp.Diff(tt.want, s.want()); diff != "" {
				t.Errorf("%s: the service: %s", title, diff)
			}
			if now := s.images[img.ID]; err != nil && now.Name == img.Name && !cmp.Equal(now.Properties, img.Properties) {
				t.Errorf("%s: the properties are %v", title, now.Properties)
			}
			clear(s.fail)
			for entry, id := range tt.want {
				if title == "renamed meanwhile" {
					break // a foreign change, seen by the next listing
				}
				if got := lookup(t, c, entry); got != id {
					t.Errorf("%s: Lookup(%q) = %q, want %q", title, entry, got, id)
				}
			}
		})
	}
}

// TestRenameGoesOnAfterTheCallerLeft: who gives up while something changes comes too
// late, for the old image may go all the same.
func TestRenameGoesOnAfterTheCallerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for after, want := range map[time.Duration]bool{1500 * time.Millisecond: false, 2200 * time.Millisecond: true, 3200 * time.Millisecond: true} {
			over, img := ours(1, "old"), ours(2, "new")
			s := newService(over, img)
			s.slow(time.Second)
			c := newCatalog(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			_, err := c.Rename(ctx, img, "old", &over, nil)
			done := map[string]string{"old": over.ID, "new": img.ID}
			if want {
				done = map[string]string{"old": img.ID}
			}
			if (err == nil) != want || !want && !image.Is(err, image.Interrupted) {
				t.Errorf("given up after %v: %v", after, err)
			}
			if diff := cmp.Diff(done, s.want()); diff != "" {
				t.Errorf("given up after %v: %s", after, diff)
			}
			cancel()
		}
	})
}

// TestRenameOverSlowDeletion: the service takes longer to delete the old image than a
// rename may take. The rename is not undone, for the deletion is not.
func TestRenameOverSlowDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answers := range []bool{true, false} {
			over, img := ours(1, "old"), ours(2, "new")
			s := newService(over, img)
			s.slow(2200 * time.Millisecond) // its record is gone after 7.7 s, the answer comes after 8.8 s
			c := newCatalog(t, s)
			time.AfterFunc(7900*time.Millisecond, func() { s.slow(map[bool]time.Duration{true: 0, false: time.Hour}[answers]) })
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			got, err := c.Rename(ctx, img, "old", &over, nil)
			if answers != (err == nil) || !answers && !image.Is(err, image.Stalled) || got.Name != "old" {
				t.Errorf("answers %v: %+v, %v", answers, got, err)
			}
			if diff := cmp.Diff(map[string]string{"old": img.ID}, s.want()); diff != "" {
				t.Errorf("answers %v: %s", answers, diff)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("answers %v: it took %v", answers, took)
			}
			cancel()
		}
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(ours(1, "a"), ours(2, "b"), ours(3, "c"))
		c := newCatalog(t, s)
		listed(t, c)
		if err := c.Remove(t.Context(), ours(1, "").ID); err != nil {
			t.Fatal(err)
		}
		// It may be hidden only: its id is asked for.
		hidden := ours(1, "a")
		hidden.Hidden = true
		s.set(hidden)
		if img, err := c.ByID(t.Context(), hidden.ID); err != nil || !img.Hidden {
			t.Errorf("by its id: %+v, %v", img, err)
		}
		s.drop(ours(2, "").ID)
		if err := c.Remove(t.Context(), ours(2, "").ID); !image.Is(err, image.NotFound) {
			t.Errorf("of a deleted one: %v", err)
		}
		if diff := cmp.Diff(map[string]string{"c": ours(3, "").ID}, listed(t, c)); diff != "" {
			t.Error(diff)
		}
		// The answer is lost after the service has deleted: the next lookup asks.
		s.failing("delete", failure(image.Unavailable))
		if err := c.Remove(t.Context(), ours(3, "").ID); !image.Is(err, image.Unavailable) {
			t.Errorf("without an answer: %v", err)
		}
		s.drop(ours(3, "").ID)
		s.took()
		if got := lookup(t, c, "c"); got != "" {
			t.Errorf("it is gone: %q", got)
		}
		synctest.Wait()
		wantRequests(t, s, "name c", "get "+ours(3, "").ID)
		s.slow(time.Hour)
		start := time.Now()
		if err := c.Remove(t.Context(), ours(3, "").ID); !image.Is(err, image.Stalled) || time.Since(start) > changeBound {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestChangesOfOneImageTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		img := ours(1, "a")
		s := newService(img)
		s.slow(time.Second)
		c := newCatalog(t, s)
		var group sync.WaitGroup
		start := time.Now()
		for range 5 {
			group.Go(func() {
				change := []image.Change{{Field: "p", Property: true, Value: "v"}}
				if _, err := c.Update(t.Context(), img.ID, change); err != nil {
					t.Errorf("Update: %v", err)
				}
			})
		}
		group.Wait()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("five changes of a second took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		group.Go(func() {
			if _, err := c.Update(t.Context(), img.ID, nil); err != nil {
				t.Errorf("Update: %v", err)
			}
		})
		synctest.Wait()
		if _, err := c.Update(ctx, img.ID, nil); !image.Is(err, image.Stalled) {
			t.Errorf("who waits obeys its ctx: %v", err)
		}
		group.Wait()
		if len(c.serial.turns) != 0 {
			t.Errorf("turns are left: %v", c.serial.turns)
		}
	})
}
