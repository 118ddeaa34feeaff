package image

import (
	"encoding/json"
	"time"
)

// Trash says why an image lies hidden in the trash instead of being deleted. It is
// the one custom property PropertyTrash.
type Trash struct {
	At    time.Time // when it was removed or replaced
	Until time.Time // when it may be deleted
	By    string    // id of the image that took its place; "" when it was removed
}

// propertyVersion is that of PropertyTrash and PropertyAttributes as this program knows
// them. It is written only where it is another: a text without one has the first.
const propertyVersion = 1

// versionWire is what every version of those properties has: the id of the image that it
// was written for, and the version.
type versionWire struct {
	ID      string `json:"id"`
	Version int    `json:"v"`
}

// newerProperty reports whether a later version of this program has written the property
// for this image: this one cannot know what it says.
func (i Image) newerProperty(property string) bool {
	var w versionWire
	return json.Unmarshal([]byte(i.Properties[property]), &w) == nil && w.ID == i.ID && w.Version > propertyVersion
}

// trashWire is the property's text: JSON, short keys, and the id of the image that
// it was written for.
type trashWire struct {
	ID    string `json:"id"`
	At    string `json:"at"`
	Until string `json:"until"`
	By    string `json:"by,omitempty"`
}

// Trashed returns why the image lies in the trash, and whether it does: it is
// hidden, its property was written for it (Nova copies the properties of a base
// image to its snapshots) and can be read, and it is not an image that is being
// made. An image that somebody has unhidden lies there no longer.
func (i Image) Trashed() (Trash, bool) {
	text := i.Properties[PropertyTrash]
	if text == "" || !i.Hidden || i.Properties[PropertyDraft] != "" {
		return Trash{}, false
	}
	var w trashWire
	if json.Unmarshal([]byte(text), &w) != nil || w.ID != i.ID || i.newerProperty(PropertyTrash) {
		return Trash{}, false
	}
	at, until := parseTime(&w.At), parseTime(&w.Until)
	if at == nil || until == nil || until.Before(*at) {
		return Trash{}, false
	}
	return Trash{At: *at, Until: *until, By: w.By}, true
}

// TrashedByNewer reports whether a later version of this program has put the image into
// the trash: when it may be deleted only that knows.
func (i Image) TrashedByNewer() bool { return i.Hidden && i.newerProperty(PropertyTrash) }

// Encode returns the property's text for the image with the given id. Times have
// whole seconds there.
func (t Trash) Encode(id string) string {
	text, err := json.Marshal(trashWire{ID: id, At: t.At.UTC().Format(time.RFC3339), Until: t.Until.UTC().Format(time.RFC3339), By: t.By})
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(text)
}

// Why says in words what brought the image there.
func (t Trash) Why() string {
	if t.By == "" {
		return "removed"
	}
	return "replaced by " + t.By
}
