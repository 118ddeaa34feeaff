package disk

import (
	"testing"

	"github.com/imagefs/imagefs/image"
)

// benchBlock is the block size of the cache, in bytes.
const benchBlock = 128 << 10

// benchStore opens a store and an image of size bytes without a hash.
func benchStore(b *testing.B, size int64) *Image {
	b.Helper()
	s, err := Open(Options{Dir: b.TempDir() + "/cache", Limit: 4 << 30, BlockSize: benchBlock})
	must(b, err)
	img := image.Image{ID: "bench", Size: size}
	i := s.Image(img.Key(service), img)
	b.Cleanup(func() {
		i.Close()
		must(b, s.Close())
	})
	return i
}

// BenchmarkWrite stores blocks that are not there, into the page cache.
func BenchmarkWrite(b *testing.B) {
	const size = 512 << 20
	i := benchStore(b, size)
	p := draw(1, benchBlock).bytes
	b.SetBytes(benchBlock)
	b.ReportAllocs()
	index := int64(0)
	for b.Loop() {
		i.Write(index, p)
		if index++; index == size/benchBlock {
			b.StopTimer()
			i.Drop()
			i.wrong++ // as another reference
			b.StartTimer()
			index = 0
		}
	}
}

// BenchmarkRead reads blocks that the kernel has in its page cache.
func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	i := benchStore(b, size)
	p := draw(1, benchBlock).bytes
	for index := range int64(size / benchBlock) {
		i.Write(index, p)
	}
	b.SetBytes(benchBlock)
	b.ReportAllocs()
	index := int64(0)
	for b.Loop() {
		if !i.Read(index, p) {
			b.Fatal("not there")
		}
		index = (index + 1) % (size / benchBlock)
	}
}

// BenchmarkHas is what each block of each read costs first.
func BenchmarkHas(b *testing.B) {
	const size = 64 << 20
	i := benchStore(b, size)
	i.Write(3, make([]byte, benchBlock))
	b.ReportAllocs()
	for b.Loop() {
		if !i.Has(3) {
			b.Fatal("not there")
		}
	}
}

// BenchmarkSweep evicts from a full cache of 100 GiB, a slot of memory for each of
// its blocks: what a writer waits for.
func BenchmarkSweep(b *testing.B) {
	const size = 100 << 30
	s := &Store{blockSize: benchBlock}
	c := s.newContents(identity{key: image.Key{ID: "bench"}, size: size}, image.Digest{})
	k := candidate{of: c}
	for n := range int64(size / benchBlock / pageBlocks) {
		p := &page{}
		for i := range p.slots {
			p.slots[i].Store(makeSlot(1, uint32(1_800_000_000+n)))
		}
		k.pages = append(k.pages, numbered{p, n})
	}
	for b.Loop() {
		if got := oldestStamps([]candidate{k}, maxSweep); got != 1_800_000_000+maxSweep/benchBlock/pageBlocks-1 {
			b.Fatal(got)
		}
	}
}
