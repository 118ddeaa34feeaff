package image

import "time"

// head is the beginning of a packed record, read.
type head struct {
	flags            byte
	uuid             UUID
	odd              string // the id that is no UUID
	size             int64
	created, updated stamp
	name             string
}

func (h *head) has(flag byte) bool { return h.flags&flag != 0 }

func (h *head) id() string {
	if h.has(hasOddID) {
		return h.odd
	}
	return h.uuid.String()
}

// head reads the head of a record that is one, and returns what reads on.
func (p Packed) head() (h head, r reader) {
	r.text = p.body.text
	h.flags = r.byte()
	if h.has(hasOddID) {
		h.odd = r.plain()
	} else {
		copy(h.uuid.bytes[:], r.bytes(len(h.uuid.bytes)))
		if h.has(hasUpper) {
			for shift := 0; shift < 32; shift += 8 {
				h.uuid.upper |= uint32(r.byte()) << shift
			}
		}
	}
	h.size = r.varint()
	h.created.seconds = r.varint()
	if h.has(hasCreatedNanos) {
		h.created.nanos = r.varint()
	}
	h.updated.seconds = h.created.seconds + r.varint()
	if h.has(hasUpdatedNanos) {
		h.updated.nanos = r.varint()
	}
	h.name = r.plain()
	return h, r
}

// IsZero reports whether this is no record.
func (p Packed) IsZero() bool { return p.body == nil }

// ID returns the image's id, which it puts together; "" for no record.
func (p Packed) ID() string {
	if p.body == nil {
		return ""
	}
	h, _ := p.head()
	return h.id()
}

// UUID returns the image's id without putting its text together; ok is false where it
// is no UUID, and for no record.
func (p Packed) UUID() (id UUID, ok bool) {
	if p.body == nil {
		return UUID{}, false
	}
	h, _ := p.head()
	return h.uuid, !h.has(hasOddID)
}

// Name returns the image's name. It shares memory with p.
func (p Packed) Name() string {
	if p.body == nil {
		return ""
	}
	h, _ := p.head()
	return h.name
}

// Size returns the image's size in bytes.
func (p Packed) Size() int64 {
	if p.body == nil {
		return 0
	}
	h, _ := p.head()
	return h.size
}

// CreatedAt returns when the image was created.
func (p Packed) CreatedAt() time.Time {
	if p.body == nil {
		return time.Time{}
	}
	h, _ := p.head()
	return h.created.time()
}

// UpdatedAt returns when the record was changed last.
func (p Packed) UpdatedAt() time.Time {
	if p.body == nil {
		return time.Time{}
	}
	h, _ := p.head()
	return h.updated.time()
}

// Status returns the image's status.
func (p Packed) Status() Status { return p.class().status }

// Visibility says who may see the image.
func (p Packed) Visibility() Visibility { return p.class().visibility }

// Protected reports whether the service refuses to delete the image.
func (p Packed) Protected() bool { return p.class().protected }

// Hidden reports whether listings leave the image out.
func (p Packed) Hidden() bool { return p.class().hidden }

// Owner returns the id of the project that the image belongs to.
func (p Packed) Owner() string {
	if p.body == nil {
		return ""
	}
	return p.body.owner.Value()
}

func (p Packed) class() class {
	if p.body == nil {
		return class{}
	}
	return p.body.class.Value()
}
