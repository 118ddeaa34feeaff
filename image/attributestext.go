package image

import (
	"strconv"
	"strings"
	"time"
)

// The text of attributes is JSON. A listing brings one for each image that was touched
// through a mount, so what Encode writes is written and read here, a tenth of the time
// that the reflection of encoding/json takes; what others write is left to that.

// appendPlain appends the text for an id that needs no escape.
func (a Attributes) appendPlain(b []byte, id string) []byte {
	b = append(append(append(b, `{"id":"`...), id...), '"')
	moment := func(key string, t *time.Time) {
		if t != nil {
			b = append(b, key...)
			b = append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
		}
	}
	number := func(key string, n *uint32) {
		if n != nil {
			b = strconv.AppendUint(append(b, key...), uint64(*n), 10)
		}
	}
	moment(keyModTime, a.ModTime)
	number(keyMode, a.Mode)
	number(keyUID, a.UID)
	number(keyGID, a.GID)
	moment(keyCreated, a.Created)
	return append(b, '}')
}

// What stands between the values, in this order.
const (
	keyModTime = `,"mtime":`
	keyMode    = `,"mode":`
	keyUID     = `,"uid":`
	keyGID     = `,"gid":`
	keyCreated = `,"created":`
)

// plainText reports whether JSON writes a text as it is.
func plainText(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// parsePlain reads a text that is as appendPlain writes it; ok is false for any other.
func parsePlain(text string) (w attributesWire, ok bool) {
	rest, ok := strings.CutPrefix(text, `{"id":`)
	if !ok {
		return attributesWire{}, false
	}
	if w.ID, rest, ok = cutQuoted(rest); !ok {
		return attributesWire{}, false
	}
	moment := func(key string) *string {
		after, there := strings.CutPrefix(rest, key)
		if !there || !ok {
			return nil
		}
		var value string
		value, rest, ok = cutQuoted(after)
		return &value
	}
	number := func(key string) *uint32 {
		after, there := strings.CutPrefix(rest, key)
		if !there || !ok {
			return nil
		}
		var value uint32
		value, rest, ok = cutNumber(after)
		return &value
	}
	w.ModTime = moment(keyModTime)
	w.Mode, w.UID, w.GID = number(keyMode), number(keyUID), number(keyGID)
	w.Created = moment(keyCreated)
	return w, ok && rest == "}"
}

// cutQuoted reads a plain text in quotation marks.
func cutQuoted(text string) (value, rest string, ok bool) {
	if text, ok = strings.CutPrefix(text, `"`); !ok {
		return "", "", false
	}
	value, rest, ok = strings.Cut(text, `"`)
	return value, rest, ok && plainText(value)
}

// cutNumber reads a number as strconv writes it.
func cutNumber(text string) (value uint32, rest string, ok bool) {
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(text[:end], 10, 32)
	return uint32(n), text[end:], err == nil && (end == 1 || text[0] != '0')
}
