package commit

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// ListHidden lists what is hidden, an image a page.
func (f *fake) ListHidden(ctx context.Context, yield func([]image.Image) error) error {
	x, err := f.begin(ctx, "list", "")
	if err != nil {
		return err
	}
	for _, img := range f.all() {
		if img.Hidden {
			if err := yield([]image.Image{img}); err != nil {
				return err
			}
		}
	}
	return f.end("list", "", x)
}

// trash is the fake's, with a log.
func (f *fake) trash(keep time.Duration) (*Trash, *lines) {
	log := &lines{}
	return NewTrash(TrashOptions{Records: f, Hidden: f, Keep: keep, Logger: slog.New(slog.NewTextHandler(log, nil))}), log
}

func TestRemove(t *testing.T) {
	draft := map[string]string{image.PropertyDraft: "d"}
	for what, c := range map[string]struct {
		keep     time.Duration
		img      image.Image
		data     []byte
		kind     image.Kind // Other: success
		requests string
		left     string // "hidden", "as it was" or "" for deleted
	}{
		"an image":                {time.Hour, image.Image{}, []byte("x"), image.Other, "get update", "hidden"},
		"where none are kept":     {0, image.Image{}, []byte("x"), image.Other, "delete", ""},
		"protected":               {time.Hour, image.Image{Protected: true}, []byte("x"), image.Protected, "get", "as it was"},
		"protected and not kept":  {0, image.Image{Protected: true}, []byte("x"), image.Protected, "delete", "as it was"},
		"a record without data":   {time.Hour, image.Image{}, nil, image.Other, "get delete", ""},
		"half-made":               {time.Hour, image.Image{Hidden: true, Properties: draft}, []byte("x"), image.Other, "get delete", ""},
		"unhidden while made":     {time.Hour, image.Image{Properties: draft}, []byte("x"), image.Other, "get update", "hidden"},
		"hidden for other reason": {time.Hour, image.Image{Hidden: true}, []byte("x"), image.Other, "get update", "hidden"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			img := f.put(c.img.Clone(), c.data)
			trash, _ := f.trash(c.keep)
			err := trash.Remove(ctxb, img.ID, "successor")
			if (err == nil) != (c.kind == image.Other) || err != nil && !image.Is(err, c.kind) {
				t.Errorf("%s: %v", what, err)
			}
			if got := strings.Join(f.calls, " "); got != c.requests {
				t.Errorf("%s: requests %s", what, got)
			}
			var left string
			for _, now := range f.all() {
				why, trashed := now.Trashed()
				switch {
				case trashed && why.By == "successor" && why.At.Equal(time.Now()) && why.Until.Equal(time.Now().Add(c.keep)):
					left = "hidden"
				case cmp.Equal(now, img):
					left = "as it was"
				default:
					t.Errorf("%s: it became %+v", what, now)
				}
			}
			if left != c.left {
				t.Errorf("%s: %q is left, want %q", what, left, c.left)
			}
		})
	}
	trash, _ := newFake().trash(time.Hour)
	if err := trash.Remove(ctxb, "missing", ""); !image.Is(err, image.NotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

// What was removed for one reason is not removed once more for another.
func TestRemoveTwice(t *testing.T) {
	f := newFake(fault{"update", 1, image.Unavailable, after})
	img := f.put(image.Image{}, []byte("x"))
	trash, _ := f.trash(time.Hour)
	if err := trash.Remove(ctxb, img.ID, "successor"); !image.Is(err, image.Unavailable) {
		t.Fatal(err)
	}
	if err := trash.Remove(ctxb, img.ID, ""); err != nil {
		t.Error(err)
	}
	if why, ok := f.all()[0].Trashed(); !ok || why.By != "successor" {
		t.Errorf("%+v, %v", why, ok)
	}
}

func TestRestore(t *testing.T) {
	f := newFake()
	img := f.put(image.Image{Name: "x", Tags: []string{"gold"}, Properties: map[string]string{"p": "v"}}, []byte("x"))
	hidden := f.put(image.Image{Name: "y", Hidden: true}, []byte("y"))
	trash, _ := f.trash(time.Hour)
	if _, err := trash.Restore(ctxb, img.ID); !image.Is(err, image.Stale) {
		t.Errorf("of what shows: %v", err)
	}
	check(t, trash.Remove(ctxb, img.ID, ""))
	if all, err := trash.List(ctxb); err != nil || len(all) != 1 || all[0].ID != img.ID {
		t.Errorf("listed %+v, %v", all, err)
	}
	back, err := trash.Restore(ctxb, img.ID)
	check(t, err)
	if diff := cmp.Diff(img, back); diff != "" {
		t.Error(diff)
	}
	if _, err := trash.Restore(ctxb, hidden.ID); !image.Is(err, image.Stale) {
		t.Errorf("of what somebody else has hidden: %v", err)
	}
	if all, err := trash.List(ctxb); err != nil || len(all) != 0 {
		t.Errorf("listed %+v, %v", all, err)
	}
}

// What was restored since it was listed, and what is protected, is not deleted.
func TestDeleteFromTheTrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		trash, _ := f.trash(time.Hour)
		for range 5 {
			check(t, trash.Remove(ctxb, f.put(image.Image{}, []byte("x")).ID, ""))
			time.Sleep(time.Minute)
		}
		all, err := trash.List(ctxb)
		check(t, err)
		restored, again, protected, gone, lying := all[0], all[1], all[2], all[3], all[4]
		for _, img := range []image.Image{restored, again} {
			_, err = trash.Restore(ctxb, img.ID)
			check(t, err)
		}
		check(t, trash.Remove(ctxb, again.ID, ""))
		now := f.images[protected.ID]
		now.Protected = true
		f.images[protected.ID] = now
		check(t, f.Delete(ctxb, gone.ID))
		for i, kind := range []image.Kind{image.Stale, image.Stale, image.Protected} {
			if err := trash.Delete(ctxb, all[i]); !image.Is(err, kind) {
				t.Errorf("image %d: %v", i, err)
			}
		}
		check(t, trash.Delete(ctxb, gone))
		check(t, trash.Delete(ctxb, lying))
		want := []string{restored.ID, again.ID, protected.ID}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(f.images))); diff != "" {
			t.Error(diff)
		}
	})
}

// Images go when their time is over, also those that were there before, and those
// that cannot go are told once. The service is not asked more than it has to be.
func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fault{"list", 3, image.Unavailable, before})
		trash, log := f.trash(30 * time.Minute)
		longer, _ := f.trash(5 * time.Hour) // of another mount
		first, later := f.put(image.Image{}, []byte("x")), f.put(image.Image{}, []byte("y"))
		kept := f.put(image.Image{Hidden: true}, []byte("z"))
		newer := f.put(image.Image{}, []byte("n"))
		protected := f.put(image.Image{}, []byte("p"))
		check(t, trash.Remove(ctxb, first.ID, ""))
		check(t, trash.Remove(ctxb, protected.ID, ""))
		check(t, trash.Remove(ctxb, newer.ID, ""))
		check(t, longer.Remove(ctxb, later.ID, ""))
		_, err := f.Update(ctxb, protected.ID, []image.Change{{Field: "protected", Value: true}})
		check(t, err)
		text := f.images[newer.ID].Properties[image.PropertyTrash]
		_, err = f.Update(ctxb, newer.ID, []image.Change{{Field: image.PropertyTrash, Property: true, Value: strings.Replace(text, "{", `{"v":2,`, 1)}})
		check(t, err)
		time.Sleep(20 * time.Minute)

		ctx, cancel := context.WithCancel(ctxb)
		done := make(chan struct{})
		go func() { defer close(done); trash.Expire(ctx) }()
		there := func() []string {
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Sorted(maps.Keys(f.images))
		}
		ids := func(images ...image.Image) []string {
			var all []string
			for _, img := range images {
				all = append(all, img.ID)
			}
			slices.Sort(all)
			return all
		}
		if diff := cmp.Diff(ids(first, later, kept, newer, protected), there()); diff != "" {
			t.Errorf("at once: %s", diff)
		}
		time.Sleep(11 * time.Minute)
		if diff := cmp.Diff(ids(later, kept, newer, protected), there()); diff != "" {
			t.Errorf("after its time: %s", diff)
		}
		time.Sleep(5 * time.Hour)
		if diff := cmp.Diff(ids(kept, newer, protected), there()); diff != "" {
			t.Errorf("at the end: %s", diff)
		}
		if looks := f.count("list"); looks > 12 {
			t.Errorf("the trash was looked through %d times in 5 hours", looks)
		}
		if told := strings.Count(log.String(), "cannot be deleted"); told != 1 {
			t.Errorf("told %d times: %s", told, log)
		}
		if told := strings.Count(log.String(), "a later version of imagefs has put it into the trash"); told != 1 || !strings.Contains(log.String(), newer.ID) {
			t.Errorf("told %d times: %s", told, log)
		}
		cancel()
		<-done
	})
}

// A service that is asked to delete much at once gets it in parts.
func TestExpireInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		trash, _ := f.trash(time.Hour)
		for range maxDeletions + 1 {
			check(t, trash.Remove(ctxb, f.put(image.Image{}, []byte("x")).ID, ""))
		}
		time.Sleep(2 * time.Hour)
		if next := trash.sweep(ctxb, map[string]bool{}); next != minSweep || len(f.all()) != 1 {
			t.Errorf("%d images are left, the next look is in %v", len(f.all()), next)
		}
	})
}

// An overwritten image lies in the trash, and what is made while that goes wrong
// does not.
func TestOverwriteWithTrash(t *testing.T) {
	for what, c := range map[string]struct {
		faults []fault
		change func(*fake, image.Image) // before the old image is taken away
		kind   image.Kind               // Other: success
	}{
		"all goes well":      {},
		"the answer is lost": {faults: []fault{{"update", 2, image.Unavailable, after}}},
		"all answers are lost": {faults: []fault{
			{"update", 2, image.Unavailable, after}, {"get", 4, image.Unavailable, before}, {"get", 5, image.Unavailable, before},
		}},
		"protected meanwhile":   {change: func(f *fake, old image.Image) { old.Protected = true; f.images[old.ID] = old }, kind: image.Protected},
		"removed meanwhile":     {change: func(f *fake, old image.Image) { delete(f.images, old.ID) }},
		"refused to be hidden":  {faults: []fault{{"update", 2, image.Forbidden, before}}, kind: image.Forbidden},
		"the upload is refused": {faults: []fault{{"upload", 1, image.Full, before}}, kind: image.Full},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(c.faults...)
			f.keep = time.Hour
			h := newHouse(t, f)
			old := f.put(image.Image{Name: "x", Tags: []string{"gold"}}, []byte("old"))
			if c.change != nil {
				f.hook = func(call call) {
					if call.op == "update" && call.done { // the new one is visible
						f.hook = nil
						f.mu.Lock()
						defer f.mu.Unlock()
						c.change(f, old.Clone())
					}
				}
			}
			img, err := h.Commit(ctxb, h.draft(over(old), pattern(5000)))
			if (err == nil) != (c.kind == image.Other) || err != nil && !image.Is(err, c.kind) {
				t.Errorf("%s: %v", what, err)
			}
			for _, now := range f.all() {
				why, trashed := now.Trashed()
				switch now.ID {
				case img.ID:
					if trashed || now.Hidden || now.Name != "x" || now.Properties[image.PropertyTrash] != "" {
						t.Errorf("%s: the new image is %+v", what, now)
					}
				case old.ID:
					if trashed != (err == nil) || trashed && (why.By != img.ID || string(f.data[old.ID]) != "old") || now.Name != "x" {
						t.Errorf("%s: the old image is %+v", what, now)
					}
				default:
					t.Errorf("%s: %+v is left", what, now)
				}
			}
			if h.names.told != nil && h.names.told[0].retired != old.ID && what != "removed meanwhile" {
				t.Errorf("%s: told %+v", what, h.names.told)
			}
		})
	}
}

// An image that another mount has put into the trash while its file was written
// lies there for its own reason; what is committed takes over what it carried, and
// shows.
func TestOverwriteOfWhatLiesInTheTrash(t *testing.T) {
	f := newFake()
	f.keep = time.Hour
	h := newHouse(t, f)
	trash, _ := f.trash(time.Hour)
	old := h.service.put(image.Image{Name: "x", Tags: []string{"gold"}}, []byte("old"))
	d := h.draft(over(old), pattern(5000))
	check(t, trash.Remove(ctxb, old.ID, ""))
	img, err := h.Commit(ctxb, d)
	check(t, err)
	if img.Hidden || !slices.Equal(img.Tags, old.Tags) || img.Properties[image.PropertyTrash] != "" {
		t.Errorf("the new image is %+v", img)
	}
	lying, err := trash.List(ctxb)
	check(t, err)
	if len(lying) != 1 || lying[0].ID != old.ID {
		t.Fatalf("in the trash: %+v", lying)
	}
	if why, _ := lying[0].Trashed(); why.By != "" {
		t.Errorf("it lies there as %s", why.Why())
	}
}

// An empty record that a failed upload has spoilt is half-made: it is deleted.
func TestSpoiltRecordIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fault{"upload", 1, image.Unavailable, stuck})
		f.keep = time.Hour
		h := newHouse(t, f)
		q := f.put(image.Image{Name: "q"}, nil)
		img, err := h.Commit(ctxb, h.draft(staging.Spec{Name: "q", Entry: "q", Into: q.ID, Inherit: &q}, pattern(100)))
		check(t, err)
		if h.only().ID != img.ID {
			t.Errorf("left %+v", f.all())
		}
	})
}

// The time in the trash is the service's: a host whose clock is years off neither
// deletes at once what others have put there, nor has its own deleted.
func TestTrashTimeIsTheServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		off := 20 * 8766 * time.Hour
		trash := NewTrash(TrashOptions{Records: f, Hidden: f, Keep: time.Hour, Now: func() time.Time { return time.Now().Add(off) }})
		img := f.put(image.Image{Name: "x"}, []byte("x"))
		check(t, trash.Remove(ctxb, img.ID, ""))
		if why, _ := f.all()[0].Trashed(); !why.Until.Equal(time.Now().Add(off + time.Hour)) {
			t.Errorf("it is kept until %s", why.Until)
		}
		trash.sweep(ctxb, map[string]bool{})
		time.Sleep(time.Hour)
		if len(f.all()) != 1 {
			t.Error("it was deleted before its time")
		}
		trash.sweep(ctxb, map[string]bool{})
		if len(f.all()) != 0 {
			t.Error("it was not deleted")
		}
	})
}
