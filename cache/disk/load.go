package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// load takes over what an earlier run left, and removes what is of no use. What a later
// version of this program may have made, or what cannot be read, is left alone.
func (s *Store) load() error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	now := s.clock.stamp(0)
	indexed := map[string]bool{}
	var first string // of the files that are left alone
	var why error
	for _, file := range names {
		name, isIndex := strings.CutSuffix(file, indexSuffix)
		if !isIndex || !ourName.MatchString(name) {
			continue
		}
		switch err := s.loadImage(name, now); {
		case err == nil:
			indexed[name] = true
		case strange(err):
			s.leave(name)
			s.log.Debug("cached image is left alone", "file", filepath.Join(s.root.Name(), file), "err", err)
			if first == "" {
				first, why = file, err
			}
		default:
			s.log.Warn("cached image is of no use; removed", "file", file, "err", err)
			s.useless++
			s.discard(file)
		}
	}
	if first != "" { // one line, however many they are
		s.log.Warn("cached images are left alone, and are not cached anew; remove their files if they are of no use",
			"images", len(s.left), "bytes", s.leftBytes, "file", filepath.Join(s.root.Name(), first), "err", why)
	}
	for _, file := range names {
		name, isData := strings.CutSuffix(file, dataSuffix)
		if isData && ourName.MatchString(name) && !indexed[name] && !s.left[name] {
			s.discard(file)
		}
	}
	return nil
}

// strange reports whether an error of loadImage says nothing against the image: its format
// is unknown, or the disk, or a limit of this process, kept it from being looked at.
func strange(err error) bool {
	var version versionError
	var system *fs.PathError
	return errors.As(err, &version) || errors.As(err, &system) && !errors.Is(err, errSpoiled)
}

// leave notes files that nothing is done to. They count against the limit: the directory
// is not to get larger than that.
func (s *Store) leave(name string) {
	s.left[name] = true
	for _, suffix := range []string{indexSuffix, dataSuffix} {
		info, err := s.root.Lstat(name + suffix)
		if err != nil {
			continue // it takes what it takes
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			s.room.used.Add(st.Blocks * statBlock)
			s.leftBytes += st.Blocks * statBlock
		}
	}
}

// discard removes a file of no use. One that stays takes room, and nothing else.
func (s *Store) discard(file string) {
	if err := s.remove(file); err != nil {
		s.log.Warn("file in the disk cache could not be removed", "file", file, "err", err)
	}
}

// loadImage takes over one image; an error says why it cannot.
func (s *Store) loadImage(name string, now uint32) error {
	index, err := s.openFile(name+indexSuffix, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer index.Close() // it was only read
	h, err := readHeader(index)
	if err != nil {
		return err
	}
	c := s.newContents(h.identity(), h.Hash)
	if h.BlockSize != s.blockSize {
		return fmt.Errorf("blocks of %d bytes, now they have %d", h.BlockSize, s.blockSize)
	}
	if c.name != name || c.blocks == 0 {
		return errors.New("the header names another image")
	}
	takes, err := c.checkSizes(index)
	if err != nil {
		return err
	}
	charge, err := c.loadSlots(index, now)
	if err != nil {
		return err
	}
	if c.present.Load() == 0 {
		return errors.New("no block in it")
	}
	if takes > charge+charge/takesPart+takesMore {
		return errors.New("it takes more room than its blocks")
	}
	c.whole = h.Whole
	if c.complete() { // else a power loss took slots
		c.verified = h.Verified
	}
	c.onDisk.Store(true)
	s.room.used.Add(charge + fileCharge)
	s.counts.blocks.Add(c.present.Load())
	s.images[c.id] = c
	if c.complete() && c.verified == nil {
		s.enqueue(c)
	}
	return nil
}

func readHeader(index *os.File) (*header, error) {
	if _, err := stat(index); err != nil { // no regular file
		return nil, err
	}
	p := make([]byte, headerSize)
	if _, err := index.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return decode(p)
}

// What a data file may take on the disk beyond its blocks: what filesystems allocate
// ahead of writers, and their own lists of what is where. More than that is in the
// file of an image whose adoption did not end.
const (
	takesPart = 8
	takesMore = 1 << 20 // bytes
)

// statBlock, in bytes, is the unit of st_blocks, whatever the filesystem's own.
const statBlock = 512

// checkSizes holds the lengths of both files against the image's, and returns how
// much of the disk the data file takes, in bytes.
func (c *contents) checkSizes(index *os.File) (takes int64, err error) {
	data, err := c.store.openFile(c.name+dataSuffix, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer data.Close() // it was only opened
	st, err := stat(data)
	if err != nil {
		return 0, err
	}
	if st.Size != c.id.size {
		return 0, fmt.Errorf("the data file has %d bytes, the image %d", st.Size, c.id.size)
	}
	takes = st.Blocks * statBlock
	if st, err = stat(index); err != nil {
		return 0, err
	}
	if st.Size > slotAt(c.blocks) {
		return 0, errors.New("the index has more blocks than the image")
	}
	return takes, nil
}

// loadChunk, in bytes, is how much of an index is read at once.
const loadChunk = 64 << 10

// loadSlots reads the slots, passing over the holes of the index, and returns what
// the blocks count.
func (c *contents) loadSlots(index *os.File, now uint32) (charge int64, err error) {
	buf := make([]byte, loadChunk)
	for off := int64(headerSize); ; {
		off, err = index.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole behind
			return charge, nil
		}
		if err != nil {
			return charge, err
		}
		off -= (off - headerSize) % slotSize
		n, err := index.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return charge, err
		}
		for at := 0; at+slotSize <= n; at += slotSize {
			if v := decodeSlot(buf[at:], now); v != absent {
				i := (off + int64(at) - headerSize) / slotSize
				p, slot := c.makeSlot(i)
				slot.Store(v)
				p.present.Add(1)
				c.present.Add(1)
				charge += c.charge(i)
			}
		}
		if n < len(buf) {
			return charge, nil
		}
		off += int64(n)
	}
}
