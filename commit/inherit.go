package commit

import (
	"maps"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// successor returns the create request of an image that takes the place of old.
// The name is the draft's: its entry may have been renamed. The successor is
// never protected, for a protected image is not replaced.
func successor(old image.Image, name string) image.New {
	return image.New{
		Name:       name,
		Visibility: old.Visibility,
		MinDisk:    old.MinDisk,
		MinRAM:     old.MinRAM,
		Tags:       slices.Clone(old.Tags),
		Properties: old.CarriedProperties(),
	}
}

// fresh returns the create request of an image that replaces none.
func (d Defaults) fresh(name string) image.New {
	n := image.New{Name: name, Visibility: d.Visibility, Tags: slices.Clone(d.Tags), Properties: map[string]string{}}
	maps.Copy(n.Properties, d.Properties)
	return n
}

// attributesFor returns what an image keeps of the attributes of the one it
// replaces, or of its own while it was empty: a file that is written again keeps
// its mode and owner, and its place among images of one name, but not its mtime.
// What was set on the draft wins.
func attributesFor(set image.Attributes, old, into *image.Image) image.Attributes {
	var kept image.Attributes
	switch {
	case into != nil:
		kept = into.Attributes()
		set.Created = kept.Created
	case old != nil:
		kept = old.Attributes()
	}
	if set.Mode == nil {
		set.Mode = kept.Mode
	}
	if set.UID == nil {
		set.UID = kept.UID
	}
	if set.GID == nil {
		set.GID = kept.GID
	}
	if old != nil && !old.SortTime().IsZero() {
		created := old.SuccessorTime()
		set.Created = &created
	}
	return set
}
