package catalog

import (
	"iter"
	"maps"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// directory holds images and the entry of each. It is pure: no lock, no clock.
//
// The first image (by order) of each group, that is of all images of one base
// entry, has the plain entry. Each other takes the first that is free of: the
// base with the first digits of its id, with its whole id, with its whole id and
// a number. Plain entries come first: a suffixed one that equals a base entry of
// another image is taken. Only the short form can be wanted by two images (equal
// digits); the first of them by order gets it. So every entry follows from the
// set of images alone, and a change of one image touches few others.
type directory struct {
	project string
	filter  image.Filter
	byID    map[string]*record
	groups  map[string][]*record // by base entry, in order, never empty
	claims  map[string][]*record // by short form, in order, never empty: all but the first of each group
	entries map[string]*record
}

// record is one image in a directory.
type record struct {
	img   image.Image
	name  string // its base entry
	shown string // its entry
	order order
	seen  uint64 // sequence number of the last request or change that brought it; the catalog's, kept by put
}

func (r *record) id() string           { return r.img.ID }
func (r *record) base() string         { return r.name } // its entry if no other image were there
func (r *record) entry() string        { return r.shown }
func (r *record) image() image.Image   { return r.img }
func (r *record) packed() image.Packed { return image.Pack(r.img) }

// get returns the record of an image, at the one that has an entry; nil for none.
func (d *directory) get(id string) *record   { return d.byID[id] }
func (d *directory) at(entry string) *record { return d.entries[entry] }

// group returns the images of one base entry, in order.
func (d *directory) group(base string) []*record { return d.groups[base] }

func (d *directory) len() int { return len(d.byID) }

// all yields every record, in no order.
func (d *directory) all() iter.Seq[*record] { return maps.Values(d.byID) }

func newDirectory(project string, filter image.Filter) *directory {
	return &directory{
		project: project,
		filter:  filter,
		byID:    map[string]*record{},
		groups:  map[string][]*record{},
		claims:  map[string][]*record{},
		entries: map[string]*record{},
	}
}

// build returns a directory of the images; of those with equal ids the last
// counts. Images that are not shown are left out.
func build(project string, filter image.Filter, images []image.Image) *directory {
	d := newDirectory(project, filter)
	records := make([]*record, 0, len(images))
	at := make(map[string]int, len(images))
	for _, img := range images {
		if !d.shows(&img) {
			continue
		}
		r := d.record(img)
		if i, twice := at[img.ID]; twice {
			records[i] = r
			continue
		}
		at[img.ID] = len(records)
		records = append(records, r)
	}
	// In order each insertion is at the end of its group, whatever its size.
	slices.SortFunc(records, func(a, b *record) int { return a.order.compare(b.order) })
	for _, r := range records {
		d.insert(r, nil)
	}
	return d
}

// shows reports whether the root shows an image. An id that is no UUID is not the
// Image API v2.
func (d *directory) shows(img *image.Image) bool {
	return isUUID(img.ID) && d.filter.Shows(img, d.project)
}

func (d *directory) record(img image.Image) *record {
	return &record{img: img, name: EntryName(img.Name, img.ID), order: orderOf(&img, d.project)}
}

// put makes img the known record of its id. It adds the entries whose image
// became another to touched, which may be nil: true for one that stood for an
// image before, false for one that is new.
func (d *directory) put(img image.Image, touched map[string]bool) {
	if !d.shows(&img) {
		d.remove(img.ID, touched)
		return
	}
	r := d.record(img)
	if old := d.byID[img.ID]; old != nil {
		if old.base() == r.base() && old.order == r.order {
			old.img = img
			return
		}
		r.seen = old.seen
		d.remove(img.ID, touched)
	}
	d.insert(r, touched)
}

func (d *directory) insert(r *record, touched map[string]bool) {
	d.byID[r.img.ID] = r
	group, at := insertRecord(d.groups[r.base()], r)
	d.groups[r.base()] = group
	affected := []*record{r}
	switch {
	case len(group) == 1:
		affected = d.squatters(r.base(), affected)
	case at == 0:
		affected = d.claim(group[1], append(affected, group[1]))
	default:
		affected = d.claim(r, affected)
	}
	d.settle(affected, touched)
}

func (d *directory) remove(id string, touched map[string]bool) {
	r := d.byID[id]
	if r == nil {
		return
	}
	delete(d.byID, id)
	delete(d.entries, r.entry())
	if touched != nil {
		touched[r.entry()] = true
	}
	group, at := removeRecord(d.groups[r.base()], r)
	d.groups[r.base()] = group
	var affected []*record
	switch {
	case len(group) == 0:
		delete(d.groups, r.base())
		affected = d.squatters(r.base(), affected)
	case at == 0:
		affected = d.unclaim(group[0], append(affected, group[0]))
	default:
		affected = d.unclaim(r, affected)
	}
	d.settle(affected, touched)
}

// claim notes that r wants its short form, and appends who may lose it.
func (d *directory) claim(r *record, affected []*record) []*record {
	key := shortForm(r.base(), r.img.ID)
	list, at := insertRecord(d.claims[key], r)
	d.claims[key] = list
	if at == 0 && len(list) > 1 {
		affected = append(affected, list[1])
	}
	return affected
}

// unclaim undoes claim, and appends who may get the short form.
func (d *directory) unclaim(r *record, affected []*record) []*record {
	key := shortForm(r.base(), r.img.ID)
	list, at := removeRecord(d.claims[key], r)
	if len(list) == 0 {
		delete(d.claims, key)
		return affected
	}
	d.claims[key] = list
	if at == 0 {
		affected = append(affected, list[0])
	}
	return affected
}

// squatters appends the images whose suffixed entry is, was or would be the
// plain entry base.
func (d *directory) squatters(base string, affected []*record) []*record {
	if list := d.claims[base]; len(list) > 0 {
		affected = append(affected, list[0])
	}
	if s, _, id, _ := shapeOf(base); s == whole || s == numbered {
		if r := d.byID[id]; r != nil {
			affected = append(affected, r)
		}
	}
	return affected
}

// settle gives each affected record its entry. All old entries go before the
// first new one comes, for records may exchange theirs.
func (d *directory) settle(affected []*record, touched map[string]bool) {
	old := make([]string, len(affected))
	for i, r := range affected {
		old[i] = r.entry()
		if r.entry() != "" && d.entries[r.entry()] == r {
			delete(d.entries, r.entry())
		}
	}
	for i, r := range affected {
		r.shown = d.entryOf(r)
		d.entries[r.entry()] = r
		if touched != nil && r.entry() != old[i] {
			if _, had := touched[r.entry()]; !had {
				touched[r.entry()] = false
			}
			if old[i] != "" {
				touched[old[i]] = true
			}
		}
	}
}

// entryOf decides the entry of one record from groups and claims alone.
func (d *directory) entryOf(r *record) string {
	if d.groups[r.base()][0] == r {
		return r.base()
	}
	entry := shortForm(r.base(), r.img.ID)
	if d.claims[entry][0] == r && d.groups[entry] == nil {
		return entry
	}
	entry = wholeForm(r.base(), r.img.ID)
	for n := 2; d.groups[entry] != nil; n++ {
		entry = numberedForm(r.base(), r.img.ID, n)
	}
	return entry
}

func insertRecord(list []*record, r *record) ([]*record, int) {
	at, _ := slices.BinarySearchFunc(list, r, func(a, b *record) int { return a.order.compare(b.order) })
	return slices.Insert(list, at, r), at
}

func removeRecord(list []*record, r *record) ([]*record, int) {
	at, found := slices.BinarySearchFunc(list, r, func(a, b *record) int { return a.order.compare(b.order) })
	if !found {
		return list, -1
	}
	return slices.Delete(list, at, at+1), at
}
