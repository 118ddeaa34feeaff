package catalog

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

// ByIDEntry is the entry of the directory that reaches images by their id. No image
// shows under it: a name equal to it is escaped.
const ByIDEntry = ".by-id"

// maxEntry is the longest entry in bytes: NAME_MAX of Linux. The service holds
// names of up to 255 characters, so an entry that fits is never too long for it.
const maxEntry = 255

// shortDigits is how many hex digits of an id tell images of one name apart. 32
// bits: two of a hundred images of one name share them once in a million clouds,
// and then the whole id is used.
const shortDigits = 8

// EntryName returns the entry that an image of this name and id (a UUID) has as
// long as no other image claims the same. It is never ".", "..", ".by-id",
// never longer than 255 bytes, and holds no slash and no control character.
func EntryName(name, id string) string {
	if name == "" {
		name = id
	}
	entry := escape(name)
	if len(entry) > maxEntry {
		tail := "~" + short(id)
		entry = cut(entry, maxEntry-len(tail)) + tail
	}
	return entry
}

// ImageName returns the name that an image created at this entry must have to
// show there. The error is of kind NameTooLong, or InvalidName for what the
// service cannot hold (invalid UTF-8, NUL, characters of four bytes) and for an
// entry that no name is written as.
func ImageName(entry string) (string, error) {
	if len(entry) > maxEntry {
		return "", &image.Error{Op: "name", Image: entry, Kind: image.NameTooLong, Detail: "an entry has at most 255 bytes"}
	}
	if !utf8.ValidString(entry) {
		return "", invalidName(entry, "not UTF-8")
	}
	name := unescape(entry)
	switch {
	case name == "" || escape(name) != entry:
		return "", invalidName(entry, "no image name is written like this"+written(entry))
	case !utf8.ValidString(name):
		return "", invalidName(entry, "not UTF-8")
	case strings.ContainsFunc(name, unholdable):
		return "", invalidName(entry, "the Image service cannot hold this character")
	}
	return name, nil
}

// written tells who copies a file of this name which entry an image of that name has, if
// there can be one.
func written(name string) string {
	entry := escape(name)
	if name == "" || len(entry) > maxEntry || strings.ContainsFunc(name, unholdable) {
		return ""
	}
	return "; an image that is to be called so is written " + entry
}

func invalidName(entry, why string) error {
	return &image.Error{Op: "name", Image: entry, Kind: image.InvalidName, Detail: why}
}

// unholdable reports what the service refuses in a name: its databases have no
// NUL, and its schema has no character outside the basic plane.
func unholdable(r rune) bool { return r == 0 || r > 0xffff }

// escape writes as %XX, byte for byte: slashes, control characters (C0, DEL and
// C1: terminals obey all three), bytes that are not UTF-8, a "%" that would read
// as an escape, and the first dot of an entry that means something else here.
func escape(name string) string {
	switch name {
	case ".", "..", ByIDEntry:
		return "%2E" + name[1:]
	}
	var b strings.Builder
	done := 0 // everything before it is in b
	for i := 0; i < len(name); {
		r, width := utf8.DecodeRuneInString(name[i:])
		if mustEscape(r, width) || r == '%' && hexPair(name[i+1:]) {
			b.WriteString(name[done:i])
			for _, c := range []byte(name[i : i+width]) {
				b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
			}
			done = i + width
		}
		i += width
	}
	if done == 0 {
		return name
	}
	b.WriteString(name[done:])
	return b.String()
}

const upperHex = "0123456789ABCDEF"

func mustEscape(r rune, width int) bool {
	return r == '/' || unicode.IsControl(r) || r == utf8.RuneError && width == 1
}

// unescape reads every %XX as the byte that it stands for.
func unescape(entry string) string {
	if !strings.Contains(entry, "%") {
		return entry
	}
	var b strings.Builder
	for i := 0; i < len(entry); i++ {
		if entry[i] == '%' && hexPair(entry[i+1:]) {
			b.WriteByte(hexValue(entry[i+1])<<4 | hexValue(entry[i+2]))
			i += 2
			continue
		}
		b.WriteByte(entry[i])
	}
	return b.String()
}

// cut returns the longest start of an entry that has at most limit bytes and
// ends neither inside a character nor inside an escape. It is at most 3 bytes
// shorter than limit unless the entry is.
func cut(entry string, limit int) string {
	if len(entry) <= limit {
		return entry
	}
	end := limit
	for end > 0 && !utf8.RuneStart(entry[end]) {
		end--
	}
	for back := 1; back <= 2 && back <= end; back++ {
		if entry[end-back] == '%' && hexPair(entry[end-back+1:]) {
			return entry[:end-back]
		}
	}
	return entry[:end]
}

// short returns the first digits of an id.
func short(id string) string { return id[:min(shortDigits, len(id))] }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// hexPair reports whether text begins with two hex digits.
func hexPair(text string) bool { return len(text) >= 2 && isHex(text[0]) && isHex(text[1]) }

func hexValue(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}
