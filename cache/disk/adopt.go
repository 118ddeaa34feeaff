package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
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
	errElsewhere = errors.New("it lies on another filesystem")
	errCached    = errors.New("there are blocks of it")
	errTooLarge  = errors.New("it would take most of the cache")
	errNoRoom    = errors.New("there is no room")
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
	if st.Dev != s.device { // this disk, which may not answer, is not asked
		return errElsewhere
	}
	if c.onDisk.Load() {
		return errCached
	}
	room := (c.blocks-1)*s.blockSize + c.charge(c.blocks-1)
	if s.pausing() || room > s.Room(map[image.Key]bool{c.id.key: true}) {
		return errNoRoom
	}
	// First the link, which takes no room: where it is refused nothing was evicted for it.
	if err := c.take(f, room); err != nil {
		return err
	}
	if !s.makeRoom(0) {
		c.io.Lock()
		c.clear()
		c.io.Unlock()
		return errNoRoom
	}
	return nil
}

// take makes f the data file of an image that has none, and counts its room.
func (c *contents) take(f *os.File, room int64) error {
	c.io.Lock()
	defer c.io.Unlock()
	switch {
	case c.gone || c.store.closed.Load():
		return errClosed
	case c.onDisk.Load():
		return errCached
	}
	made, err := c.linkFiles(f)
	if err != nil {
		return err
	}
	c.onDisk.Store(true)
	c.store.room.used.Add(room + fileCharge)
	c.opened(made)
	c.adopted = &adoption{removals: c.removals, wrong: c.wrong.Load(), stamp: c.store.clock.stamp(room)}
	c.adopted.room.Store(room)
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
// Until then it goes whole when it is evicted.
type adoption struct {
	removals int64  // contents.removals as it was made: what was taken away since is a hole
	wrong    int64  // contents.wrong then
	stamp    uint32 // of then: it counts as used
	// room, in bytes, is what the file counts beyond the blocks that are present. It is
	// changed with contents.io held, shared at least.
	room atomic.Int64
}

// stamp makes the blocks of an adopted data file present. It is part of verifying,
// and gives up what it cannot finish: bytes in the file that are no blocks take room.
func (c *contents) stamp(ctx context.Context, buf []byte) {
	c.io.RLock()
	a := c.adopted
	c.io.RUnlock()
	if a == nil {
		return
	}
	pace := pace{store: c.store}
	for index := range c.blocks {
		if !pace.wait(ctx) {
			return // the next load finds the bytes that are no blocks
		}
		if err := c.stampBlock(a, index, buf[:c.blockLen(index)]); err != nil {
			c.abandon(err)
			return
		}
	}
	c.io.Lock()
	defer c.io.Unlock()
	if c.adopted == a {
		c.store.room.used.Add(-c.endAdoption()) // of blocks that readers have stored and reserved
	}
}

// stampBlock makes one block of an adopted data file present, unless it is. p has its
// length and is overwritten.
func (c *contents) stampBlock(a *adoption, index int64, p []byte) error {
	taken := int64(0)
	stored, err := c.putAs(index, a.wrong, func(f *files) ([]byte, error) {
		if c.removals != a.removals {
			return nil, errSpoiled
		}
		taken = c.charge(index)
		a.room.Add(-taken)
		_, err := f.data.ReadAt(p, index*c.store.blockSize)
		return p, err
	})
	if !stored {
		c.store.room.used.Add(-taken)
	}
	return err
}

// endAdoption forgets that the data file was made elsewhere, and returns what it
// counted beyond its blocks, in bytes. io is held exclusively.
func (c *contents) endAdoption() (room int64) {
	if c.adopted != nil {
		room = c.adopted.room.Load()
	}
	c.adopted = nil
	return room
}

// abandon drops an image that was to be adopted.
func (c *contents) abandon(err error) {
	c.store.log.Info("a committed image is not kept in the cache; it is fetched when it is read: it cannot be read or noted, or was evicted meanwhile",
		"image", c.id.key.ID, "err", err)
	c.io.Lock()
	c.clear()
	c.io.Unlock()
	c.forget()
}
