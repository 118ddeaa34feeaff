package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/fault"
)

// creates makes a name that is taken: there must not be two of it.
func creates(ctx context.Context, w *world) (*attempt, error) {
	name, data := w.name("create"), noise(1000)
	_, err := w.upload(ctx, image.New{Name: name}, data)
	create := func() error {
		f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		switch {
		case errors.Is(err, os.ErrExist):
			return nil
		case err != nil:
			return err
		}
		return errors.Join(errors.New("a name that is taken was made"), f.Close())
	}
	return &attempt{about: name, do: create, again: func(error) error {
		return errors.Join(create(), w.holds(ctx, name, data))
	}}, err
}

// renames gives an image a name that nobody has.
func renames(ctx context.Context, w *world) (*attempt, error) {
	name, data := w.name("rename"), noise(1000)
	to := name + ".new" // so that the log's lines of both have name
	if _, err := w.upload(ctx, image.New{Name: name}, data); err != nil {
		return nil, err
	}
	_, err := os.Lstat(w.path(name))
	return &attempt{
		about: name,
		do:    func() error { return syscall.Rename(w.path(name), w.path(to)) },
		again: func(failed error) error {
			if failed != nil && w.believed() {
				return nil
			}
			if failed != nil {
				if err := syscall.Rename(w.path(name), w.path(to)); err != nil && !errors.Is(err, syscall.ENOENT) {
					return err
				}
			}
			if _, err := os.Lstat(w.path(to)); err != nil {
				return err
			}
			return w.holds(ctx, to, data)
		},
	}, err
}

// renamesOver renames one image over another one, which is shared.
func renamesOver(ctx context.Context, w *world) (*attempt, error) {
	name, data, old := w.name("rename-over"), noise(1000), noise(1001)
	to := name + ".old" // so that the log's lines of both have name
	if err := w.shared(ctx, to, old); err != nil {
		return nil, err
	}
	img, err := w.upload(ctx, image.New{Name: name}, data)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(w.path(name))
	return &attempt{
		about: name,
		do:    func() error { return syscall.Rename(w.path(name), w.path(to)) },
		again: func(failed error) error {
			if now, err := w.api.Get(ctx, img.ID); failed == nil && w.believed() {
				if err == nil && now.Name != to {
					err = fmt.Errorf("the image is called %s", now.Name)
				}
				return err
			}
			if failed != nil {
				// It may have been taken back, or be finished behind.
				if err := w.daemon.Until("the rename to be settled", func() (bool, error) {
					err := syscall.Rename(w.path(name), w.path(to))
					if err == nil || errors.Is(err, syscall.ENOENT) {
						return w.holds(ctx, to, data) == nil, nil
					}
					return false, nil
				}); err != nil {
					return errors.Join(err, w.holds(ctx, to, data))
				}
			}
			return errors.Join(w.holds(ctx, to, data), w.kept(ctx, to))
		},
	}, err
}

// shared makes an image that another project may see, and looks it up.
func (w *world) shared(ctx context.Context, name string, data []byte) error {
	img, err := w.upload(ctx, image.New{Name: name, Visibility: image.VisibilityShared}, data)
	if err != nil {
		return err
	}
	if err := w.api.AddMember(ctx, img.ID, "friends"); err != nil {
		return err
	}
	_, err = os.Lstat(w.path(name))
	return err
}

// believed reports whether the service has said of what it has that it is gone: nobody can
// know better, and what hangs on it is taken for gone, too.
func (w *world) believed() bool { return w.faultName == "404" || w.faultName == "410" }

// kept checks that who could see the image of the name can see what is there now.
func (w *world) kept(ctx context.Context, name string) error {
	if w.believed() {
		return nil
	}
	all, err := w.all(ctx)
	if err != nil {
		return err
	}
	for _, img := range all {
		if img.Name != name {
			continue
		}
		members, err := w.api.Members(ctx, img.ID)
		if err != nil {
			return err
		}
		if len(members) != 1 || members[0].Project != "friends" {
			return fmt.Errorf("%s is shared with %v", name, members)
		}
	}
	return nil
}

// closes writes a new file, whose close fails.
func closes(ctx context.Context, w *world) (*attempt, error) {
	name, data := w.name("close"), noise(100_000)
	f, err := os.Create(w.path(name))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	return w.closing(ctx, f, name, data, nil), nil
}

// closing is the close of a file that was written. Where it fails nobody sees the new
// bytes (unless nothing is answered from the deletion of the old ones on), old ones stay,
// and the draft has all of them.
func (w *world) closing(ctx context.Context, f *os.File, name string, data, old []byte) *attempt {
	return &attempt{about: name, do: f.Close, again: func(failed error) error {
		if failed == nil && old != nil && w.believed() {
			return nil // what was to be deleted is said to be gone
		}
		if failed == nil {
			return w.holds(ctx, name, data)
		}
		id, err := w.draft(name)
		if err != nil {
			return err
		}
		all, err := w.all(ctx)
		if err != nil {
			return err
		}
		silent := w.kindOfFault == fault.Delete && w.faultName == fault.Refused.Name
		for _, img := range all {
			switch {
			case img.Hidden, img.Name != name, silent, old != nil && img.Size == int64(len(old)):
			default:
				return fmt.Errorf("the close has failed, and there is %+v", img)
			}
		}
		if err := w.retry(id); err != nil {
			return err
		}
		return w.holds(ctx, name, data)
	}}
}

// closesOver overwrites a shared image.
func closesOver(ctx context.Context, w *world) (*attempt, error) {
	name, data, old := w.name("close-over"), noise(100_000), noise(1001)
	if err := w.shared(ctx, name, old); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(w.path(name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	a := w.closing(ctx, f, name, data, old)
	again := a.again
	a.again = func(failed error) error { return errors.Join(again(failed), w.kept(ctx, name)) }
	return a, nil
}

// closesEdit writes a few bytes into an image, of which the others have to be read.
func closesEdit(ctx context.Context, w *world) (*attempt, error) {
	name, old := w.name("edit"), noise(imageSize)
	if _, err := w.upload(ctx, image.New{Name: name}, old); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(w.path(name), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt([]byte("edited"), 0); err != nil {
		return nil, err
	}
	data := append([]byte("edited"), old[6:]...)
	return w.closing(ctx, f, name, data, old), nil
}

func setsAttribute(ctx context.Context, w *world) (*attempt, error) {
	const property = "colour"
	name := w.name("setxattr")
	img, err := w.upload(ctx, image.New{Name: name}, noise(1000))
	if err != nil {
		return nil, err
	}
	if _, err = os.Lstat(w.path(name)); err != nil {
		return nil, err
	}
	set := func() error { return unix.Setxattr(w.path(name), "user.image.property."+property, []byte("red"), 0) }
	return &attempt{about: img.ID, do: set, again: func(failed error) error {
		if failed != nil && w.believed() {
			return nil
		}
		if failed != nil {
			if err := set(); err != nil {
				return err
			}
		}
		now, err := w.api.Get(ctx, img.ID)
		if err == nil && now.Properties[property] != "red" {
			err = fmt.Errorf("the service has the properties %v", now.Properties)
		}
		return err
	}}, nil
}

func unlinks(ctx context.Context, w *world) (*attempt, error) {
	name := w.name("unlink")
	img, err := w.upload(ctx, image.New{Name: name}, noise(1000))
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(w.path(name))
	return &attempt{about: img.ID, do: func() error { return syscall.Unlink(w.path(name)) }, again: func(failed error) error {
		if failed != nil && w.believed() {
			return nil
		}
		if failed != nil {
			if err := syscall.Unlink(w.path(name)); err != nil && !errors.Is(err, syscall.ENOENT) {
				return err
			}
		}
		if _, err := w.api.Get(ctx, img.ID); !image.Is(err, image.NotFound) {
			return fmt.Errorf("it was removed, and the service says %w", err)
		}
		return nil
	}}, err
}
