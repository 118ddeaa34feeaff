package cache

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// chunkSize is how much memory the arena asks for at once, in bytes: two huge pages
// of x86-64 and arm64. Faulting in the 4 KiB pages of a fresh block one by one costs
// as much as copying it does.
const chunkSize = 4 << 20

// arena hands out block-sized buffers that lie outside of Go's heap: what the cache
// holds does not make the collector wait for twice its size, and the pages are huge
// where the kernel has such. Buffers that come back are handed out again, the last
// one first; none is given back before the arena itself is garbage. It has no lock:
// Cache.mu guards it.
type arena struct {
	free   [][]byte // whole buffers that nobody refers to
	chunks *chunks
}

// chunks are the mappings of an arena; they end with it.
type chunks struct {
	mu     sync.Mutex // guards the field below: the clean-up has a goroutine of its own
	mapped [][]byte
}

func newArena() *arena {
	a := &arena{chunks: &chunks{}}
	runtime.AddCleanup(a, (*chunks).unmap, a.chunks)
	return a
}

// get returns a buffer of BlockSize bytes of unknown content.
func (a *arena) get() []byte {
	if len(a.free) == 0 && !a.grow() {
		return make([]byte, BlockSize)
	}
	last := len(a.free) - 1
	data := a.free[last]
	a.free[last] = nil
	a.free = a.free[:last]
	return data
}

// put takes back a buffer of get.
func (a *arena) put(data []byte) { a.free = append(a.free, data) }

// grow maps one more chunk; false where the kernel refuses, and then Go's heap may
// still have room.
func (a *arena) grow() bool {
	mapped, err := unix.Mmap(-1, 0, chunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return false
	}
	_ = unix.Madvise(mapped, unix.MADV_HUGEPAGE) // small pages do as well
	a.chunks.add(mapped)
	for off := 0; off < len(mapped); off += BlockSize {
		a.put(mapped[off : off+BlockSize : off+BlockSize])
	}
	return true
}

func (c *chunks) add(mapped []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mapped = append(c.mapped, mapped)
}

func (c *chunks) unmap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.mapped {
		_ = unix.Munmap(m) // nobody could do anything about it
	}
	c.mapped = nil
}
