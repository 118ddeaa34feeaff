package prefetch

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/format"
	"github.com/imagefs/imagefs/image"
)

const (
	// loneRead is the most bytes that one small read may fetch, with all that is
	// fetched in the same breath.
	loneRead = 256 << 10

	// metadataMost is the most bytes that one reader fetches because a header named
	// them. 1 MiB is what a look at an image may cost; it holds the tables of some
	// hundred GiB.
	metadataMost = 1 << 20

	// mostLooks is how often one reader looks at what the header says by now. QEMU
	// reads a VHDX in the most steps, five; each look copies a few kibibytes.
	mostLooks = 8
)

// metadata fetches the tables of a disk format ahead of whoever has begun to open
// the disk. The first read that touches an image's first block brings what the
// record's disk format keeps near it, in one request where it adjoins; a read of one
// table brings the others that the header names. Anybody may have written that
// header: it decides where a bounded number of bytes is fetched, once for each
// reader, and nothing else.
type metadata struct {
	over   atomic.Bool                   // nothing is left to do: most reads look no further
	tables atomic.Pointer[[]format.Span] // as far as they are known

	mu    sync.Mutex // guards the fields below
	begun bool       // the first block has been asked for
	looks int        // times that the header was looked at
	asked []int64    // indexes of the blocks asked for, ascending
}

// overlaps reports whether any part of a table lies in s.
func (m *metadata) overlaps(s image.Span) bool {
	known := m.tables.Load()
	return known != nil && slices.ContainsFunc(*known, func(t format.Span) bool { return t.Off < s.End() && s.Off < t.Off+t.Len })
}

// holds reports whether s lies in one table.
func (m *metadata) holds(s image.Span) bool {
	known := m.tables.Load()
	return known != nil && slices.ContainsFunc(*known, func(t format.Span) bool { return t.Off <= s.Off && s.End() <= t.Off+t.Len })
}

// kernelAhead is how far the kernel reads ahead of a program on a mount, in bytes, where
// it may (fs.Mount sets it).
const kernelAhead = 1 << 20

// opens reports whether a read belongs to opening a disk of the format: to what programs
// read of it in one piece, or to what the kernel reads ahead of that.
func opens(disk string, read image.Span) bool {
	n := format.Preamble(disk)
	return n > 0 && read.End() <= n+kernelAhead
}

// before is told a read of n bytes at off and returns what to fetch with it.
func (m *metadata) before(f *cache.File, disk string, off, n int64) []image.Span {
	read := image.Span{Off: off, Len: n}.Clip(f.Size())
	if m.over.Load() || off < 0 || read.Len <= 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun {
		if !m.overlaps(read) {
			return nil
		}
		m.take(read, metadataMost)
		return runs(m.look(f, metadataMost), f.Size())
	}
	if off >= cache.BlockSize {
		return nil
	}
	m.begun = true
	own := m.take(read, metadataMost)
	var more []int64
	for _, s := range format.Opening(disk, f.Size()) {
		more = append(more, m.take(image.Span(s), loneRead)...)
	}
	if len(more) == 0 {
		return nil // the read asks for its own blocks itself
	}
	return runs(append(own, more...), f.Size())
}

// after is told a read at off that has been made, and returns what its bytes say to
// fetch next.
func (m *metadata) after(f *cache.File, off int64) []image.Span {
	if m.over.Load() || off >= cache.BlockSize {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.begun || m.looks > 0 {
		return nil
	}
	return runs(m.look(f, loneRead), f.Size())
}

// look learns from the cached bytes where the tables are, and takes them. m.mu is
// held.
func (m *metadata) look(f *cache.File, most int64) (fresh []int64) {
	m.looks++
	known, err := format.Metadata(cachedBytes{f}, f.Size())
	if err != nil || len(known) == 0 || m.looks == mostLooks {
		m.over.Store(true)
	}
	m.tables.Store(&known)
	for _, s := range known {
		fresh = append(fresh, m.take(image.Span(s), most)...)
	}
	return fresh
}

// take returns the blocks of s that are not asked for yet, and notes them, until
// most bytes are asked for in all. m.mu is held.
func (m *metadata) take(s image.Span, most int64) (fresh []int64) {
	for index := s.Off / cache.BlockSize; index < cache.Blocks(s.End()); index++ {
		at, old := slices.BinarySearch(m.asked, index)
		if old {
			continue
		}
		if int64(len(m.asked)+1)*cache.BlockSize > most {
			break
		}
		m.asked = slices.Insert(m.asked, at, index)
		fresh = append(fresh, index)
	}
	return fresh
}

// runs joins blocks to spans of an image of size bytes.
func runs(blocks []int64, size int64) (spans []image.Span) {
	slices.Sort(blocks)
	for _, index := range blocks {
		s := cache.BlockSpan(index, size)
		if last := len(spans) - 1; last >= 0 && spans[last].End() == s.Off {
			spans[last].Len += s.Len
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// cachedBytes are the bytes of an image that are in memory.
type cachedBytes struct{ file *cache.File }

func (c cachedBytes) ReadAt(p []byte, off int64) (int, error) {
	if n := c.file.Cached(p, off); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

// fetchMetadata fetches spans of metadata, unless memory is so short that they
// would not stay until they are read.
func (r *Reader) fetchMetadata(spans []image.Span) {
	if len(spans) > 0 && r.engine.means(time.Now()).bytes >= metadataMost {
		r.file.Prefetch(spans...)
	}
}
