package image

import (
	"maps"
	"slices"
	"time"
)

// Status is the life-cycle state of an image, in the words of the Image API v2.
type Status string

// The statuses that the Image API v2 documents.
const (
	StatusQueued        Status = "queued"
	StatusSaving        Status = "saving"
	StatusUploading     Status = "uploading"
	StatusImporting     Status = "importing"
	StatusActive        Status = "active"
	StatusDeactivated   Status = "deactivated"
	StatusKilled        Status = "killed"
	StatusDeleted       Status = "deleted"
	StatusPendingDelete Status = "pending_delete"
)

// Visibility says who may see an image, in the words of the Image API v2.
type Visibility string

// The visibilities of the Image API v2.
const (
	VisibilityPublic    Visibility = "public"
	VisibilityPrivate   Visibility = "private"
	VisibilityShared    Visibility = "shared"
	VisibilityCommunity Visibility = "community"
)

// Image is one record of the Image service. It is a value: whoever holds one
// may keep it, and nobody changes its slices or its map after it was made
// (Clone first).
type Image struct {
	ID              string // UUID in lower case
	Name            string // "" when the service has null or an empty name
	Status          Status
	Visibility      Visibility
	Owner           string // project id; "" when the service does not tell
	DiskFormat      string // "" when not chosen yet
	ContainerFormat string // "" when not chosen yet
	Size            int64  // bytes; 0 while there is no data
	VirtualSize     int64  // bytes; 0 when not known
	Checksum        string // md5 in hex; "" when not known
	HashAlgo        string // os_hash_algo, for example "sha512"
	HashValue       string // os_hash_value in hex
	MinDisk         int64  // GiB
	MinRAM          int64  // MiB
	Protected       bool
	Hidden          bool
	Tags            []string
	Stores          []string
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Properties      map[string]string // custom properties, also os_glance_*
}

// Clone returns a copy that shares no slice and no map.
func (i Image) Clone() Image {
	i.Tags = slices.Clone(i.Tags)
	i.Stores = slices.Clone(i.Stores)
	i.Properties = maps.Clone(i.Properties)
	return i
}

// propVolumes is the custom property in which Nova describes the volumes of a snapshot.
const propVolumes = "block_device_mapping"

// VolumeBacked reports a snapshot whose bytes live in Cinder volumes: Nova makes
// it active with size 0 and describes the volumes in a property.
func (i Image) VolumeBacked() bool {
	return i.Size == 0 && i.Properties[propVolumes] != ""
}

// HasData reports whether the service can hand out bytes of this image, as far
// as the record tells.
func (i Image) HasData() bool {
	return i.Status == StatusActive && !i.VolumeBacked()
}

// Names of the custom properties that imagefs keeps on images. All are bound to
// an image's id by their value, because Nova copies the properties of a base
// image to every snapshot of a server made from it.
const (
	prefixOurs = "imagefs_" // of each of them
	// PropertyDraft marks a record whose upload is under way: hidden, and
	// recognised after a crash by the journal that it names.
	PropertyDraft = "imagefs_draft"
	// PropertyAttributes carries mtime, mode, uid, gid and the inherited
	// created_at of one image.
	PropertyAttributes = "imagefs_attributes"
	// PropertyTrash says when and why an image was hidden instead of being deleted.
	PropertyTrash = "imagefs_trash"
)

// Internal reports a custom property that imagefs keeps for itself: it does not
// show, and nobody sets it by hand.
func Internal(property string) bool {
	return property == PropertyDraft || property == PropertyAttributes || property == PropertyTrash
}

// New is what a create request carries. The zero value of a field leaves the
// choice to the service.
type New struct {
	ID              string // chosen by the client, so that a journal knows it before the service does
	Name            string
	DiskFormat      string
	ContainerFormat string
	Visibility      Visibility
	Protected       bool
	Hidden          bool
	MinDisk         int64 // GiB
	MinRAM          int64 // MiB
	Tags            []string
	Properties      map[string]string
}

// Change is one step of an update. Field is a record field in the service's own
// words ("name", "visibility", "os_hidden", "tags", …) or, with Property set,
// the plain (unescaped) name of a custom property.
type Change struct {
	Field    string
	Property bool
	// Value is a string, bool, int64 or []string; nil removes a property.
	Value any
}

// Member is one project that an image is shared with.
type Member struct {
	Project string
	Status  string // "pending", "accepted" or "rejected"
}
