package image

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Custom properties that say something about an image's bytes or its id, in the
// service's words.
const (
	propEncryptionKey = "cinder_encryption_key_id" // deleting the image destroys the key
	prefixSignature   = "img_signature"            // a signature of the bytes
	prefixService     = "os_glance_"               // kept by the service itself
	prefixClientMarks = "owner_specified."         // kept by openstackclient
)

// serviceFields are names that belong to the record itself. A service that shows
// them as custom properties would refuse them in a create request.
var serviceFields = []string{
	"stores", "direct_url", "locations", "self", "file", "schema", "status", "id", "owner", "size", "virtual_size",
	"checksum", "os_hash_algo", "os_hash_value", "os_hidden", "created_at", "updated_at", "deleted_at", "deleted",
	"image_id", "name", "visibility", "protected", "tags", "min_disk", "min_ram", "disk_format", "container_format",
}

// Replaceable says whether another image may take the place of this one: nil, or
// a refusal that names op and comes before anything is changed.
func (i Image) Replaceable(op string) error {
	refuse := func(k Kind, why string) error { return &Error{Op: op, Image: i.ID, Kind: k, Detail: why} }
	switch {
	case i.Protected:
		return refuse(Protected, "the image is protected: clear its protected flag first")
	case i.VolumeBacked():
		return refuse(Unsupported, "the image is a snapshot of volumes")
	}
	for name, value := range i.Properties {
		if value == "" {
			continue
		}
		if name == propEncryptionKey {
			return refuse(NotPermitted, "the image is encrypted, and deleting it would destroy its key")
		}
		if strings.HasPrefix(name, prefixSignature) {
			return refuse(NotPermitted, "the image is signed, and the signature would not match other bytes")
		}
	}
	return nil
}

// StaysHidden reports whether the successor of an image is hidden as that is: not
// because it lies in the trash, nor because it is being made.
func (i Image) StaysHidden() bool {
	_, trashed := i.Trashed()
	return i.Hidden && !trashed && i.Properties[PropertyDraft] == ""
}

// CarriedProperties returns the custom properties that the successor of an image
// takes over: all but what the service, a client or imagefs keeps about its bytes
// or its id.
func (i Image) CarriedProperties() map[string]string {
	kept := make(map[string]string, len(i.Properties))
	for name, value := range i.Properties {
		switch {
		case Reserved(name), strings.HasPrefix(name, prefixSignature), name == propEncryptionKey,
			strings.HasPrefix(name, prefixClientMarks) && isHashName(name[strings.LastIndexByte(name, '.')+1:]):
		default:
			kept[name] = value
		}
	}
	return kept
}

// Reserved reports the name of a custom property that nobody can give an image: that of
// a field of the record, or what the service or imagefs keeps for itself.
func Reserved(property string) bool {
	return strings.HasPrefix(property, prefixService) || strings.HasPrefix(property, prefixOurs) || slices.Contains(serviceFields, property)
}

// isHashName reports whether the last part of an owner_specified.* property
// names a hash of the bytes.
func isHashName(word string) bool { return NewHash(word) != nil }

const (
	maxNameRunes = 255 // characters that the service holds in a name
	shortID      = 8   // hex digits of an id that tell images of one name apart
	replacedMark = "~replaced-"
)

// AsideName is what a replaced image is called that the service refuses to
// delete: its own name, cut where that would be too long, and what tells it from
// its successor.
func (i Image) AsideName() string {
	mark, name := replacedMark+i.ID[:min(shortID, len(i.ID))], i.Name
	for utf8.RuneCountInString(name)+len(mark) > maxNameRunes {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + mark
}
