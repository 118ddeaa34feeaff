package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/test/fault"
)

// operation is what a program does, one of whose requests fails.
type operation struct {
	name  string
	kind  fault.Kind // of the request
	world kindOfWorld
	begin func(ctx context.Context, w *world) (*attempt, error)
}

// attempt is one operation that was prepared as far as it goes without faults.
type attempt struct {
	about string // what the log names where it fails; "": nothing
	// do is the operation. An error that is no errno is a wrong answer.
	do func() error
	// again is what must succeed when the service is well: the same once more, or a look at
	// what became of it. It is told what do has returned.
	again func(failed error) error
	end   func() error // closes what is open; nil: nothing is
}

// operations are the columns of the table, for each kind of request.
var operations = []operation{
	{"mount", fault.Versions, kindOfWorld{fresh: true}, mounts},
	{"mount", fault.Probe, kindOfWorld{fresh: true}, mounts},
	{"ls, the first", fault.List, kindOfWorld{fresh: true, images: 2, listTTL: relistTTL}, lists},
	{"ls, a later one", fault.List, kindOfWorld{fresh: true, images: 2, listTTL: relistTTL}, listsAgain},
	{"ls", fault.Delta, kindOfWorld{fresh: true, images: 2, listTTL: "100ms"}, listsChanges},
	{"stat", fault.Lookup, kindOfWorld{}, stats},
	{"open", fault.Lookup, kindOfWorld{}, opens},
	{"create", fault.Lookup, kindOfWorld{}, creates},
	{"rename", fault.Lookup, kindOfWorld{}, renames},
	{"stat in .by-id", fault.Get, kindOfWorld{}, statsByID},
	{"rename over another", fault.Get, kindOfWorld{}, renamesOver},
	{"close", fault.Get, kindOfWorld{}, closes},
	{"read", fault.Span, kindOfWorld{}, reads},
	{"close of an edit", fault.Span, kindOfWorld{}, closesEdit},
	{"read", fault.Whole, kindOfWorld{noRanges: true}, reads},
	{"close", fault.Create, kindOfWorld{}, closes},
	{"close", fault.Upload, kindOfWorld{}, closes},
	{"rename", fault.Update, kindOfWorld{}, renames},
	{"setxattr", fault.Update, kindOfWorld{}, setsAttribute},
	{"close", fault.Update, kindOfWorld{}, closes},
	{"unlink", fault.Delete, kindOfWorld{}, unlinks},
	{"rename over another", fault.Delete, kindOfWorld{}, renamesOver},
	{"close over another", fault.Delete, kindOfWorld{}, closesOver},
	{"rename over another", fault.Members, kindOfWorld{}, renamesOver},
	{"close over another", fault.Members, kindOfWorld{}, closesOver},
	{"df, statfs", fault.Usage, kindOfWorld{fresh: true, quota: 1 << 30}, statfs},
	{"stat", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(stats)},
	{"close", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(closes)},
}

// relistTTL is the --list-ttl where the whole listing is read anew: what takes half as long
// is followed by a request for what was changed, which would mend what a fault has done.
const relistTTL = "3s"

// mounts is the beginning of a mount, whose error is an exit code.
func mounts(_ context.Context, w *world) (*attempt, error) {
	if err := w.unmount(); err != nil {
		return nil, err
	}
	return &attempt{
		do: func() error { return w.daemon.Mount() },
		again: func(failed error) error {
			if failed != nil {
				return w.daemon.Mount()
			}
			return nil
		},
	}, nil
}

func (w *world) shown() error {
	entries, err := os.ReadDir(w.daemon.Mountpoint)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	switch want := []string{"there-0.img", "there-1.img"}; {
	case len(names) == 0:
		return errLeftOut
	case !slices.Equal(names, want):
		return fmt.Errorf("ls shows %q, want %q", names, want)
	}
	return nil
}

// errLeftOut is a listing without what the service has, which it may leave out where it
// says so in the log.
var errLeftOut = errors.New("ls shows nothing")

func lists(_ context.Context, w *world) (*attempt, error) {
	return &attempt{do: w.shown, again: w.shownAgain}, nil
}

// shownAgain waits for the next refresh.
func (w *world) shownAgain(error) error {
	return w.daemon.Until("ls to show everything", func() (bool, error) {
		err := w.shown()
		if errors.Is(err, errLeftOut) {
			return false, nil
		}
		return true, err
	})
}

// listsAgain is listing with a listing known, which gets old: until two refreshes have been
// made, of which the first meets the fault. The second is for who comes after it.
func listsAgain(_ context.Context, w *world) (*attempt, error) {
	before := w.proxy.Counts()[fault.List].Seen + 1 // that of shown below
	return &attempt{
		do: func() error {
			return w.daemon.Until("two refreshes", func() (bool, error) {
				err := w.shown()
				seen := w.proxy.Counts()[fault.List].Seen
				return seen > before+1 || seen > before && w.faultName == fault.Refused.Name, err // then it sees no more
			})
		},
		again: w.shownAgain,
	}, w.shown()
}

// listsChanges is that where reading the whole takes so long that the changes are asked for.
func listsChanges(_ context.Context, w *world) (*attempt, error) {
	before := w.proxy.Hits()
	return &attempt{
		do: func() error {
			return w.daemon.Until("a refresh to meet the fault", func() (bool, error) {
				err := w.shown()
				return w.proxy.Counts()[fault.Delta].Hit > before, err
			})
		},
		again: w.shownAgain,
	}, w.shown()
}

func stats(ctx context.Context, w *world) (*attempt, error) {
	name := w.name("stat")
	img, err := w.upload(ctx, image.New{Name: name}, noise(1000))
	stat := func() error {
		info, err := os.Lstat(w.path(name))
		if err == nil && info.Size() != img.Size {
			err = fmt.Errorf("%d bytes", info.Size())
		}
		return err
	}
	return &attempt{about: name, do: stat, again: func(error) error { return stat() }}, err
}

func statsByID(ctx context.Context, w *world) (*attempt, error) {
	img, err := w.upload(ctx, image.New{Name: w.name("by-id"), Hidden: true}, noise(1000))
	stat := func() error {
		info, err := os.Lstat(w.path(filepath.Join(".by-id", img.ID)))
		if err == nil && info.Size() != img.Size {
			err = fmt.Errorf("%d bytes", info.Size())
		}
		return err
	}
	return &attempt{about: img.ID, do: stat, again: func(failed error) error {
		if !errors.Is(failed, syscall.ENOENT) {
			return stat()
		}
		return w.daemon.Until("what was not there to be asked for again", func() (bool, error) { return stat() == nil, nil })
	}, end: func() error { return w.api.Delete(ctx, img.ID) }}, err
}

func opens(ctx context.Context, w *world) (*attempt, error) {
	name := w.name("open")
	_, err := w.upload(ctx, image.New{Name: name}, noise(1000))
	open := func() error {
		f, err := os.Open(w.path(name))
		if err != nil {
			return err
		}
		return f.Close()
	}
	return &attempt{about: name, do: open, again: func(error) error { return open() }}, err
}

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

// imageSize is that of images that are read: several requests, and a piece of a block.
const imageSize = 600<<10 + 4711

// reads reads a whole image, directly: the kernel reads again by itself what has failed.
func reads(ctx context.Context, w *world) (*attempt, error) {
	data := noise(imageSize)
	img, err := w.upload(ctx, image.New{Name: w.name("read")}, data)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Open(w.path(img.Name), syscall.O_RDONLY|syscall.O_DIRECT|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	read := func() error {
		var got []byte
		for p := make([]byte, 64<<10); ; {
			n, err := syscall.Pread(fd, p, int64(len(got)))
			got = append(got, p[:max(n, 0)]...)
			switch {
			case !bytes.HasPrefix(data, got):
				return errDamaged
			case err != nil:
				return err
			case n == 0 && len(got) < len(data):
				return fmt.Errorf("the file ends after %d bytes", len(got))
			case n == 0:
				return nil
			}
		}
	}
	again := func(failed error) error {
		if !errors.Is(failed, errDamaged) {
			return read()
		}
		// The rest is read from the service, until all of it is in the cache. Then its hash is
		// wrong, and whoever opens the file after that gets the right bytes.
		return w.daemon.Until("the damage to be found", func() (bool, error) {
			if fd < 0 {
				var err error
				if fd, err = syscall.Open(w.path(img.Name), syscall.O_RDONLY|syscall.O_DIRECT|syscall.O_CLOEXEC, 0); err != nil {
					return false, err
				}
			}
			if read() == nil {
				return true, nil
			}
			err := syscall.Close(fd) // for a while: the kernel tells of it later
			fd = -1
			return false, err
		})
	}
	return &attempt{about: img.ID, do: func() error { return w.foundOut(read()) }, again: again, end: func() error {
		if fd < 0 {
			return nil
		}
		return syscall.Close(fd)
	}}, nil
}

// errDamaged are wrong bytes.
var errDamaged = errors.New("wrong bytes were read")

// foundOut takes for damaged what was, and was found to be so early enough.
func (w *world) foundOut(err error) error {
	if w.faultName == fault.FlippedByte.Name && errors.Is(err, syscall.EIO) {
		return errDamaged
	}
	return err
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
// bytes (unless nothing can be deleted), old ones stay, and the draft has all of them.
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
		for _, img := range all {
			switch {
			case img.Hidden, img.Name != name, w.kindOfFault == fault.Delete, old != nil && img.Size == int64(len(old)):
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
	a := w.closing(ctx, f, name, data, old)
	again := a.again
	a.do = func() error {
		err := f.Close()
		if err == nil && w.faultName == fault.FlippedByte.Name && w.holds(ctx, name, data) != nil {
			err = errDamaged
		}
		return w.foundOut(err)
	}
	a.again = func(failed error) error {
		if errors.Is(failed, errDamaged) {
			return nil // what was replaced is gone
		}
		return again(failed)
	}
	return a, nil
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

// statfs never waits for the service, and shows the quota once that is known.
func statfs(_ context.Context, w *world) (*attempt, error) {
	ask := func() error { return syscall.Statfs(w.daemon.Mountpoint, new(syscall.Statfs_t)) }
	return &attempt{
		do: func() error {
			before := w.proxy.Hits()
			if err := ask(); err != nil {
				return err
			}
			return w.daemon.Until("the quota to be asked for", func() (bool, error) { return w.proxy.Hits() > before, ask() })
		},
		again: func(error) error { return ask() },
	}, nil
}

// longListing is how long the whole listing takes where changes are asked for instead: they
// are while three times as long has not gone by.
const longListing = 700 * time.Millisecond
