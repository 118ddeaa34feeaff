package image

import (
	"encoding/binary"
	"time"
)

// The text of a packed record begins with its head, for which a directory is read:
//
//	flags        one byte
//	id           16 bytes, with hasUpper 4 more; with hasOddID a text
//	size         a number
//	created_at   seconds since 1970, a number; with hasCreatedNanos the nanoseconds, too
//	updated_at   seconds since created_at, a number; with hasUpdatedNanos likewise
//	name         a text
//
// Then come, with hasAttributes, the attributes, and in any case virtual_size, min_disk
// and min_ram as numbers, checksum and hash as packed texts, the tags as a list, and the
// values of the properties as packed texts, in the order of their names; with
// hasAttributes without that of PropertyAttributes.
//
// A number is a varint. A text is its length and its bytes. A packed text is its length
// times 4, plus how it is written, and then that. A list is empty for nil, where nothing
// follows it, else the count of its texts plus 1, and these.

// The flags of a head.
const (
	hasOddID        byte = 1 << iota // the id is no UUID
	hasUpper                         // the id has capital letters
	hasCreatedNanos                  // nothing that a service says has any
	hasUpdatedNanos
	// hasAttributes: the property is just as Encode writes it, so the attributes tell it.
	hasAttributes
)

// How a packed text is written.
const (
	asBytes = iota
	asHex   // lower-case digits: one byte for two of them
	asUUID  // in lower case: 16 bytes
)

// The parts of the attributes that are set.
const (
	hasModTime byte = 1 << iota
	hasMode
	hasUID
	hasGID
	hasCreated
)

// stamp is a moment.
type stamp struct{ seconds, nanos int64 }

func stampOf(t time.Time) stamp { return stamp{t.Unix(), int64(t.Nanosecond())} }

func (s stamp) time() time.Time { return time.Unix(s.seconds, s.nanos).UTC() }

// appendRecord appends the text of a record whose properties have these names.
func appendRecord(b []byte, img *Image, names []string) []byte {
	var flags byte
	set := func(flag byte, really bool) bool {
		if really {
			flags |= flag
		}
		return really
	}
	at := len(b)
	b = append(b, 0) // the flags
	if id, ok := ParseUUID(img.ID); set(hasOddID, !ok) {
		b = appendText(b, img.ID)
	} else {
		b = append(b, id.bytes[:]...)
		if set(hasUpper, id.upper != 0) {
			b = binary.LittleEndian.AppendUint32(b, id.upper)
		}
	}
	b = binary.AppendVarint(b, img.Size)
	created, updated := stampOf(img.CreatedAt), stampOf(img.UpdatedAt)
	b = binary.AppendVarint(b, created.seconds)
	if set(hasCreatedNanos, created.nanos != 0) {
		b = binary.AppendVarint(b, created.nanos)
	}
	b = binary.AppendVarint(b, updated.seconds-created.seconds)
	if set(hasUpdatedNanos, updated.nanos != 0) {
		b = binary.AppendVarint(b, updated.nanos)
	}
	b = appendText(b, img.Name)
	if text := img.Properties[PropertyAttributes]; text != "" {
		if a := img.Attributes(); set(hasAttributes, a.Encode(img.ID) == text) {
			b = appendAttributes(b, a)
		}
	}
	b = binary.AppendVarint(b, img.VirtualSize)
	b = binary.AppendVarint(b, img.MinDisk)
	b = binary.AppendVarint(b, img.MinRAM)
	b = appendPacked(b, img.Checksum)
	b = appendPacked(b, img.HashValue)
	if b = appendList(b, img.Tags); img.Tags == nil {
		b = append(b, 0)
	}
	for _, name := range names {
		if flags&hasAttributes == 0 || name != PropertyAttributes {
			b = appendPacked(b, img.Properties[name])
		}
	}
	b[at] = flags
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendPacked appends a text in the fewest bytes: hashes, and many properties, are
// digits.
func appendPacked(b []byte, text string) []byte {
	how := asBytes
	id, ok := ParseUUID(text)
	switch {
	case ok && id.upper == 0:
		how = asUUID
	case len(text)%2 == 0 && onlyLowerDigits(text):
		how = asHex
	}
	b = binary.AppendUvarint(b, uint64(len(text))<<2|uint64(how))
	switch how {
	case asUUID:
		return append(b, id.bytes[:]...)
	case asHex:
		for i := 0; i < len(text); i += 2 {
			b = append(b, digitValue(text[i])<<4|digitValue(text[i+1]))
		}
		return b
	default:
		return append(b, text...)
	}
}

func onlyLowerDigits(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// digitValue is the value of a lower-case hex digit.
func digitValue(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func appendList(b []byte, list []string) []byte {
	if list == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(list))+1)
	for _, text := range list {
		b = appendText(b, text)
	}
	return b
}

func appendAttributes(b []byte, a Attributes) []byte {
	at := len(b)
	b = append(b, 0)
	moment := func(part byte, t *time.Time) {
		if t != nil {
			b[at] |= part
			b = binary.AppendVarint(b, t.Unix())
			b = binary.AppendVarint(b, int64(t.Nanosecond()))
		}
	}
	number := func(part byte, n *uint32) {
		if n != nil {
			b[at] |= part
			b = binary.AppendUvarint(b, uint64(*n))
		}
	}
	moment(hasModTime, a.ModTime)
	number(hasMode, a.Mode)
	number(hasUID, a.UID)
	number(hasGID, a.GID)
	moment(hasCreated, a.Created)
	return b
}
