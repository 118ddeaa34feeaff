package disk

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// maxOpen is the most images whose files are kept open: two descriptors for each,
// so an eighth of the 1024 that a process may have everywhere. An operation under
// way may have its own beyond that.
const maxOpen = 64

// files are the open files of an image.
type files struct{ data, index *os.File }

var (
	errNoFiles = errors.New("the image has no files in the cache")
	errClosed  = errors.New("the cache is closed")
)

// share holds io shared, with the files open; the caller gives it back. With
// create, files that do not exist are made.
func (c *contents) share(create bool) (*files, error) {
	for {
		c.io.RLock()
		if c.files != nil {
			c.used.Store(c.store.sys.now().UnixNano())
			return c.files, nil
		}
		c.io.RUnlock()
		// Another image may close the files again before they are shared: then
		// once more. It takes maxOpen images each time.
		c.io.Lock()
		err := c.openFiles(create)
		c.io.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// openFiles opens the files. What was done to them from outside while they were
// closed, removed or cut, makes the image begin anew. io is held exclusively.
func (c *contents) openFiles(create bool) error {
	if c.files != nil {
		return nil
	}
	if c.gone || c.store.closed.Load() {
		return errClosed
	}
	if c.onDisk.Load() {
		f, err := c.openExisting()
		if err == nil {
			c.opened(f)
			return nil
		}
		if !errors.Is(err, errSpoiled) {
			return err
		}
		c.spoiled(err)
		if !create {
			return err
		}
	}
	if !create {
		return errNoFiles
	}
	f, err := c.createFiles()
	if err != nil {
		return err
	}
	c.onDisk.Store(true)
	c.store.room.used.Add(fileCharge)
	c.opened(f)
	return nil
}

// errSpoiled: the files of an image are not the ones that were made for it.
var errSpoiled = errors.New("its files were removed, replaced or cut")

// openFile opens a file that should be there; errSpoiled when it is not, or is
// something else.
func (s *Store) openFile(name string, flag int) (*os.File, error) {
	f, err := s.root.OpenFile(name, flag|openFlags, 0)
	if err == nil {
		return f, nil
	}
	info, statErr := s.root.Lstat(name)
	if errors.Is(statErr, fs.ErrNotExist) || statErr == nil && !info.Mode().IsRegular() {
		return nil, errors.Join(errSpoiled, err)
	}
	return nil, err
}

// openFlags: what may have been put in the place of a file neither leads away nor
// keeps us waiting.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

func (c *contents) openExisting() (*files, error) {
	f := &files{}
	var err error
	if f.data, err = c.store.openFile(c.name+dataSuffix, os.O_RDWR); err == nil {
		f.index, err = c.store.openFile(c.name+indexSuffix, os.O_RDWR)
	}
	if err == nil {
		err = c.check(f)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// check returns errSpoiled when the files are not the whole of the image any more.
func (c *contents) check(f *files) error {
	data, err := stat(f.data)
	if err != nil {
		return err
	}
	index, err := stat(f.index)
	if err != nil {
		return err
	}
	if data.Nlink == 0 || index.Nlink == 0 || data.Size != c.id.size || index.Size < headerSize {
		return errSpoiled
	}
	return nil
}

// createFiles makes the files of an image that has none. The data file has the
// image's size from the start: one that is shorter has been cut.
func (c *contents) createFiles() (*files, error) {
	if err := c.removeFiles(); err != nil { // nobody's
		return nil, err
	}
	f := &files{}
	var err error
	if f.data, err = c.store.root.OpenFile(c.name+dataSuffix, createFlags, fileMode); err == nil {
		err = f.data.Truncate(c.id.size)
	}
	if err == nil {
		f.index, err = c.createIndex()
	}
	if err != nil {
		f.close()
		return nil, errors.Join(err, c.removeFiles())
	}
	return f, nil
}

const createFlags = os.O_RDWR | os.O_CREATE | os.O_EXCL | openFlags

// createIndex makes the index of an image without blocks. io is held exclusively.
func (c *contents) createIndex() (*os.File, error) {
	head, err := c.header().encode()
	if err != nil {
		return nil, err
	}
	f, err := c.store.root.OpenFile(c.name+indexSuffix, createFlags, fileMode)
	if err != nil {
		return nil, err
	}
	if err := c.store.sys.write(f, head, 0); err != nil {
		_ = f.Close() // it is removed
		return nil, err
	}
	return f, nil
}

// removeFiles removes both files, the index first: data without an index is
// nothing.
func (c *contents) removeFiles() error {
	return errors.Join(c.store.remove(c.name+indexSuffix), c.store.remove(c.name+dataSuffix))
}

// opened takes over the open files and closes those of other images that are too
// many. io is held exclusively.
func (c *contents) opened(f *files) {
	c.files = f
	c.used.Store(c.store.sys.now().UnixNano())
	for _, victim := range c.store.tooMany(c) {
		victim.closeFiles()
		victim.io.Unlock()
	}
}

// tooMany notes that c has open files and returns the images whose files are to
// close for that, the longest unused first, with their io held. Those in use are
// passed over: io is only tried, for the caller holds another's.
func (s *Store) tooMany(c *contents) []*contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	if len(s.open) <= maxOpen {
		return nil
	}
	order := make([]*contents, 0, len(s.open))
	for other := range s.open {
		order = append(order, other)
	}
	slices.SortFunc(order, func(a, b *contents) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	var victims []*contents
	for _, other := range order {
		if len(s.open)-len(victims) <= maxOpen {
			break
		}
		if other != c && other.io.TryLock() {
			victims = append(victims, other)
		}
	}
	return victims
}

// closeFiles writes the stamps that only memory has and closes the files. io is
// held exclusively.
func (c *contents) closeFiles() {
	if c.files == nil {
		return
	}
	c.writeStamps()
	c.files.close()
	c.files = nil
	c.store.mu.Lock()
	delete(c.store.open, c)
	c.store.mu.Unlock()
}

// writeStamps brings the slots on disk up to date. Lost stamps cost nothing but a
// better choice of what to evict: errors are not told. io is held exclusively.
func (c *contents) writeStamps() {
	c.mu.RLock()
	dirty := map[int64]*page{}
	for n, p := range c.pages {
		if p.dirty.Swap(false) {
			dirty[n] = p
		}
	}
	c.mu.RUnlock()
	buf := make([]byte, 0, pageBlocks*slotSize)
	for n, p := range dirty {
		first := n * pageBlocks
		out := p.encode(buf)[:min(pageBlocks, c.blocks-first)*slotSize] // no slots behind the last block
		if err := c.store.sys.write(c.files.index, out, slotAt(first)); err != nil {
			return
		}
	}
}

// writeHeader writes what the header says of the image now. io is held
// exclusively, the files are open.
func (c *contents) writeHeader() error {
	head, err := c.header().encode()
	if err != nil {
		return err
	}
	return c.store.sys.write(c.files.index, head, 0)
}

// close closes what is open.
func (f *files) close() {
	for _, each := range []*os.File{f.data, f.index} {
		if each != nil {
			_ = each.Close() // a write that it tells to be lost shows as a wrong checksum
		}
	}
}
