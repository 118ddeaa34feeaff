package imageserver

import (
	"maps"
	"slices"
	"time"

	"github.com/imagefs/imagefs/image"
)

// record is one image as it is kept on disk. It is never changed once it is in
// the index: clone it, change the clone, save and swap.
type record struct {
	ID              string             `json:"id"`
	Name            *string            `json:"name"`
	Status          image.Status       `json:"status"`
	Visibility      image.Visibility   `json:"visibility"`
	Owner           *string            `json:"owner"`
	DiskFormat      *string            `json:"disk_format"`
	ContainerFormat *string            `json:"container_format"`
	Size            *int64             `json:"size"`
	VirtualSize     *int64             `json:"virtual_size"`
	Checksum        *string            `json:"checksum"`
	HashAlgo        *string            `json:"os_hash_algo"`
	HashValue       *string            `json:"os_hash_value"`
	MinDisk         int64              `json:"min_disk"` // GiB
	MinRAM          int64              `json:"min_ram"`  // MiB
	Protected       bool               `json:"protected"`
	Hidden          bool               `json:"os_hidden"`
	Tags            []string           `json:"tags"`       // sorted, no two equal
	Properties      map[string]*string `json:"properties"` // nil values: kernel_id and ramdisk_id may be null
	CreatedAt       time.Time          `json:"created_at"`
	UpdatedAt       time.Time          `json:"updated_at"`
	Members         []member           `json:"members,omitempty"`
}

// member is one project that an image is shared with.
type member struct {
	Project   string    `json:"member_id"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (r *record) clone() *record {
	c := *r
	c.Tags = slices.Clone(r.Tags)
	c.Properties = maps.Clone(r.Properties)
	c.Members = slices.Clone(r.Members)
	return &c
}

// hasData reports whether bytes of the image are in the store.
func (r *record) hasData() bool {
	return r.Status == image.StatusActive || r.Status == image.StatusDeactivated
}

// empty takes everything from the record that a lost or refused upload set.
func (r *record) empty() {
	r.Status = image.StatusQueued
	r.Size, r.VirtualSize, r.Checksum, r.HashAlgo, r.HashValue = nil, nil, nil, nil, nil
}

func (r *record) ownedBy(c caller) bool { return r.Owner != nil && *r.Owner == c.project }

// sharedWith returns the caller's membership, nil when there is none.
func (r *record) sharedWith(project string) *member {
	for i := range r.Members {
		if r.Members[i].Project == project {
			return &r.Members[i]
		}
	}
	return nil
}

// visibleTo reports whether a caller who knows the id may see the image.
func (r *record) visibleTo(c caller) bool {
	return c.admin || r.ownedBy(c) ||
		r.Visibility == image.VisibilityPublic || r.Visibility == image.VisibilityCommunity ||
		r.Visibility == image.VisibilityShared && r.sharedWith(c.project) != nil
}

// mutableBy reports whether a caller may change the image.
func (r *record) mutableBy(c caller) bool { return c.admin || r.ownedBy(c) }

// isoTime is how Glance writes a time.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// view is the image as the API shows it. Keys are sorted when it is written.
func (r *record) view() map[string]any {
	v := make(map[string]any, len(r.Properties)+24)
	for k, value := range r.Properties {
		v[k] = value
	}
	tags := r.Tags
	if tags == nil {
		tags = []string{}
	}
	href := "/v2/images/" + r.ID
	v["name"], v["disk_format"], v["container_format"] = r.Name, r.DiskFormat, r.ContainerFormat
	v["visibility"], v["size"], v["virtual_size"], v["status"] = r.Visibility, r.Size, r.VirtualSize, r.Status
	v["checksum"], v["protected"], v["min_ram"], v["min_disk"] = r.Checksum, r.Protected, r.MinRAM, r.MinDisk
	v["owner"], v["os_hidden"], v["os_hash_algo"], v["os_hash_value"] = r.Owner, r.Hidden, r.HashAlgo, r.HashValue
	v["id"], v["created_at"], v["updated_at"] = r.ID, isoTime(r.CreatedAt), isoTime(r.UpdatedAt)
	v["tags"], v["self"], v["file"], v["schema"] = tags, href, href+"/file", "/v2/schemas/image"
	return v
}
