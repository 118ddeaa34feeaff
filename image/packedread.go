package image

import "time"

// reader reads the text of a packed record, which only appendRecord writes: so it never
// meets one that is cut short.
type reader struct {
	text string
	at   int // bytes read
}

func (r *reader) byte() byte {
	c := r.text[r.at]
	r.at++
	return c
}

func (r *reader) uvarint() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (r *reader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *reader) bytes(n int) string {
	r.at += n
	return r.text[r.at-n : r.at]
}

// plain reads a text. It costs no memory.
func (r *reader) plain() string { return r.bytes(int(r.uvarint())) }

// packed reads a packed text.
func (r *reader) packed() string {
	n, how := r.packedLen()
	switch how {
	case asUUID:
		var id UUID
		copy(id.bytes[:], r.bytes(len(id.bytes)))
		return id.String()
	case asHex:
		var space [128]byte // a sha512
		text := space[:0]
		for range n / 2 {
			c := r.byte()
			text = append(text, lowerDigits[c>>4], lowerDigits[c&15])
		}
		return string(text)
	default:
		return r.bytes(n)
	}
}

// skipPacked reads over a packed text.
func (r *reader) skipPacked() {
	n, how := r.packedLen()
	switch how {
	case asUUID:
		n = len(UUID{}.bytes)
	case asHex:
		n /= 2
	}
	r.at += n
}

func (r *reader) packedLen() (n, how int) {
	u := r.uvarint()
	return int(u >> 2), int(u & 3)
}

// count reads how many texts a list has, and whether it is one and not nil.
func (r *reader) count() (n int, any bool) {
	if r.at == len(r.text) {
		return 0, false
	}
	n = int(r.uvarint()) - 1
	return max(n, 0), n >= 0
}

func (r *reader) list() []string {
	n, any := r.count()
	if !any {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.plain()
	}
	return list
}

// inherited reads of attributes the created_at that was inherited only, for no memory.
func (r *reader) inherited() (s stamp, any bool) {
	parts := r.byte()
	if parts&hasModTime != 0 {
		r.varint()
		r.varint()
	}
	for _, number := range [...]byte{hasMode, hasUID, hasGID} {
		if parts&number != 0 {
			r.uvarint()
		}
	}
	if parts&hasCreated == 0 {
		return stamp{}, false
	}
	return stamp{r.varint(), r.varint()}, true
}

func (r *reader) attributes() Attributes {
	var a Attributes
	parts := r.byte()
	moment := func(part byte) *time.Time {
		if parts&part == 0 {
			return nil
		}
		t := stamp{r.varint(), r.varint()}.time()
		return &t
	}
	number := func(part byte) *uint32 {
		if parts&part == 0 {
			return nil
		}
		n := uint32(r.uvarint())
		return &n
	}
	a.ModTime = moment(hasModTime)
	a.Mode, a.UID, a.GID = number(hasMode), number(hasUID), number(hasGID)
	a.Created = moment(hasCreated)
	return a
}
