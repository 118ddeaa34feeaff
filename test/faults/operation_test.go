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
	{"mount --store", fault.Stores, kindOfWorld{fresh: true, imports: true, store: store}, mounts},
	{"close", fault.Methods, kindOfWorld{fresh: true, imports: true}, closes},
	{"close", fault.Stage, kindOfWorld{imports: true}, closesImported},
	{"close", fault.Import, kindOfWorld{imports: true}, closesImported},
	{"close", fault.Tasks, kindOfWorld{imports: true, takes: slowImport}, closesImported},
	{"stat", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(stats)},
	{"open", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(opens)},
	{"read", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(reads)},
	{"rename", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(renames)},
	{"setxattr", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(setsAttribute)},
	{"unlink", fault.Token, kindOfWorld{fresh: true, keystone: true}, expired(unlinks)},
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

// memoryBound is how long what is answered from memory may take on a loaded machine: less
// than any wait for the service.
const memoryBound = 5 * time.Second

// fromMemory fails where what is answered from memory waits.
func fromMemory(do func() error) error {
	begin := time.Now()
	if err := do(); err != nil {
		return err
	}
	if took := time.Since(begin); took > memoryBound {
		return fmt.Errorf("what is answered from memory took %s", took)
	}
	return nil
}

// listsAgain is listing with a listing known, which gets old: until two refreshes have been
// made, of which the first meets the fault. The second is for who comes after it.
func listsAgain(_ context.Context, w *world) (*attempt, error) {
	before := w.proxy.Counts()[fault.List].Seen + 1 // that of shown below
	return &attempt{
		do: func() error {
			return w.daemon.Until("two refreshes", func() (bool, error) {
				err := fromMemory(w.shown)
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
				err := fromMemory(w.shown)
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
	if w.faultName == fault.FlippedByte.Name && w.kindOfFault != fault.Token && errors.Is(err, syscall.EIO) {
		return errDamaged
	}
	return err
}

// statfs never waits for the service, and shows the quota once that is known.
func statfs(_ context.Context, w *world) (*attempt, error) {
	ask := func() error {
		return fromMemory(func() error { return syscall.Statfs(w.daemon.Mountpoint, new(syscall.Statfs_t)) })
	}
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
