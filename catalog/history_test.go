package catalog

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// history changes a service in which two hosts have mounts, as others and as they do.
type history struct {
	s      *service
	hosts  [2]*Catalog
	random *rand.Rand
	last   int // number of the newest image
	names  []string
}

// one is any image of the service, or none.
func (h *history) one() (image.Image, bool) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if len(h.s.images) == 0 {
		return image.Image{}, false
	}
	ids := h.s.sorted()
	return h.s.images[ids[h.random.IntN(len(ids))]].Clone(), true
}

func (h *history) name() string {
	name := h.names[h.random.IntN(len(h.names))]
	if h.random.IntN(8) == 0 { // in the way of another image's entry
		if img, ok := h.one(); ok {
			name = shortForm(EntryName(name, img.ID), img.ID)
		}
	}
	return name
}

func (h *history) fresh() image.Image {
	h.last++
	img := ours(h.last, h.name())
	img.ID = uuid(h.last % 5000)
	img.CreatedAt = time.Now().Truncate(time.Second)
	img.UpdatedAt = img.CreatedAt
	if h.random.IntN(3) == 0 {
		img.Owner = "theirs"
		img.Visibility = []image.Visibility{image.VisibilityPublic, image.VisibilityShared}[h.random.IntN(2)]
	}
	return img
}

// change makes one change.
func (h *history) change(t *testing.T) {
	img, ok := h.one()
	host := h.hosts[h.random.IntN(2)]
	switch what := h.random.IntN(20); {
	case !ok || what < 5 && len(h.s.images) < 300:
		h.s.set(h.fresh())
	case what < 6: // as a commit of a host
		fresh := h.fresh()
		h.s.set(fresh)
		host.Committed("", fresh, "")
	case what < 9:
		h.s.drop(img.ID)
	case what < 10:
		if err := host.Remove(t.Context(), img.ID); err != nil {
			t.Fatal(err)
		}
	case what < 12:
		if img.Owner == project {
			_, err := host.Rename(t.Context(), img, EntryName(h.name(), img.ID), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
		}
	case what < 13: // a replacement elsewhere
		fresh := h.fresh()
		fresh.Name = img.Name
		h.s.set(fresh)
		h.s.drop(img.ID)
	case what < 14:
		h.s.change(func(s *service) { s.accepted[img.ID] = !s.accepted[img.ID] })
	default:
		switch h.random.IntN(3) {
		case 0:
			img.Name = h.name()
		case 1:
			img.Hidden = !img.Hidden
		default:
			img.Status = []image.Status{image.StatusActive, image.StatusDeactivated}[h.random.IntN(2)]
		}
		img.UpdatedAt = time.Now().Truncate(time.Second)
		h.s.set(img)
	}
}

// TestTenThousandChanges: two hosts, one of which reads the whole listing often and one
// seldom, each with changes of its own, agree with the service and with each other, entry
// by entry and in the order of their listings.
func TestTenThousandChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.page, s.again = 150, 7
		h := &history{s: s, random: rand.New(rand.NewPCG(5, 1)), names: []string{"", "disk.qcow2", "disk.qcow2", "Disk.qcow2", "a/b", "..", ByIDEntry, "x~00000001"}}
		for i := range 40 {
			h.names = append(h.names, fmt.Sprintf("image-%d", i))
		}
		for i := range h.hosts {
			h.hosts[i] = newCatalog(t, s, func(o *Options) { o.TTL = time.Duration(10+20*i) * time.Second })
		}
		for i := range 10_000 {
			h.change(t)
			time.Sleep(time.Duration(h.random.IntN(1000)) * time.Millisecond)
			host := h.hosts[h.random.IntN(2)]
			switch h.random.IntN(10) {
			case 0:
				if _, err := host.List(t.Context()); err != nil {
					t.Fatal(err)
				}
			case 1, 2:
				img, _ := h.one()
				lookup(t, host, EntryName(img.Name, img.ID))
			}
			if i%2000 == 1000 { // from here on the whole listing takes 20 to 40 s
				s.change(func(s *service) { s.passes = 10 * time.Second })
			}
			if i%1000 != 999 {
				continue
			}
			s.change(func(s *service) { s.passes = 0 })
			for range 8 {
				time.Sleep(time.Minute)
				for _, c := range h.hosts {
					if _, err := c.List(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
			}
			h.agree(t, i)
			if t.Failed() {
				return
			}
		}
		for i, c := range h.hosts {
			if stats := c.Stats(); stats.Refreshes < 20 || stats.Deltas < 20 || stats.Lookups < 20 {
				t.Errorf("host %d has not done all: %+v", i, stats)
			}
		}
	})
}

func (h *history) agree(t *testing.T, change int) {
	var lists [2][]string
	for i, c := range h.hosts {
		entries, err := readAll(t.Context(), c.List)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range entries {
			got[e.Name] = e.Image.ID()
			lists[i] = append(lists[i], e.Name)
		}
		if diff := cmp.Diff(h.s.want(), got); diff != "" {
			t.Errorf("after %d changes, host %d: %s", change, i, diff)
		}
		c.mu.Lock()
		if len(c.own) != 0 || len(c.left) != 0 || len(c.begun) != 0 {
			t.Errorf("what changed meanwhile is not forgotten: %v %v %v", c.own, c.left, c.begun)
		}
		c.mu.Unlock()
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
		t.Errorf("the hosts list in different orders: %s", diff)
	}
}
