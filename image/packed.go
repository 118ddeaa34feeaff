package image

import (
	"slices"
	"unique"
)

// Packed is one record in little memory, for those who hold a cloud's worth of them: a
// quarter of what an Image takes. It is a value that never changes. The zero value is no
// record: its ID is "".
type Packed struct{ body *body }

// body is a record. What crowds of images have in common is shared, and forgotten by the
// collector with the last that has it; all else is one text (packedwrite.go). There is
// one way only to write a record, so equal ones have equal bodies.
type body struct {
	class unique.Handle[class]
	owner unique.Handle[string] // apart from class, for a cloud can have many of both
	text  string
}

// class is what crowds of images have in common.
type class struct {
	status            Status
	visibility        Visibility
	protected, hidden bool
	diskFormat        string
	containerFormat   string
	hashAlgo          string
	stores            string // a list
	properties        string // a list of their names, in order: the values are in the text
}

// packSpace and packNames are how long a record's text and how many its properties may be
// to be put together on the stack: more than nearly every image has.
const (
	packSpace = 768
	packNames = 24
)

// Pack packs a record. Unpack gives it back as it was, but that its times are in UTC and
// have no monotonic reading.
func Pack(img Image) Packed {
	var (
		space [packSpace]byte
		few   [packNames]string
		names []string // nil as the properties are
	)
	if img.Properties != nil {
		names = few[:0]
		for name := range img.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	properties := string(appendList(space[:0], names))
	text := string(appendRecord(space[:0], &img, names))
	return Packed{&body{
		class: unique.Make(class{
			status: img.Status, visibility: img.Visibility, protected: img.Protected, hidden: img.Hidden,
			diskFormat: img.DiskFormat, containerFormat: img.ContainerFormat, hashAlgo: img.HashAlgo,
			stores: string(appendList(nil, img.Stores)), properties: properties,
		}),
		owner: unique.Make(img.Owner),
		text:  text,
	}}
}

// Unpack returns the record that was packed. Its strings may share memory with p's.
func (p Packed) Unpack() Image {
	if p.body == nil {
		return Image{}
	}
	h, r := p.head()
	c := p.body.class.Value()
	img := Image{
		ID: h.id(), Name: h.name, Status: c.status, Visibility: c.visibility, Owner: p.body.owner.Value(),
		DiskFormat: c.diskFormat, ContainerFormat: c.containerFormat, HashAlgo: c.hashAlgo, Size: h.size,
		Protected: c.protected, Hidden: c.hidden, CreatedAt: h.created.time(), UpdatedAt: h.updated.time(),
	}
	var set Attributes
	if h.has(hasAttributes) {
		set = r.attributes()
	}
	img.VirtualSize, img.MinDisk, img.MinRAM = r.varint(), r.varint(), r.varint()
	img.Checksum, img.HashValue = r.packed(), r.packed()
	img.Tags = r.list()
	stores, names := reader{text: c.stores}, reader{text: c.properties}
	img.Stores = stores.list()
	n, any := names.count()
	if !any {
		return img
	}
	img.Properties = make(map[string]string, n)
	for range n {
		if name := names.plain(); name == PropertyAttributes && h.has(hasAttributes) {
			img.Properties[name] = set.Encode(img.ID)
		} else {
			img.Properties[name] = r.packed()
		}
	}
	return img
}

// Equal reports whether both are the same record, to the last property.
func (p Packed) Equal(q Packed) bool {
	return p.body == q.body || p.body != nil && q.body != nil && *p.body == *q.body
}
