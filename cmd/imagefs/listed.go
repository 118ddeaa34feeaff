package main

import (
	"time"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/image"
)

// listed is what one entry stands for, as ls --json shows it. Its keys are a promise to
// scripts, in the words of the Image API; null is what is not known.
type listed struct {
	Entry       string   `json:"entry"`
	ID          *string  `json:"id"`
	Name        *string  `json:"name"`
	Status      *string  `json:"status"`
	Visibility  *string  `json:"visibility"`
	DiskFormat  *string  `json:"disk_format"`
	Size        *int64   `json:"size"`         // bytes
	VirtualSize *int64   `json:"virtual_size"` // bytes
	Owner       *string  `json:"owner"`
	Tags        []string `json:"tags"`
	Cached      *int64   `json:"cached"` // bytes that the mount's cache holds
	Draft       *string  `json:"draft"`  // id of what is being written there
}

// described is all that is known of one image, as info --json shows it.
type described struct {
	listed
	ContainerFormat *string           `json:"container_format"`
	MinDisk         *int64            `json:"min_disk"` // GiB
	MinRAM          *int64            `json:"min_ram"`  // MiB
	Protected       *bool             `json:"protected"`
	Hidden          *bool             `json:"os_hidden"`
	Checksum        *string           `json:"checksum"`
	HashAlgo        *string           `json:"os_hash_algo"`
	HashValue       *string           `json:"os_hash_value"`
	Stores          []string          `json:"stores"`
	CreatedAt       *time.Time        `json:"created_at"`
	UpdatedAt       *time.Time        `json:"updated_at"`
	Properties      map[string]string `json:"properties"`
}

// cachedBytes says how much of an image is cached; ok is false where there is no cache.
type cachedBytes func(image.Image) (n int64, ok bool)

// uncached is for those who have no cache.
func uncached(image.Image) (int64, bool) { return 0, false }

// listedOf says what an entry of a catalog stands for.
func listedOf(e catalog.Entry, cached cachedBytes) listed {
	l := listedImage(e.Name, e.Image.Unpack(), cached)
	if e.Draft != nil {
		l.Draft = known(e.Draft.ID())
	}
	return l
}

func listedImage(entry string, img image.Image, cached cachedBytes) listed {
	l := listed{Entry: entry}
	if img.ID == "" {
		return l
	}
	l.ID, l.Name, l.Owner = &img.ID, known(img.Name), known(img.Owner)
	l.Status, l.Visibility = known(string(img.Status)), known(string(img.Visibility))
	l.DiskFormat, l.VirtualSize, l.Tags = known(img.DiskFormat), known(img.VirtualSize), orNone(img.Tags)
	switch img.Status {
	case image.StatusQueued, image.StatusSaving, image.StatusUploading, image.StatusImporting:
		l.Size = known(img.Size)
	default:
		l.Size = &img.Size
	}
	if n, ok := cached(img); ok {
		l.Cached = &n
	}
	return l
}

// describedImage is listedImage with all details.
func describedImage(l listed, img image.Image) described {
	d := described{listed: l}
	if img.ID == "" {
		return d
	}
	d.ContainerFormat, d.MinDisk, d.MinRAM = known(img.ContainerFormat), &img.MinDisk, &img.MinRAM
	d.Protected, d.Hidden, d.Stores = &img.Protected, &img.Hidden, orNone(img.Stores)
	d.Checksum, d.HashAlgo, d.HashValue = known(img.Checksum), known(img.HashAlgo), known(img.HashValue)
	d.CreatedAt, d.UpdatedAt = known(img.CreatedAt), known(img.UpdatedAt)
	d.Properties = map[string]string{}
	for name, value := range img.Properties {
		if !image.Internal(name) {
			d.Properties[name] = value
		}
	}
	return d
}

// known is nil for the zero value, which stands for what the service does not tell.
func known[T comparable](v T) *T {
	var unknown T
	if v == unknown {
		return nil
	}
	return &v
}

// orNone is an empty list for none, which JSON would write as null.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
