package fs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/imagefs/imagefs/image"
)

const (
	userPrefix     = "user."
	xattrPrefix    = userPrefix + "image."
	propertyPrefix = xattrPrefix + "property."

	// What the kernel passes, in bytes, from linux/limits.h. A name or a value beyond it
	// in a list would make cp give up the file.
	xattrNameMax  = 255
	xattrValueMax = 64 << 10
	xattrListMax  = 64 << 10
)

// errNoXattr is an attribute that the image does not have.
var errNoXattr = errors.New("no such attribute")

// xattr returns the value of an attribute of the image. One that is still to be made
// has only what can be set of it.
func xattr(img image.Image, name string) (string, error) {
	if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
		if v, ok := img.Properties[property]; ok && !image.Internal(property) {
			return v, nil
		}
		return "", errNoXattr
	}
	short, ok := strings.CutPrefix(name, xattrPrefix)
	f, known := fields[short]
	if !ok || !known {
		return "", errNoXattr
	}
	v := f.get(img)
	if img.ID == "" && (f.set == "" || v == "" && formats(f.set)) {
		return "", errNoXattr
	}
	return v, nil
}

// formats reports a field that says what the bytes are.
func formats(field string) bool { return field == fieldDiskFormat || field == fieldContainerFormat }

// Getxattr answers from memory. ls -l asks every file for a security label and an access
// control list: told that the filesystem has no such thing, and not that this file has
// none, it asks once.
func (n *node) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	switch {
	case !strings.HasPrefix(name, userPrefix):
		return 0, syscall.EOPNOTSUPP
	case !strings.HasPrefix(name, xattrPrefix):
		return 0, syscall.ENODATA
	}
	img, ok := n.willBe()
	if !ok {
		return 0, syscall.ENODATA
	}
	v, err := xattr(img, name)
	if err != nil {
		return 0, syscall.ENODATA
	}
	return fill(dest, v)
}

// Listxattr names what a copy of the file is to have: what can be set of an image, or of
// a new one. The others answer when asked by name.
func (n *node) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	img, ok := n.willBe()
	if !ok {
		return 0, 0
	}
	return fill(dest, listed(img, n.fs.policy.ours(img.Owner) || n.fs.policy.all))
}

// listed is the list of attributes. Who may see the image of another project, and who
// may delete it, is that project's affair, and says nothing about a copy. Properties
// that are bound to the image or its bytes are not for a copy either.
func listed(img image.Image, ours bool) string {
	var names []string
	for short, f := range fields {
		switch {
		case f.set == "", !ours && (f.set == fieldVisibility || f.set == fieldProtected || f.set == fieldHidden):
		case formats(f.set) && !tellsFormat(img, f):
		default:
			names = append(names, xattrPrefix+short)
		}
	}
	slices.Sort(names) // before the properties: should those not fit, these do
	for _, property := range slices.Sorted(maps.Keys(img.CarriedProperties())) {
		names = append(names, propertyPrefix+property)
	}
	var b strings.Builder
	for _, name := range names {
		v, _ := xattr(img, name) // it has each
		unfit := len(name) > xattrNameMax || len(v) > xattrValueMax || strings.ContainsRune(name, 0)
		if !unfit && b.Len()+len(name)+1 <= xattrListMax {
			b.WriteString(name + "\x00")
		}
	}
	return b.String()
}

// undetectable are disk formats that a copy's content does not tell, as that of a raw
// disk does not.
var undetectable = []string{"ami", "ari", "aki", "ploop"}

// tellsFormat reports whether a copy has to be told the format: its bytes alone would
// give it another one. Of a file that is still to be made, somebody has told it.
func tellsFormat(img image.Image, f field) bool {
	switch {
	case f.get(img) == "":
		return false
	case img.ID == "":
		return true
	}
	return slices.Contains(undetectable, img.DiskFormat) || img.ContainerFormat != "" && img.ContainerFormat != "bare"
}

// fresh is the record of a new image. Where nobody chooses, the service makes it
// shared.
func (f *FS) fresh() image.Image {
	n := f.opts.Fresh
	return image.Image{
		Visibility: cmp.Or(n.Visibility, image.VisibilityShared), Tags: n.Tags, Properties: n.Properties,
	}
}

// fill copies a value as getxattr(2) wants it: a length query has no room.
func fill(dest []byte, v string) (uint32, syscall.Errno) {
	if len(dest) < len(v) {
		return uint32(len(v)), syscall.ERANGE
	}
	return uint32(copy(dest, v)), 0
}

// The directories are not images: they have no attributes, and get none. cp -a, which
// tries to give them ACLs, takes only this for an answer.

// Setxattr refuses.
func (r *rootNode) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// Removexattr refuses.
func (r *rootNode) Removexattr(context.Context, string) syscall.Errno { return syscall.EOPNOTSUPP }

// Setxattr refuses.
func (b *byIDNode) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// Removexattr refuses.
func (b *byIDNode) Removexattr(context.Context, string) syscall.Errno { return syscall.EOPNOTSUPP }
