package imageserver

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/imagefs/imagefs/image"
)

// stripes is how many images can be written to disk at the same moment; more
// only costs memory (8 bytes each).
const stripes = 256

// index holds every record in memory, in the orders that requests ask for.
type index struct {
	seed     maphash.Seed
	changing [stripes]sync.Mutex // see lock

	mu sync.RWMutex // guards the fields below; nothing is read or written on disk under it
	// byID has every image.
	byID map[string]*record
	// byAge has every image by created_at, then id, both ascending: the default
	// listing is this backwards, and a page of it costs its own length.
	byAge []*record
	// byName has every image under its name ("" when null): a lookup of one name
	// does not read the whole list.
	byName map[string][]*record
	// buried are the ids of deleted images: they are never given out again.
	buried map[string]struct{}
}

func newIndex() *index {
	return &index{
		seed: maphash.MakeSeed(), byID: map[string]*record{},
		byName: map[string][]*record{}, buried: map[string]struct{}{},
	}
}

// lock keeps others from changing the image until the returned function is
// called. It is held over the disk, never over the network.
func (ix *index) lock(id string) (unlock func()) {
	mu := &ix.changing[maphash.String(ix.seed, id)%stripes]
	mu.Lock()
	return mu.Unlock
}

// get returns the record of an image, nil when there is none.
func (ix *index) get(id string) *record {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.byID[id]
}

// visible returns the image if the caller may see it, else the 404 that hides
// whether there is one.
func (ix *index) visible(id string, c caller) (*record, error) {
	r := ix.get(id)
	if r == nil || !r.visibleTo(c) {
		return nil, noImage(id)
	}
	return r, nil
}

// used reports whether the id belongs or belonged to an image.
func (ix *index) used(id string) bool {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	_, buried := ix.buried[id]
	return buried || ix.byID[id] != nil
}

// put adds a record or replaces the one with its id. The caller holds lock(id),
// or nobody else knows the index yet.
func (ix *index) put(r *record) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	old := ix.byID[r.ID]
	ix.byID[r.ID] = r
	if old == nil {
		at, _ := slices.BinarySearchFunc(ix.byAge, r, byAge)
		ix.byAge = slices.Insert(ix.byAge, at, r)
		ix.byName[nameOf(r)] = append(ix.byName[nameOf(r)], r)
		return
	}
	// created_at and id never change, so the place in byAge stays.
	if at, ok := slices.BinarySearchFunc(ix.byAge, r, byAge); ok {
		ix.byAge[at] = r
	}
	ix.forgetName(old)
	ix.byName[nameOf(r)] = append(ix.byName[nameOf(r)], r)
}

// fill adds many records at once; nil ones are left out. The index must be new.
func (ix *index) fill(records []*record) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, r := range records {
		if r == nil {
			continue
		}
		ix.byID[r.ID] = r
		ix.byAge = append(ix.byAge, r)
		ix.byName[nameOf(r)] = append(ix.byName[nameOf(r)], r)
	}
	slices.SortFunc(ix.byAge, byAge)
}

// bury removes an image and keeps its id from being used again.
func (ix *index) bury(id string) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.buried[id] = struct{}{}
	old := ix.byID[id]
	if old == nil {
		return
	}
	delete(ix.byID, id)
	if at, ok := slices.BinarySearchFunc(ix.byAge, old, byAge); ok {
		ix.byAge = slices.Delete(ix.byAge, at, at+1)
	}
	ix.forgetName(old)
}

// forgetName takes the record out of byName; ix.mu is held.
func (ix *index) forgetName(old *record) {
	same := ix.byName[nameOf(old)]
	at := slices.IndexFunc(same, func(r *record) bool { return r.ID == old.ID })
	switch {
	case at < 0:
	case len(same) == 1:
		delete(ix.byName, nameOf(old))
	default:
		ix.byName[nameOf(old)] = slices.Delete(same, at, at+1)
	}
}

func nameOf(r *record) string {
	if r.Name == nil {
		return ""
	}
	return *r.Name
}

func byAge(a, b *record) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// used space of one project.
type projectUsage struct {
	bytes             int64
	images, uploading int64
}

// usage adds up what a project has.
func (ix *index) usage(project string) projectUsage {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	var u projectUsage
	for _, r := range ix.byAge {
		if !r.ownedBy(caller{project: project}) {
			continue
		}
		u.images++
		if r.Size != nil {
			u.bytes += *r.Size
		}
		if r.Status == image.StatusSaving || r.Status == image.StatusUploading || r.Status == image.StatusImporting {
			u.uploading++
		}
	}
	return u
}
