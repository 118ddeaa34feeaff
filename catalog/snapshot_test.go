package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	godiff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/image"
)

// uuid returns an id as the service draws them, the same for the same number.
func uuid(number int) string {
	x := uint64(number+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", x>>32, (x^x>>29)*0xbf58476d1ce4e5b9&(1<<48-1))
}

func cloud(n int) []image.Image {
	images := make([]image.Image, n)
	for i := range images {
		images[i] = ours(i, fmt.Sprintf("image-%06d.qcow2", i))
		images[i].ID = uuid(i)
		images[i].CreatedAt = epoch.Add(time.Duration(i/10) * time.Second)
	}
	return images
}

// TestSnapshotsShare: a reader that pauses keeps its listing, and a hundred of them,
// with a change between each two, hold little more than one.
func TestSnapshotsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(cloud(10_000)...)
		s.page = 1000
		c := newCatalog(t, s)
		listed(t, c)
		var held []*Listing
		var first []string
		runs := map[*item]int{} // by the first item: how many items
		for i := range 100 {
			l, err := c.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = names(t, l, 0)
			}
			held = append(held, l)
			for _, run := range l.entries.(*snapshot).runs {
				runs[&run[0]] = len(run)
			}
			switch i % 3 {
			case 0:
				c.Put(ours(20_000+i, fmt.Sprintf("new-%d", i)))
			case 1:
				c.Forget(uuid(i * 7))
			default:
				renamed := ours(0, fmt.Sprintf("renamed-%d", i))
				renamed.ID = uuid(i * 11)
				c.Put(renamed)
			}
		}
		items := 0
		for _, n := range runs {
			items += n
		}
		if len(runs) < 10 || items > 10_000+100*2*maxRun {
			t.Errorf("%d listings of 10,000 hold %d runs of %d entries in all", len(held), len(runs), items)
		}
		if diff := godiff.Diff(first, names(t, held[0], 0)); diff != "" || len(first) != 10_000 {
			t.Errorf("the first reader's listing has changed: %d, %s", len(first), diff)
		}
		last, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := names(t, last, 0)
		slices.Sort(got)
		var want []string
		for entry := range remembered(c) {
			want = append(want, entry)
		}
		slices.Sort(want)
		if diff := godiff.Diff(want, got); diff != "" {
			t.Errorf("the last listing: %s", diff)
		}
	})
}

// TestSnapshotProperties: whatever was listed before, a snapshot is all images in one
// order, each index stands for one entry, also for who goes back, and what is held
// keeps names and images.
func TestSnapshotProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Catalog{dir: newDirectory(project, everyVisibility), drafts: map[string]*overlay{}}
		type held struct {
			s    *snapshot
			want []string
		}
		var all []held
		created := map[string]time.Time{}
		read := func(s *snapshot) (list []string) {
			for i := 0; ; i++ {
				e, ok, err := s.at(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return list
				}
				list = append(list, e.Name+" "+e.Image.ID())
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			id, touched := drawID(t), map[string]bool{}
			if rapid.Bool().Draw(t, "remove") {
				c.dir.remove(id, touched)
			} else {
				img := drawImage(t, id)
				if first, ok := created[id]; ok { // the service never changes it
					img.CreatedAt = first
				}
				created[id] = img.CreatedAt
				c.dir.put(img, touched)
			}
			c.stale.add(touched)
			s := c.snapshotNow()
			var records []*record
			for r := range c.dir.all() {
				records = append(records, r)
			}
			slices.SortFunc(records, func(a, b *record) int {
				x, y := a.image(), b.image()
				return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), a.uuid().Compare(b.uuid()))
			})
			var want []string
			for _, r := range records {
				want = append(want, r.entry()+" "+r.id())
			}
			if diff := godiff.Diff(want, read(s)); diff != "" {
				t.Fatalf("a snapshot: %s", diff)
			}
			all = append(all, held{s, want})
		}
		for _, h := range all {
			if diff := godiff.Diff(h.want, read(h.s)); diff != "" {
				t.Fatalf("a snapshot that was held: %s", diff)
			}
			if n := len(h.want); n > 0 {
				i := rapid.IntRange(0, n-1).Draw(t, "back to")
				if e, ok, _ := h.s.at(t.Context(), i); !ok || e.Name+" "+e.Image.ID() != h.want[i] {
					t.Fatalf("index %d is %v", i, e)
				}
			}
		}
	})
}

// BenchmarkSnapshot: what the first listing after a change costs, and reading it.
func BenchmarkSnapshot(b *testing.B) {
	images := cloud(100_000)
	c := &Catalog{dir: build(project, everyVisibility, images), drafts: map[string]*overlay{}}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			c.shown = nil
			c.snapshotNow()
		}
	})
	b.Run("edit", func(b *testing.B) {
		for b.Loop() {
			c.stale.add(map[string]bool{images[500].Name: true, images[50_000].Name: true})
			c.snapshotNow()
		}
	})
	b.Run("read", func(b *testing.B) {
		s := c.snapshotNow()
		for b.Loop() {
			for i := range images {
				if _, ok, _ := s.at(b.Context(), i); !ok {
					b.Fatal(i)
				}
			}
		}
	})
}

// TestFirstPassLeavesASnapshot: who lists after the first listing finds what to read, and
// does not put 100,000 images in order first.
func TestFirstPassLeavesASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalog(t, newService(ours(1, "a"), ours(2, "b")))
		listed(t, c)
		synctest.Wait()
		c.mu.Lock()
		ready := c.shown
		c.mu.Unlock()
		if ready == nil {
			t.Fatal("the first pass left none")
		}
		l, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := l.entries; got != ready {
			t.Errorf("another was made: %v", got)
		}
	})
}
