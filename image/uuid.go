package image

import (
	"bytes"
	"strings"
)

// UUID is the text of a UUID in little memory. The Image service keeps the case in which
// a client wrote an id, and so does this: two texts are equal if and only if their UUIDs
// are. It is comparable and may be used as a map key. The zero value is no id.
type UUID struct {
	bytes [16]byte
	upper uint32 // bit i: hex digit i is a capital letter
}

// uuidText is the length of a UUID's text in bytes.
const uuidText = 36

// dashAt reports whether a dash stands at this byte of a UUID's text.
func dashAt(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

// ParseUUID reads a UUID in its usual form, in either case; ok is false for every other
// text.
func ParseUUID(text string) (u UUID, ok bool) {
	if len(text) != uuidText {
		return UUID{}, false
	}
	digit := 0
	for i := range uuidText {
		c := text[i]
		if dashAt(i) {
			if c != '-' {
				return UUID{}, false
			}
			continue
		}
		var value byte
		switch {
		case '0' <= c && c <= '9':
			value = c - '0'
		case 'a' <= c && c <= 'f':
			value = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			value = c - 'A' + 10
			u.upper |= 1 << digit
		default:
			return UUID{}, false
		}
		u.bytes[digit/2] |= value << (4 * (1 - digit%2))
		digit++
	}
	return u, true
}

const (
	lowerDigits = "0123456789abcdef"
	upperDigits = "0123456789ABCDEF"
)

// String returns the text that was read.
func (u UUID) String() string {
	var text [uuidText]byte
	digit := 0
	for i := range text {
		if dashAt(i) {
			text[i] = '-'
			continue
		}
		digits := lowerDigits
		if u.upper>>digit&1 != 0 {
			digits = upperDigits
		}
		text[i] = digits[u.bytes[digit/2]>>(4*(1-digit%2))&15]
		digit++
	}
	return string(text[:])
}

// Bytes returns the value of the digits.
func (u UUID) Bytes() [16]byte { return u.bytes }

// Compare orders UUIDs as their texts.
func (u UUID) Compare(v UUID) int {
	if u.upper|v.upper == 0 {
		return bytes.Compare(u.bytes[:], v.bytes[:])
	}
	return strings.Compare(u.String(), v.String())
}
