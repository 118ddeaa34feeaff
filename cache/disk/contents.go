package disk

import (
	"sync"
	"sync/atomic"

	"github.com/imagefs/imagefs/image"
)

// contents are the blocks of one image on disk. They are forgotten when no
// reference and no file is left.
type contents struct {
	store  *Store
	id     identity
	name   string // of both files, without suffix
	hash   image.Digest
	blocks int64 // of the whole image; 0 when it cannot be cached

	// refs and queued are guarded by Store.mu.
	refs   int
	queued bool // in Store.queue

	present atomic.Int64 // blocks on disk
	wrong   atomic.Int64 // how often its bytes turned out to be wrong; changed under io
	onDisk  atomic.Bool  // its files exist; changed under io
	refusal atomic.Bool  // the filesystem cannot hold a file of this size
	warned  atomic.Bool  // damage has been logged; until the last reference closes
	used    atomic.Int64 // when its files were last used, nanoseconds since 1970

	// io is held shared while bytes of blocks are read or written, and exclusively
	// while files are opened, closed or removed, blocks taken away, slots or the
	// header written. It guards the fields below.
	io       sync.RWMutex
	files    *files    // nil: not open
	gone     bool      // forgotten by the store
	verified *verified // nil: not verified
	whole    bool      // see header.Whole
	pins     *pins     // files handed out and not released
	removals int64     // how often blocks were taken away
	adopted  *adoption // nil: the data file was made here, or all its blocks are present

	// mu guards pages, and is never held across I/O: Has waits for no disk. The
	// slots in a page are atomic; pages are removed only under io as well.
	mu    sync.RWMutex
	pages map[int64]*page // by index / pageBlocks; those that have blocks
}

// newContents knows of an image without files. Store.mu need not be held.
func (s *Store) newContents(id identity, hash image.Digest) *contents {
	c := &contents{store: s, id: id, name: fileName(id), hash: hash, pins: &pins{}, pages: map[int64]*page{}}
	if _, err := c.header().encode(); err == nil && id.size > 0 && !s.left[c.name] {
		c.blocks = (id.size-1)/s.blockSize + 1
	}
	return c
}

func (c *contents) header() *header {
	return &header{
		BlockSize: c.store.blockSize, Service: c.id.key.Service, ID: c.id.key.ID, Version: c.id.key.Version,
		Size: c.id.size, Hash: c.hash, Verified: c.verified, Whole: c.whole,
	}
}

// blockLen returns the bytes of a block: fewer than a block in the last one.
func (c *contents) blockLen(index int64) int64 {
	return min(c.store.blockSize, c.id.size-index*c.store.blockSize)
}

// chargeUnit, in bytes, is what filesystems allocate: a block counts as whole ones
// of these.
const chargeUnit = 4096

// fileCharge, in bytes, is what the two files of an image count beside its blocks:
// the header and a page of slots. It bounds the number of tiny images.
const fileCharge = 2 * chargeUnit

// charge returns what a block counts against the limit.
func (c *contents) charge(index int64) int64 {
	return (c.blockLen(index) + chargeUnit - 1) / chargeUnit * chargeUnit
}

// page returns the page with the slot of a block; nil when none of its blocks is
// present.
func (c *contents) page(index int64) *page {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pages[index/pageBlocks]
}

// slot returns the place of a block in the index, nil when there is none yet.
func (c *contents) slot(index int64) (*page, *atomic.Uint64) {
	p := c.page(index)
	if p == nil {
		return nil, nil
	}
	return p, &p.slots[index%pageBlocks]
}

// makeSlot returns the place of a block in the index. io is held, so that the page
// stays.
func (c *contents) makeSlot(index int64) (*page, *atomic.Uint64) {
	p := c.page(index)
	if p == nil {
		n := index / pageBlocks
		c.mu.Lock()
		if p = c.pages[n]; p == nil {
			p = &page{}
			c.pages[n] = p
		}
		c.mu.Unlock()
	}
	return p, &p.slots[index%pageBlocks]
}

// has reports whether a block is on disk.
func (c *contents) has(index int64) bool {
	_, slot := c.slot(index)
	return slot != nil && isPresent(slot.Load())
}

// complete reports whether every block is on disk.
func (c *contents) complete() bool { return c.blocks > 0 && c.present.Load() == c.blocks }

// touch makes a block the most recently used, if v still is what its slot holds.
func (c *contents) touch(p *page, slot *atomic.Uint64, v uint64, n int64) {
	stamp := c.store.clock.stamp(n)
	if stamp != stampOf(v) && slot.CompareAndSwap(v, makeSlot(sumOf(v), stamp)) {
		p.dirty.Store(true)
	}
}

// forget drops the contents from the store when nothing is left of them.
func (c *contents) forget() {
	c.io.Lock()
	defer c.io.Unlock()
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.refs == 0 && !c.onDisk.Load() && s.images[c.id] == c {
		c.gone = true
		delete(s.images, c.id)
	}
}
