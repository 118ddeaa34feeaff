package cache

import (
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// blockOverhead is what one resident block costs beside its bytes: the list and
// map entries that find it, in bytes, rounded up. It bounds the number of blocks
// of a thousand tiny images.
const blockOverhead = 512

// block is the bytes of one block. They never change between publication and the
// last unpin; then the buffer is used again.
type block struct {
	data  []byte
	refs  int  // 1 for the memory tier that holds it, 1 for each reader about to copy
	read  bool // up to its end
	ahead bool // it came before a read wanted it, and none has since
}

// cost is what the block takes of the memory budget.
func (b *block) cost() int64 { return int64(cap(b.data)) + blockOverhead }

// blockID names a block in memory.
type blockID struct {
	of    *contents
	index int64
}

// memory is the memory tier: resident blocks in the order of their last use,
// within a budget. It has no lock: Cache.mu guards it.
type memory struct {
	budget int64 // most cost of the resident blocks
	used   int64 // cost of the resident blocks
	order  *simplelru.LRU[blockID, *block]

	evictions int64 // blocks that made room for others so far
	unread    int64 // bytes of blocks that came ahead and left unread so far

	buffers *arena
}

func newMemory(budget int64) *memory {
	m := &memory{budget: budget, buffers: newArena()}
	// The order itself is unbounded: the budget counts bytes, not entries.
	order, err := simplelru.NewLRU(math.MaxInt, m.evicted)
	if err != nil { // only for a size below 1
		panic(err)
	}
	m.order = order
	return m
}

// get returns the resident block, which is about to be read, and pins it; nil when it is not resident.
func (m *memory) get(id blockID) *block {
	b, ok := m.order.Get(id)
	if !ok {
		return nil
	}
	b.refs++
	b.ahead = false
	return b
}

// touch reports whether the block is resident, and makes it the newest.
func (m *memory) touch(id blockID) bool {
	_, ok := m.order.Get(id)
	return ok
}

// put makes the block resident, as the newest, and evicts what is then too much.
// A block that the whole budget cannot hold is left to its readers.
func (m *memory) put(id blockID, b *block) {
	m.order.Remove(id)
	if b.cost() > m.budget {
		return
	}
	for m.used+b.cost() > m.budget {
		m.order.RemoveOldest()
		m.evictions++
	}
	b.refs++
	m.used += b.cost()
	id.of.resident++
	m.order.Add(id, b)
}

// drop makes all blocks of an image leave memory.
func (m *memory) drop(e *contents) {
	for _, id := range m.order.Keys() {
		if id.of == e {
			m.order.Remove(id)
		}
	}
}

// leave makes a block leave memory, if it is still the one there.
func (m *memory) leave(id blockID, b *block) {
	if now, ok := m.order.Peek(id); ok && now == b {
		m.order.Remove(id)
	}
}

// evicted is called by the order for each block that leaves it.
func (m *memory) evicted(id blockID, b *block) {
	m.used -= b.cost()
	id.of.resident--
	id.of.prune()
	if b.ahead {
		m.unread += int64(len(b.data))
	}
	m.unpin(b)
}

// unpin ends one use of the block.
func (m *memory) unpin(b *block) {
	b.refs--
	if b.refs == 0 {
		m.recycle(b.data)
		b.data = nil
	}
}

// buffer returns n bytes of unknown content, at most BlockSize.
func (m *memory) buffer(n int64) []byte {
	if n == BlockSize {
		return m.buffers.get()
	}
	return make([]byte, n) // the last block of an image: what it needs and no more
}

// recycle takes back a buffer that nobody refers to.
func (m *memory) recycle(data []byte) {
	if len(data) == BlockSize {
		m.buffers.put(data)
	}
}
