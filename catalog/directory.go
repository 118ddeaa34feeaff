package catalog

import (
	"hash/maphash"
	"iter"
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
	seed    maphash.Seed
	images  table              // by id
	groups  lines              // by base entry
	claims  lines              // by short form: all but the first of each group
	longer  map[string]*record // those whose entry is longer than their short form, by it
}

func newDirectory(project string, filter image.Filter) *directory {
	d := &directory{project: project, filter: filter, seed: maphash.MakeSeed(), longer: map[string]*record{}}
	orderOf := func(r *record) order { return orderOf(r.rec, project) }
	d.images.hash = func(r *record) uint64 { return d.hashID(r.uuid()) }
	d.groups = newLines((*record).base, orderOf, d.seed)
	d.claims = newLines((*record).short, orderOf, d.seed)
	return d
}

func (d *directory) hashID(id image.UUID) uint64 { return maphash.Comparable(d.seed, id) }

// get returns the record of an image, nil for none.
func (d *directory) get(id string) *record {
	u, ok := image.ParseUUID(id)
	if !ok {
		return nil
	}
	return d.images.find(d.hashID(u), func(r *record) bool { return r.uuid() == u })
}

// at returns the record that has an entry, nil for none: the first of its group, or else
// the first of those whose short form it is, for nothing else can be in their way.
func (d *directory) at(entry string) *record {
	if r := d.groups.head(entry); r != nil {
		return r
	}
	if r := d.claims.head(entry); r != nil {
		return r
	}
	return d.longer[entry]
}

// group returns the images of one base entry, in order.
func (d *directory) group(base string) []*record { return d.groups.all(base) }

// has reports whether there are images of one base entry.
func (d *directory) has(base string) bool { return d.groups.head(base) != nil }

func (d *directory) len() int { return d.images.n }

// all yields every record, in no order. Records may be removed meanwhile, but not put.
func (d *directory) all() iter.Seq[*record] { return d.images.all() }

// build returns a directory of the images; of those with equal ids the last
// counts. Images that are not shown are left out.
func build(project string, filter image.Filter, images []image.Image) *directory {
	d := newDirectory(project, filter)
	for _, img := range images {
		d.put(img, nil)
	}
	return d
}

// shows reports whether the root shows an image. An id that is no UUID is not the
// Image API v2.
func (d *directory) shows(img *image.Image) bool {
	return isUUID(img.ID) && d.filter.Shows(img, d.project)
}

// put makes img the known record of its id, and returns whether anything of it is new.
// It adds to touched, which may be nil, the entries whose image became another: true for
// one that stood for an image before, false for one that is new. Those whose image is
// the same, but not what is shown of it, it adds as true.
func (d *directory) put(img image.Image, touched map[string]bool) (changed bool) {
	if !d.shows(&img) {
		return d.remove(img.ID, touched)
	}
	now := image.Pack(img)
	r := d.get(img.ID)
	switch {
	case r == nil:
		r = &record{}
	case r.rec.Equal(now):
		return false
	case baseOf(now) == r.base() && orderOf(now, d.project) == orderOf(r.rec, d.project):
		if touched != nil && !sameShown(r.rec, now) {
			touched[r.entry()] = true
		}
		r.rec = now
		return true
	default:
		d.takeOut(r, touched)
	}
	r.rec = now
	d.insert(r, touched)
	return true
}

// remove takes an image out, and returns whether it was there. Of touched see put.
func (d *directory) remove(id string, touched map[string]bool) bool {
	r := d.get(id)
	if r != nil {
		d.takeOut(r, touched)
	}
	return r != nil
}

func (d *directory) insert(r *record, touched map[string]bool) {
	d.images.add(d.hashID(r.uuid()), r)
	r.suffix = ""
	affected := []*record{}
	switch was, first := d.groups.add(r); {
	case was == nil:
		affected = d.squatters(r.base(), affected)
	case first:
		affected = d.claim(was, append(affected, was))
	default:
		affected = d.claim(r, affected)
	}
	d.settle(affected, r, touched)
}

// takeOut takes a record out that is there.
func (d *directory) takeOut(r *record, touched map[string]bool) {
	if touched != nil {
		touched[r.entry()] = true
	}
	if d.longer[r.suffix] == r {
		delete(d.longer, r.suffix)
	}
	d.images.remove(d.hashID(r.uuid()), r)
	var affected []*record
	switch now, first := d.groups.remove(r); {
	case now == nil:
		affected = d.squatters(r.base(), affected)
	case first:
		affected = d.unclaim(now, append(affected, now))
	default:
		affected = d.unclaim(r, affected)
	}
	d.settle(affected, nil, touched)
}

// claim notes that r wants its short form, and appends who may lose it.
func (d *directory) claim(r *record, affected []*record) []*record {
	if was, first := d.claims.add(r); first && was != nil {
		affected = append(affected, was)
	}
	return affected
}

// unclaim undoes claim, and appends who may get the short form.
func (d *directory) unclaim(r *record, affected []*record) []*record {
	if now, first := d.claims.remove(r); first && now != nil {
		affected = append(affected, now)
	}
	return affected
}

// squatters appends the images whose suffixed entry is, was or would be the
// plain entry base.
func (d *directory) squatters(base string, affected []*record) []*record {
	if r := d.claims.head(base); r != nil {
		affected = append(affected, r)
	}
	if s, _, id, _ := shapeOf(base); s == whole || s == numbered {
		if r := d.get(id); r != nil && !slices.Contains(affected, r) {
			affected = append(affected, r)
		}
	}
	return affected
}

// settle gives each affected record, and the one that is new if there is one, its entry.
// All old entries go before the first new one comes, for records may exchange theirs.
func (d *directory) settle(affected []*record, fresh *record, touched map[string]bool) {
	old := make([]string, len(affected), len(affected)+1)
	for i, r := range affected {
		old[i] = r.entry()
		if d.longer[r.suffix] == r {
			delete(d.longer, r.suffix)
		}
	}
	if fresh != nil {
		affected, old = append(affected, fresh), append(old, "")
	}
	for i, r := range affected {
		var longer bool
		if r.suffix, longer = d.suffixOf(r); longer {
			d.longer[r.suffix] = r
		}
		if now := r.entry(); touched != nil && now != old[i] {
			if _, told := touched[now]; !told {
				touched[now] = false
			}
			if old[i] != "" {
				touched[old[i]] = true
			}
		}
	}
}

// suffixOf decides the entry of one record from groups and claims alone. It is "" for
// the plain one.
func (d *directory) suffixOf(r *record) (suffix string, longer bool) {
	base := r.base()
	if d.groups.head(base) == r {
		return "", false
	}
	entry := r.short()
	if d.claims.head(entry) == r && !d.has(entry) {
		return entry, false
	}
	entry = wholeForm(base, r.id())
	for n := 2; d.has(entry); n++ {
		entry = numberedForm(base, r.id(), n)
	}
	return entry, true
}

// sameShown reports whether nothing that the kernel remembers of an image moved between
// two records of it. The service moves updated_at at every edit; the rest is for two
// edits in one second.
func sameShown(a, b image.Packed) bool {
	set := func(p image.Packed) string {
		text, _ := p.Property(image.PropertyAttributes)
		return text
	}
	return a.UpdatedAt().Equal(b.UpdatedAt()) && a.Status() == b.Status() && a.Size() == b.Size() &&
		a.Protected() == b.Protected() && a.Visibility() == b.Visibility() && a.Owner() == b.Owner() && set(a) == set(b)
}
