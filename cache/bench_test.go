package cache

import (
	"fmt"
	"testing"
)

// BenchmarkCachedRead copies resident blocks, in the sizes that the kernel asks
// for.
func BenchmarkCachedRead(b *testing.B) {
	for _, n := range []int64{4 << 10, 128 << 10, 512 << 10} {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			const size = 32 << 20
			c := newCache(b, &service{}, 64<<20, 4)
			f := open(b, c, "a", size)
			expect(b, f, 0, size)
			p := make([]byte, n)
			b.SetBytes(n)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := f.ReadAt(b.Context(), p, off); err != nil {
					b.Fatal(err)
				}
				off = (off + n) % size
			}
		})
	}
}

// BenchmarkMissingRead fetches every block anew from a service without latency
// that costs nothing: what the cache itself takes for a block.
func BenchmarkMissingRead(b *testing.B) {
	c := newCache(b, &service{blank: true}, 16<<20, 4)
	f := open(b, c, "a", 1<<40)
	p := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := f.ReadAt(b.Context(), p, off); err != nil {
			b.Fatal(err)
		}
		off += 1 << 20
	}
}
