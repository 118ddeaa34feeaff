package disk

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// read fills p with a block and reports whether its checksum is right.
func (c *contents) read(index int64, p []byte) bool {
	if int64(len(p)) != c.blockLen(index) || !c.has(index) {
		return false
	}
	v, finding := c.look(index, p)
	if finding != intact {
		return false
	}
	if page, slot := c.slot(index); slot != nil {
		c.touch(page, slot, v, int64(len(p)))
	}
	c.store.counts.read.Add(int64(len(p)))
	return true
}

// finding is what a look at a block has found.
type finding int

const (
	missing finding = iota // it is not there
	intact
	damaged // it had other bytes, and is not there any more
)

// look fills p, which has the length of the block, with its bytes, and compares them with
// its slot, which was v. A damaged one is dropped.
func (c *contents) look(index int64, p []byte) (v uint64, found finding) {
	f, err := c.share(false)
	switch {
	case errors.Is(err, errSpoiled):
		return absent, damaged
	case err != nil:
		return absent, missing
	}
	if _, slot := c.slot(index); slot != nil {
		v = slot.Load()
	}
	if isPresent(v) {
		_, err = f.data.ReadAt(p, index*c.store.blockSize)
	}
	c.io.RUnlock()
	switch {
	case !isPresent(v):
		return v, missing
	case err != nil || checksum(p) != sumOf(v):
		c.damaged(index, v)
		return v, damaged
	}
	return v, intact
}

// write stores a block, if there is room and the image has not turned out to be wrong
// since that was counted.
func (c *contents) write(index int64, p []byte, wrong int64) {
	if int64(len(p)) != c.blockLen(index) || c.has(index) || c.refusal.Load() {
		return
	}
	s := c.store
	n, files := c.charge(index), int64(0)
	if !c.onDisk.Load() {
		files = fileCharge // room for them; they are counted when they are made
	}
	if !s.reserve(n + files) {
		return
	}
	stored, err := c.put(index, p, wrong)
	if stored {
		s.counts.written.Add(int64(len(p)))
	} else {
		files += n
	}
	s.room.used.Add(-files)
	if err != nil {
		s.failed(c, err)
	}
}

// put writes the bytes and then their slot, so that a kill between leaves the
// block absent. It reports whether the block was stored by this call.
func (c *contents) put(index int64, p []byte, wrong int64) (bool, error) {
	return c.putAs(index, wrong, func(f *files) ([]byte, error) {
		return p, c.store.sys.write(f.data, p, index*c.store.blockSize)
	})
}

// putAs makes a block present of which bytes sees to it that they are in the data
// file, and returns them. io is held shared meanwhile.
func (c *contents) putAs(index, wrong int64, bytes func(f *files) ([]byte, error)) (bool, error) {
	f, err := c.share(true)
	if err != nil {
		return false, err
	}
	defer c.io.RUnlock()
	s := c.store
	page, slot := c.makeSlot(index)
	if c.wrong.Load() != wrong || !slot.CompareAndSwap(absent, busy) {
		return false, nil
	}
	p, err := bytes(f)
	v := makeSlot(checksum(p), s.clock.stamp(int64(len(p))))
	if err == nil {
		err = s.sys.write(f.index, appendSlot(nil, v), slotAt(index))
	}
	if err != nil {
		// Give back what a part of the bytes may have taken: nobody reads it, unless the
		// file was handed out. Where that fails too, the next write of the block takes the
		// same place.
		if !c.whole {
			_ = s.sys.punch(f.data, index*s.blockSize, s.blockSize)
		}
		slot.Store(absent)
		return false, err
	}
	page.present.Add(1)
	slot.Store(v)
	s.counts.blocks.Add(1)
	if c.present.Add(1) == c.blocks {
		s.enqueue(c)
	}
	return true, nil
}

// failed is told of an error that kept a block from being stored.
func (s *Store) failed(c *contents, err error) {
	switch {
	case errors.Is(err, errClosed):
	case errors.Is(err, unix.EFBIG):
		if !c.refusal.Swap(true) {
			s.log.Warn("image is not cached on disk: the filesystem cannot hold a file of its size",
				"image", c.id.key.ID, "size", c.id.size)
		}
	case isFull(err):
		// The first of those who find it so makes the cache smaller.
		if s.pause("disk is full; the cache gets smaller and takes nothing for a while", err) {
			s.shrink()
		}
	default:
		s.pause("disk cache cannot be written; it takes nothing for a while", err)
	}
}

// damaged drops a block whose bytes were not those of its slot, which was v.
func (c *contents) damaged(index int64, v uint64) {
	c.io.Lock()
	defer c.io.Unlock()
	if c.openFiles(false) != nil {
		return
	}
	if err := c.check(c.files); err != nil {
		c.spoiled(err)
		return
	}
	page, slot := c.slot(index)
	if slot == nil || !isPresent(slot.Load()) || sumOf(slot.Load()) != sumOf(v) {
		return // dropped meanwhile
	}
	c.erase(page, index, index+1)
	if c.present.Load() == 0 && !c.whole { // what was handed out is written over
		c.clear() // else two files without a block take room
	}
	c.store.counts.damaged.Add(1)
	if !c.warned.Swap(true) { // once: a whole file may be damaged
		c.store.log.Warn("cached block is damaged; fetched again", "image", c.id.key.ID, "block", index)
	}
}

// spoiled makes an image begin anew whose files somebody else removed or cut. io
// is held exclusively.
func (c *contents) spoiled(err error) {
	c.store.log.Warn("cached image was changed by somebody else; fetched again", "image", c.id.key.ID, "err", err)
	c.clear()
}

// erase takes the blocks [first, end) of one page away, those of them that are
// present, and returns what they counted. The slots go first: a kill between
// leaves the blocks absent. io is held exclusively, the files are open.
func (c *contents) erase(p *page, first, end int64) (freed int64) {
	s := c.store
	c.removals++
	if !c.unverify() {
		return 0
	}
	for index := first; index < end; index++ {
		slot := &p.slots[index%pageBlocks]
		if isPresent(slot.Load()) {
			slot.Store(absent)
			p.present.Add(-1)
			c.present.Add(-1)
			s.counts.blocks.Add(-1)
			freed += c.charge(index)
		}
	}
	// An error here may leave slots on disk that say the blocks are there. Their bytes
	// become holes, or are written anew: the checksums will tell.
	_ = s.sys.write(c.files.index, make([]byte, (end-first)*slotSize), slotAt(first))
	s.room.used.Add(-freed)
	if p.present.Load() == 0 {
		c.mu.Lock()
		delete(c.pages, first/pageBlocks)
		c.mu.Unlock()
	}
	if c.whole || c.pins.count > 0 {
		return freed // the bytes come again, to the same place
	}
	if err := s.sys.punch(c.files.data, first*s.blockSize, (end-first)*s.blockSize); err != nil {
		// A filesystem without holes: nothing less than the file can go.
		freed += c.clear()
	}
	return freed
}

// unverify takes back that the image has its hash, before its bytes change. Should
// a power loss keep the old header, the data file's change time tells. It reports
// false when that cannot be written: the image has then been dropped. io is held
// exclusively, the files are open.
func (c *contents) unverify() bool {
	if c.verified == nil {
		return true
	}
	c.verified = nil
	if err := c.writeHeader(); err != nil {
		c.clear()
		return false
	}
	return true
}

// clear removes the files and forgets all blocks, and returns what they counted.
// Files that are pinned count until they are released. io is held exclusively.
func (c *contents) clear() (freed int64) {
	s := c.store
	if !c.onDisk.Load() || s.closed.Load() {
		return 0
	}
	c.removals++
	c.mu.Lock()
	pages := c.pages
	c.pages = map[int64]*page{}
	c.mu.Unlock()
	blocks := int64(0)
	freed = fileCharge + c.endAdoption()
	for n, p := range pages {
		p.each(func(i int64, slot *atomic.Uint64) {
			slot.Store(absent)
			blocks++
			freed += c.charge(n*pageBlocks + i)
		})
	}
	c.present.Store(0)
	s.counts.blocks.Add(-blocks)
	if err := c.removeFiles(); err != nil {
		if c.files != nil { // at least nobody takes it for something
			err = errors.Join(err, s.sys.write(c.files.index, make([]byte, headerSize), 0))
		}
		s.log.Error("cached image could not be removed", "image", c.id.key.ID, "err", err)
	}
	c.verified, c.whole = nil, false
	c.onDisk.Store(false)
	c.closeFiles()
	if c.pins.count > 0 {
		c.pins.charge, c.pins = freed, &pins{}
		return 0
	}
	s.room.used.Add(-freed)
	return freed
}
