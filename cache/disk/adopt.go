package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// adoptPart is the part of the limit that one adopted image may take, a half: what
// was written once does not push out all that is read.
const adoptPart = 2

// Adopt makes a file that has the whole image the image's data file, by a link: no
// byte is copied. Nobody may change the file any more. From the call of begin on,
// which comes once, nobody may read it either, for holes are made in it when blocks
// are evicted: then the blocks come to be there one by one, as their checksums are
// computed in the background, and at last the hash is. An error means that nothing
// was taken: the file lies on another filesystem, there are blocks of the image
// already, or it is too large.
func (i *Image) Adopt(f *os.File) (begin func(), err error) {
	if !i.usable(0) {
		return nil, errNoFiles
	}
	if err := i.of.adopt(f); err != nil {
		return nil, err
	}
	return func() { i.of.store.enqueue(i.of) }, nil
}

var (
	errCached   = errors.New("there are blocks of it")
	errTooLarge = errors.New("it would take most of the cache")
)

func (c *contents) adopt(f *os.File) error {
	s := c.store
	if c.hash.New() == nil {
		return errors.New("it has no hash")
	}
	if c.id.size > s.room.ceiling.Load()/adoptPart {
		return errTooLarge
	}
	st, err := stat(f)
	if err != nil {
		return err
	}
	if st.Size != c.id.size {
		return fmt.Errorf("the file has %d bytes", st.Size)
	}
	c.io.Lock()
	defer c.io.Unlock()
	switch {
	case c.gone || s.closed.Load():
		return errClosed
	case c.onDisk.Load():
		return errCached
	}
	made, err := c.linkFiles(f)
	if err != nil {
		return err
	}
	c.onDisk.Store(true)
	s.room.used.Add(fileCharge)
	c.opened(made)
	c.adopted = &adoption{removals: c.removals, wrong: c.wrong.Load()}
	return nil
}

// linkFiles makes the files of an image that has none, the data file as another name
// of f. io is held exclusively.
func (c *contents) linkFiles(f *os.File) (*files, error) {
	s := c.store
	if err := c.removeFiles(); err != nil { // nobody's
		return nil, err
	}
	dir, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	err = control(dir, func(to int) error {
		return control(f, func(fd int) error {
			return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), to, c.name+dataSuffix, unix.AT_SYMLINK_FOLLOW)
		})
	})
	_ = dir.Close() // it was only named
	if err != nil {
		return nil, os.NewSyscallError("linkat", err)
	}
	made := &files{}
	if made.data, err = s.openFile(c.name+dataSuffix, os.O_RDWR); err == nil {
		made.index, err = c.createIndex()
	}
	if err != nil {
		made.close()
		return nil, errors.Join(err, c.removeFiles())
	}
	return made, nil
}

// adoption is what is left to do for an image whose data file was made elsewhere.
type adoption struct {
	removals int64 // contents.removals as it was made: what was taken away since is a hole
	wrong    int64 // contents.wrong then
}

// stamp makes the blocks of an adopted data file present. It is part of verifying,
// and gives up what it cannot finish: bytes in the file that are no blocks take room
// that nobody counts.
func (c *contents) stamp(ctx context.Context, buf []byte) {
	c.io.Lock()
	a := c.adopted
	c.adopted = nil
	c.io.Unlock()
	if a == nil {
		return
	}
	s := c.store
	pace := pace{store: s}
	for index := range c.blocks {
		if !pace.wait(ctx) {
			return // the next load finds the bytes that are no blocks
		}
		n := c.charge(index)
		if !s.reserve(n) {
			c.abandon("there is no room", nil)
			return
		}
		stored, err := c.putAs(index, a.wrong, func(f *files) ([]byte, error) {
			if c.removals != a.removals {
				return nil, errSpoiled
			}
			p := buf[:c.blockLen(index)]
			_, err := f.data.ReadAt(p, index*s.blockSize)
			return p, err
		})
		if !stored {
			s.room.used.Add(-n)
		}
		if err != nil {
			c.abandon("it cannot be read or noted, or was evicted meanwhile", err)
			return
		}
	}
}

// abandon drops an image that was to be adopted.
func (c *contents) abandon(why string, err error) {
	c.store.log.Info("a committed image is not kept in the cache; it is fetched when it is read", "image", c.id.key.ID, "reason", why, "err", err)
	c.io.Lock()
	c.clear()
	c.io.Unlock()
	c.forget()
}
