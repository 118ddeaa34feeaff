package catalog

import "github.com/imagefs/imagefs/image"

// record is one image in a directory, the same one for as long as that is there. A
// cloud's worth of them is held, so it has nothing that can be told from what is packed.
type record struct {
	rec    image.Packed
	suffix string // its entry, where that is not its base entry
	seen   uint64 // sequence number of the last request or change that brought it; the catalog's, kept by put
}

func (r *record) id() string           { return r.rec.ID() }
func (r *record) image() image.Image   { return r.rec.Unpack() }
func (r *record) packed() image.Packed { return r.rec }

// uuid is its id, for no memory.
func (r *record) uuid() image.UUID {
	id, _ := r.rec.UUID() // a directory lets no other id in
	return id
}

// created is when the image was made, in Unix seconds.
func (r *record) created() int64 { return r.rec.CreatedAt().Unix() }

// base is its entry if no other image were there. It costs no memory where the name is
// an entry as it is.
func (r *record) base() string { return baseOf(r.rec) }

func baseOf(p image.Packed) string {
	if name := p.Name(); name != "" {
		if entry := escape(name); len(entry) <= maxEntry {
			return entry
		}
	}
	return EntryName(p.Name(), p.ID())
}

// entry is what it shows under. Of one that is not settled yet it means nothing.
func (r *record) entry() string {
	if r.suffix != "" {
		return r.suffix
	}
	return r.base()
}

// short is the entry that it wants where it has not the plain one.
func (r *record) short() string { return shortForm(r.base(), r.id()) }
