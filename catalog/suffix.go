package catalog

import (
	"strconv"
	"strings"
)

// uuidLen is the length of a UUID in its usual form, in bytes.
const uuidLen = 36

// maxExtension is the longest extension without its dot, in bytes: longer ends
// of a name ("…x86_64-disk", a version) are no extensions.
const maxExtension = 8

// cutLen is the length in bytes from which a suffixed entry may have been made
// from a longer name: what cut leaves is at most 3 bytes short of the limit.
const cutLen = maxEntry - 3

// splitExt divides an entry before its extension: the last dot, not the first
// byte, and after it 1 to 8 ASCII letters and digits of which one is a letter
// ("22.04" has none).
func splitExt(entry string) (stem, ext string) {
	dot := strings.LastIndexByte(entry, '.')
	if dot <= 0 || len(entry)-dot-1 > maxExtension {
		return entry, ""
	}
	letter := false
	for _, c := range []byte(entry[dot+1:]) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letter = true
		case c < '0' || c > '9':
			return entry, ""
		}
	}
	if !letter {
		return entry, ""
	}
	return entry[:dot], entry[dot:]
}

// form writes a suffix into a base entry, before its extension. The stem is cut
// where the whole would be longer than an entry may be.
func form(base, suffix string) string {
	stem, ext := splitExt(base)
	return cut(stem, maxEntry-len(ext)-1-len(suffix)) + "~" + suffix + ext
}

// shortForm, wholeForm and numberedForm are the entries that an image without
// the plain one gets, in the order in which they are tried. The last is for
// names made to be in the way: n begins with 2 and ends where an entry is free.
func shortForm(base, id string) string { return form(base, short(id)) }
func wholeForm(base, id string) string { return form(base, id) }
func numberedForm(base, id string, n int) string {
	return form(base, id+"~"+strconv.Itoa(n))
}

// shape says which kind of suffix an entry ends with.
type shape uint8

const (
	plain    shape = iota // no suffix of ours
	shorted               // ~xxxxxxxx
	whole                 // ~<uuid>
	numbered              // ~<uuid>~n
)

// shapeOf returns the shape of an entry, what stands before and after the
// suffix, and the (part of an) id in it.
func shapeOf(entry string) (s shape, stem, id, ext string) {
	stem, ext = splitExt(entry)
	rest, last, ok := cutLast(stem)
	switch {
	case !ok:
		return plain, "", "", ""
	case isUUID(last):
		return whole, rest, last, ext
	case isNumber(last):
		if front, middle, ok := cutLast(rest); ok && isUUID(middle) {
			return numbered, front, middle, ext
		}
	}
	if len(last) == shortDigits && strings.IndexFunc(last, func(r rune) bool { return r > 127 || !isHex(byte(r)) }) < 0 {
		return shorted, rest, last, ext
	}
	return plain, "", "", ""
}

// cutLast divides text at its last "~", which must not be the first byte.
func cutLast(text string) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, '~')
	if i <= 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// isNumber reports a number of 2 or more as strconv.Itoa writes it.
func isNumber(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 2 && strconv.Itoa(n) == text
}

// isUUID reports a UUID in its usual form, in either case.
func isUUID(text string) bool {
	if len(text) != uuidLen {
		return false
	}
	for i := range len(text) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if text[i] != '-' {
				return false
			}
		} else if !isHex(text[i]) {
			return false
		}
	}
	return true
}
