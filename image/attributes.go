package image

import (
	"encoding/json"
	"time"
)

// Attributes are what was set on an image through a mount. They live in the one
// custom property PropertyAttributes. A nil field was never set.
type Attributes struct {
	// ModTime is what utimensat(2) set, with nanoseconds.
	ModTime *time.Time
	// Mode holds permission bits only.
	Mode     *uint32
	UID, GID *uint32
	// Created is the time of creation that the image inherited from the one that it
	// replaced (SuccessorTime): it decides who has the plain entry among images of one
	// name.
	Created *time.Time
}

// attributesWire is the property's text: JSON, short keys, and the id of the
// image it was written for.
type attributesWire struct {
	ID      string  `json:"id"`
	ModTime *string `json:"mtime,omitempty"`
	Mode    *uint32 `json:"mode,omitempty"`
	UID     *uint32 `json:"uid,omitempty"`
	GID     *uint32 `json:"gid,omitempty"`
	Created *string `json:"created,omitempty"`
}

// Attributes returns what was set on this image through a mount. A property that
// is malformed, has a version that this program does not know, or was written for another image (Nova copies the properties of a
// base image to its snapshots) counts as absent.
func (i Image) Attributes() Attributes {
	text := i.Properties[PropertyAttributes]
	if text == "" {
		return Attributes{}
	}
	w, ok := parsePlain(text)
	if !ok {
		w = attributesWire{}
		ok = json.Unmarshal([]byte(text), &w) == nil && !i.newerProperty(PropertyAttributes)
	}
	if !ok || w.ID != i.ID {
		return Attributes{}
	}
	a := Attributes{Mode: w.Mode, UID: w.UID, GID: w.GID}
	if a.Mode != nil && *a.Mode&^0o777 != 0 {
		a.Mode = nil
	}
	a.ModTime = parseTime(w.ModTime)
	a.Created = parseTime(w.Created)
	return a
}

func parseTime(text *string) *time.Time {
	if text == nil {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}

func formatTime(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := t.UTC().Format(time.RFC3339Nano)
	return &text
}

// IsZero reports whether nothing was set.
func (a Attributes) IsZero() bool { return a == Attributes{} }

// Encode returns the property's text for the image with the given id.
func (a Attributes) Encode(id string) string {
	if plainText(id) {
		var space [192]byte // with a UUID and everything set
		return string(a.appendPlain(space[:0], id))
	}
	text, err := json.Marshal(attributesWire{
		ID: id, ModTime: formatTime(a.ModTime), Mode: a.Mode, UID: a.UID, GID: a.GID, Created: formatTime(a.Created),
	})
	if err != nil { // strings, numbers and nil pointers always marshal
		panic(err)
	}
	return string(text)
}

// SortTime is the time that orders images of one name: the inherited created_at
// where there is one, so that what was written through a mount stays at its
// entry, else the image's own.
func (i Image) SortTime() time.Time {
	if c := i.Attributes().Created; c != nil {
		return *c
	}
	return i.CreatedAt
}

// SuccessorTime is the time of creation that a successor of the image inherits. It is a
// nanosecond earlier than the image's own, and so comes first while both are there: it
// may be long until the service lets the image go.
func (i Image) SuccessorTime() time.Time { return i.SortTime().Add(-time.Nanosecond) }
