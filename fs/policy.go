package fs

import (
	"github.com/imagefs/imagefs/image"
)

// policy decides whose images may be changed, and which may never be replaced.
type policy struct {
	readOnly bool
	project  string // ours; "" where it is unknown, and then all count as ours
	all      bool   // --write-all-projects
}

// ours reports whether an image of this owner belongs to the mount's project.
func (p policy) ours(owner string) bool {
	return p.project == "" || owner == "" || owner == p.project
}

// writable reports whether ls shows write bits for the image.
func (p policy) writable(img image.Packed) bool {
	return !img.Protected() && (p.all || p.ours(img.Owner()))
}

// change returns why the record of the image may not be changed, nil if it may.
func (p policy) change(op string, img image.Image) error {
	switch {
	case p.readOnly:
		return &image.Error{Op: op, Image: img.ID, Kind: image.ReadOnly, Detail: "the mount is read-only"}
	case !p.ours(img.Owner) && !p.all:
		return &image.Error{Op: op, Image: img.ID, Kind: image.Foreign,
			Detail: "it belongs to project " + img.Owner + "; --write-all-projects allows it"}
	}
	return nil
}

// retire returns why the image may not be deleted or replaced, nil if it may. A
// record that another project is filling is busy, also for an admin.
func (p policy) retire(op string, img image.Image) error {
	if !p.readOnly && !p.ours(img.Owner) && pending(img.Status) {
		return &image.Error{Op: op, Image: img.ID, Kind: image.Busy, Detail: "another project is still uploading it"}
	}
	if err := p.change(op, img); err != nil {
		return err
	}
	if img.Protected {
		return &image.Error{Op: op, Image: img.ID, Kind: image.Protected, Detail: "clear its protected flag first"}
	}
	return nil
}

// rewrite returns why the bytes of the image may not be replaced or edited, nil
// if they may. It knows before any byte is sent.
func (p policy) rewrite(op string, img image.Image) error {
	if err := p.retire(op, img); err != nil {
		return err
	}
	return img.Replaceable(op)
}

// pending reports a record whose bytes are still on their way.
func pending(s image.Status) bool {
	switch s {
	case image.StatusQueued, image.StatusSaving, image.StatusUploading, image.StatusImporting:
		return true
	}
	return false
}

// readable returns why the image has no bytes to be read, nil if it has. A queued
// record is an empty file.
func readable(op string, img image.Image) error {
	switch {
	case img.VolumeBacked():
		return &image.Error{Op: op, Image: img.ID, Kind: image.Unsupported,
			Detail: "a volume-backed snapshot: its bytes are in the Block Storage service"}
	case img.Status == image.StatusActive, img.Status == image.StatusQueued, img.Status == image.StatusDeactivated:
		return nil // whether a deactivated image may be read, the service says
	case pending(img.Status):
		return &image.Error{Op: op, Image: img.ID, Kind: image.NoData, Detail: "its status is " + string(img.Status)}
	}
	return &image.Error{Op: op, Image: img.ID, Kind: image.NotFound, Detail: "its status is " + string(img.Status)}
}
