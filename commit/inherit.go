package commit

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

// Custom properties with a meaning to a commit, in the service's words.
const (
	propEncryptionKey   = "cinder_encryption_key_id" // deleting the image destroys the key
	prefixSignature     = "img_signature"            // a signature of the old bytes
	prefixService       = "os_glance_"               // kept by the service itself
	prefixClientMarks   = "owner_specified."         // kept by openstackclient
	prefixOurs          = "imagefs_"                 // bound to one image's id
	maxNameRunes        = 255                        // characters the service holds in a name
	shortID             = 8                          // hex digits of an id that tell images of one name apart
	replacedMark        = "~replaced-"
	algoMD5, algoSHA512 = "md5", "sha512"
)

// serviceFields are names that belong to the record itself. A service that shows
// them as custom properties would refuse them in a create request.
var serviceFields = []string{
	"stores", "direct_url", "locations", "self", "file", "schema", "status", "id", "owner", "size", "virtual_size",
	"checksum", "os_hash_algo", "os_hash_value", "os_hidden", "created_at", "updated_at", "deleted_at", "deleted",
	"image_id", "name", "visibility", "protected", "tags", "min_disk", "min_ram", "disk_format", "container_format",
}

// replaceable says whether a commit may put another image in the place of old:
// nil, or a refusal that comes before any byte is sent.
func replaceable(old image.Image) error {
	refuse := func(k image.Kind, why string) error {
		return &image.Error{Op: "replace", Image: old.ID, Kind: k, Detail: why}
	}
	switch {
	case old.Protected:
		return refuse(image.Protected, "the image is protected")
	case old.VolumeBacked():
		return refuse(image.Unsupported, "the image is a snapshot of volumes")
	}
	for name, value := range old.Properties {
		if value == "" {
			continue
		}
		if name == propEncryptionKey {
			return refuse(image.NotPermitted, "the image is encrypted, and deleting it would destroy its key")
		}
		if strings.HasPrefix(name, prefixSignature) {
			return refuse(image.NotPermitted, "the image is signed, and the signature would not match other bytes")
		}
	}
	return nil
}

// carriedProperties returns the custom properties that the successor of an image
// takes over: all but what the service, a client or imagefs keeps about the old
// bytes or the old id.
func carriedProperties(old map[string]string) map[string]string {
	kept := make(map[string]string, len(old))
	for name, value := range old {
		switch {
		case strings.HasPrefix(name, prefixService), strings.HasPrefix(name, prefixOurs),
			strings.HasPrefix(name, prefixSignature), name == propEncryptionKey,
			strings.HasPrefix(name, prefixClientMarks) && isHashName(name[strings.LastIndexByte(name, '.')+1:]),
			slices.Contains(serviceFields, name):
		default:
			kept[name] = value
		}
	}
	return kept
}

// isHashName reports whether the last part of an owner_specified.* property
// names a hash of the bytes.
func isHashName(word string) bool { return image.NewHash(word) != nil }

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
		Properties: carriedProperties(old.Properties),
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
		created := old.SortTime()
		set.Created = &created
	}
	return set
}

// setAside is the name of a replaced image that the service refuses to delete:
// its own, cut where it would be too long, and what tells it from its successor.
func setAside(name, id string) string {
	mark := replacedMark + id[:min(shortID, len(id))]
	for utf8.RuneCountInString(name)+len(mark) > maxNameRunes {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + mark
}
