package fs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/imagefs/imagefs/image"
)

const (
	// xattrCreate and xattrReplace are the flags of setxattr(2), from linux/xattr.h.
	xattrCreate  = 1
	xattrReplace = 2

	// propertyMax is the longest property, in bytes, that every database of the service
	// holds: MariaDB's TEXT.
	propertyMax = 65535
)

// Setxattr changes one field or property of the image's record: one update, which
// takes attributes along that wait. Of a draft it may wait for the commit.
func (n *node) Setxattr(ctx context.Context, name string, data []byte, flags uint32) syscall.Errno {
	value := string(data)
	return n.changeXattr(ctx, "set xattr", name, flags, &value)
}

// Removexattr removes a property, and gives a field the value that a new image has.
func (n *node) Removexattr(ctx context.Context, name string) syscall.Errno {
	return n.changeXattr(ctx, "remove xattr", name, xattrReplace, nil)
}

// changeXattr sets the attribute, or removes it where value is nil.
func (n *node) changeXattr(ctx context.Context, op, name string, flags uint32, value *string) syscall.Errno {
	if !strings.HasPrefix(name, xattrPrefix) {
		return syscall.EOPNOTSUPP // programs try ACLs and labels on every file
	}
	c, cctx := n.fs.change(ctx)
	defer c.end()
	err := n.setXattr(cctx, op, name, flags, value)
	if errors.Is(err, errNoXattr) {
		return syscall.ENODATA
	}
	return n.failOpen(op, err, "xattr", name)
}

func (n *node) setXattr(ctx context.Context, op, name string, flags uint32, value *string) error {
	refuse := func(k image.Kind, why string) error {
		return &image.Error{Op: op, Image: n.id(), Kind: k, Detail: why}
	}
	if n.fixed {
		return refuse(image.NotPermitted, "files under .by-id are only to be read")
	}
	change, kind, err := changeOf(name, value, n.fs.fresh())
	if err != nil {
		return refuse(kind, err.Error())
	}
	if err := n.take(ctx); err != nil { // a commit takes over what the record says when it begins
		return err
	}
	defer n.give()
	shown, ok := n.willBe()
	if !ok {
		return refuse(image.Stale, "its draft was not committed")
	}
	_, missing := xattr(shown, name)
	switch {
	case flags&xattrCreate != 0 && missing == nil:
		return refuse(image.Exists, "")
	case flags&xattrReplace != 0 && missing != nil:
		return missing
	}
	chooses := !change.Property && formats(change.Field)
	// A format is removed by forgetting that it was set, which no record shows.
	equal := image.Settings{}.With(change).Shows(shown) && (value != nil || !chooses)
	img, d := n.now()
	if img.ID != "" {
		if err := n.fs.policy.change(op, img); err != nil {
			return err
		}
	}
	if chooses {
		if fixed := d.formatFixed(img, value == nil); fixed != nil {
			if equal {
				return nil
			}
			return fixed
		}
	}
	if equal && value == nil { // rsync -X takes away what the source does not have
		return nil
	}
	if d != nil {
		d.mu.Lock()
		keeps := d.keepsLocked(img, change, equal)
		d.mu.Unlock()
		if keeps {
			return d.setOn(change)
		}
	}
	if err := n.update(ctx, img, []image.Change{change}); err != nil || d == nil {
		return err
	}
	return d.setUnder(change)
}

// update changes the image's record, in the node's turn, with attributes that wait.
func (n *node) update(ctx context.Context, img image.Image, changes []image.Change) error {
	waits, with := n.fs.waiting(img)
	fresh, err := n.fs.Catalog.Update(ctx, img.ID, append(with, changes...))
	if err != nil {
		return err
	}
	n.fs.unsent.left(img.ID, waits)
	n.refresh(fresh)
	n.attributesChanged()
	return nil
}

// changeOf is the change of the record that setting an attribute means; without a value,
// removing it. kind says what an error is.
func changeOf(name string, value *string, fresh image.Image) (c image.Change, kind image.Kind, err error) {
	if property, ok := strings.CutPrefix(name, propertyPrefix); ok {
		return changeOfProperty(property, value)
	}
	f := fields[strings.TrimPrefix(name, xattrPrefix)]
	c.Field = f.set
	switch {
	case f.set == "":
		return c, image.NotPermitted, errors.New("nobody but the service sets it")
	case value == nil && formats(f.set):
		return c, 0, nil // found by content
	case value == nil:
		usual := f.get(fresh)
		value = &usual
	}
	if c.Value, err = f.read(*value); err != nil {
		return c, image.Rejected, fmt.Errorf("%.40q: %w", *value, err)
	}
	return c, 0, nil
}

func changeOfProperty(name string, value *string) (c image.Change, kind image.Kind, err error) {
	c = image.Change{Field: name, Property: true}
	switch {
	case image.Reserved(name):
		return c, image.NotPermitted, errors.New("the service, or imagefs, keeps a field or property of that name for itself")
	case value == nil:
		return c, 0, nil
	case !utf8.ValidString(name) || !utf8.ValidString(*value) || strings.ContainsRune(*value, 0):
		return c, image.Rejected, errors.New("the service holds text in UTF-8 without NUL")
	case len(*value) > propertyMax:
		return c, image.Rejected, fmt.Errorf("the service holds at most %d bytes", propertyMax)
	}
	c.Value = *value
	return c, 0, nil
}
