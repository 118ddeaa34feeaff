package image

import "time"

// Property returns the value of a custom property, and whether there is one.
func (p Packed) Property(name string) (value string, ok bool) {
	if p.body == nil {
		return "", false
	}
	names := reader{text: p.body.class.Value().properties}
	n, _ := names.count()
	for i := range n {
		if names.plain() == name {
			return p.property(i, name), true
		}
	}
	return "", false
}

// property returns the value of the property with the index i.
func (p Packed) property(i int, name string) string {
	h, r := p.head()
	if h.has(hasAttributes) {
		set := r.attributes()
		if name == PropertyAttributes {
			return set.Encode(h.id())
		}
		if name > PropertyAttributes { // its value is not there
			i--
		}
	}
	for range 3 {
		r.varint()
	}
	r.skipPacked()
	r.skipPacked()
	tags, _ := r.count()
	for range tags {
		r.plain()
	}
	for range i {
		r.skipPacked()
	}
	return r.packed()
}

// Attributes returns what was set on this image through a mount, as Image.Attributes
// does. Where nothing was it costs no memory.
func (p Packed) Attributes() Attributes {
	if p.body == nil {
		return Attributes{}
	}
	h, r := p.head()
	if h.has(hasAttributes) {
		return r.attributes()
	}
	text, ok := p.Property(PropertyAttributes)
	if !ok {
		return Attributes{}
	}
	return Image{ID: h.id(), Properties: map[string]string{PropertyAttributes: text}}.Attributes()
}

// SortTime is the time that orders images of one name, as Image.SortTime.
func (p Packed) SortTime() time.Time {
	if p.body == nil {
		return time.Time{}
	}
	h, r := p.head()
	if !h.has(hasAttributes) {
		if created := p.Attributes().Created; created != nil { // as somebody else wrote it
			return *created
		}
	} else if created, any := r.inherited(); any {
		return created.time()
	}
	return h.created.time()
}

// VolumeBacked reports a snapshot whose bytes live in volumes, as Image.VolumeBacked.
func (p Packed) VolumeBacked() bool {
	if p.Size() != 0 {
		return false
	}
	mapping, _ := p.Property(propVolumes)
	return mapping != ""
}

// HasData reports whether the service can hand out bytes of this image, as
// Image.HasData.
func (p Packed) HasData() bool { return p.Status() == StatusActive && !p.VolumeBacked() }
