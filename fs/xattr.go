package fs

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/imagefs/imagefs/image"
)

const (
	xattrPrefix    = "user.image."
	propertyPrefix = xattrPrefix + "property."

	// xattrCreate and xattrReplace are the flags of setxattr(2), from linux/xattr.h.
	xattrCreate  = 1
	xattrReplace = 2
)

// errNoXattr is an attribute that the image does not have.
var errNoXattr = errors.New("no such attribute")

// field is one attribute of every image.
type field struct {
	get func(image.Image) string
	// set is the name of the record's field and how to read a value for it; nil
	// when the attribute is the service's own.
	set func(value string) (image.Change, error)
}

// fields are the attributes below user.image., without the properties.
var fields = map[string]field{
	"id":               {get: func(i image.Image) string { return i.ID }},
	"status":           {get: func(i image.Image) string { return string(i.Status) }},
	"visibility":       {func(i image.Image) string { return string(i.Visibility) }, text("visibility")},
	"disk_format":      {get: func(i image.Image) string { return i.DiskFormat }},
	"container_format": {get: func(i image.Image) string { return i.ContainerFormat }},
	"hidden":           {func(i image.Image) string { return strconv.FormatBool(i.Hidden) }, boolean("os_hidden")},
	"virtual_size":     {get: func(i image.Image) string { return strconv.FormatInt(i.VirtualSize, 10) }},
	"stores":           {get: func(i image.Image) string { return strings.Join(i.Stores, ",") }},
	"checksum":         {get: func(i image.Image) string { return i.Checksum }},
	"os_hash_algo":     {get: func(i image.Image) string { return i.HashAlgo }},
	"os_hash_value":    {get: func(i image.Image) string { return i.HashValue }},
	"owner":            {get: func(i image.Image) string { return i.Owner }},
	"protected":        {func(i image.Image) string { return strconv.FormatBool(i.Protected) }, boolean("protected")},
	"tags":             {func(i image.Image) string { return strings.Join(i.Tags, ",") }, tags},
	"min_disk":         {func(i image.Image) string { return strconv.FormatInt(i.MinDisk, 10) }, number("min_disk")},
	"min_ram":          {func(i image.Image) string { return strconv.FormatInt(i.MinRAM, 10) }, number("min_ram")},
	"created_at":       {get: func(i image.Image) string { return i.CreatedAt.UTC().Format(time.RFC3339) }},
	"updated_at":       {get: func(i image.Image) string { return i.UpdatedAt.UTC().Format(time.RFC3339) }},
}

func text(name string) func(string) (image.Change, error) {
	return func(v string) (image.Change, error) { return image.Change{Field: name, Value: v}, nil }
}

func boolean(name string) func(string) (image.Change, error) {
	return func(v string) (image.Change, error) {
		b, err := strconv.ParseBool(v)
		return image.Change{Field: name, Value: b}, err
	}
}

func number(name string) func(string) (image.Change, error) {
	return func(v string) (image.Change, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		return image.Change{Field: name, Value: n}, err
	}
}

func tags(v string) (image.Change, error) {
	list := []string{}
	for tag := range strings.SplitSeq(v, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			list = append(list, tag)
		}
	}
	return image.Change{Field: "tags", Value: list}, nil
}

// xattr returns the value of an attribute of the image.
func xattr(img image.Image, name string) (string, error) {
	if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
		if v, ok := img.Properties[property]; ok && !image.Internal(property) {
			return v, nil
		}
		return "", errNoXattr
	}
	short, ok := strings.CutPrefix(name, xattrPrefix)
	f, known := fields[short]
	if !ok || !known || img.ID == "" {
		return "", errNoXattr
	}
	return f.get(img), nil
}

// Getxattr answers from memory, also for the attributes that ls -l asks of every
// entry and that no image has.
func (n *node) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	img, _ := n.now()
	v, err := xattr(img, name)
	if err != nil {
		return 0, syscall.ENODATA
	}
	return fill(dest, v)
}

// Listxattr names the attributes that can be set and are not what a new image has
// anyway: cp --preserve=xattr sets what is listed elsewhere, and rsync -X removes
// what is listed here and not there. The others answer when asked by name.
func (n *node) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	img, d := n.now()
	if n.fixed || d != nil || img.ID == "" || n.fs.policy.change("list attributes", img) != nil {
		return 0, 0
	}
	fresh := n.fs.fresh()
	var b strings.Builder
	for short, f := range fields {
		if f.set != nil && f.get(img) != f.get(fresh) {
			b.WriteString(xattrPrefix + short + "\x00")
		}
	}
	for property, value := range img.Properties {
		usual, has := fresh.Properties[property]
		if !image.Internal(property) && !strings.HasPrefix(property, "os_glance_") && !(has && usual == value) {
			b.WriteString(propertyPrefix + property + "\x00")
		}
	}
	return fill(dest, b.String())
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

// Setxattr changes one field or property of the image's record: one update, which
// takes attributes along that wait.
func (n *node) Setxattr(ctx context.Context, name string, data []byte, flags uint32) syscall.Errno {
	return n.changeXattr(ctx, name, flags, func(string) (image.Change, error) {
		if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
			return image.Change{Field: property, Property: true, Value: string(data)}, nil
		}
		return fields[strings.TrimPrefix(name, xattrPrefix)].set(string(data))
	})
}

// Removexattr removes a property; a field of the record cannot be removed.
func (n *node) Removexattr(ctx context.Context, name string) syscall.Errno {
	property, ok := strings.CutPrefix(name, propertyPrefix)
	switch {
	case !strings.HasPrefix(name, xattrPrefix):
		return syscall.EOPNOTSUPP
	case !ok:
		return syscall.EPERM
	}
	return n.changeXattr(ctx, name, xattrReplace, func(string) (image.Change, error) {
		return image.Change{Field: property, Property: true}, nil
	})
}

func (n *node) changeXattr(ctx context.Context, name string, flags uint32, change func(string) (image.Change, error)) syscall.Errno {
	short, ours := strings.CutPrefix(name, xattrPrefix)
	property, isProperty := strings.CutPrefix(name, propertyPrefix)
	switch {
	case !ours:
		return syscall.EOPNOTSUPP
	case n.fixed, isProperty && image.Internal(property), !isProperty && fields[short].set == nil:
		return syscall.EPERM
	}
	c, cctx := n.fs.change(ctx)
	defer c.end()
	if err := n.take(cctx); err != nil { // a commit takes over what the record says when it begins
		return errnoOf(n.fs.fail("set xattr", err, "xattr", name))
	}
	defer n.give()
	img, d := n.now()
	if img.ID == "" {
		return syscall.EOPNOTSUPP // there is no record yet
	}
	if d != nil {
		d.interrupt()
	}
	_, missing := xattr(img, name)
	switch {
	case flags&xattrCreate != 0 && missing == nil:
		return syscall.EEXIST
	case flags&xattrReplace != 0 && missing != nil:
		return syscall.ENODATA
	}
	want, err := change(short)
	if err != nil {
		return syscall.EINVAL
	}
	if err := n.fs.policy.change("set "+name, img); err != nil {
		return errnoOf(n.fs.fail("set xattr", err))
	}
	waits, with := n.fs.waiting(img)
	fresh, err := n.fs.Catalog.Update(cctx, img.ID, append(with, want))
	if err != nil {
		return openErrno(n.fs.fail("set xattr", err, "xattr", name))
	}
	n.fs.unsent.left(img.ID, waits)
	n.refresh(fresh)
	n.attributesChanged()
	return 0
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
