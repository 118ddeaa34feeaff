package prefetch

import (
	"testing"
	"time"
)

// BenchmarkColdSequential reads 64 MiB once, in READs of 128 KiB by one reader,
// from a service 20 ms away that gives 50 MB/s to each connection: one of them
// alone would reach 50.
func BenchmarkColdSequential(b *testing.B) {
	for _, bench := range []struct {
		name      string
		wholeOnly bool
	}{{"spans", false}, {"whole", true}} {
		b.Run(bench.name, func(b *testing.B) {
			const size = 64 << 20
			b.SetBytes(size)
			p := make([]byte, unit)
			var requests int
			for b.Loop() {
				v := &service{latency: 20 * time.Millisecond, rate: 50e6, wholeOnly: bench.wholeOnly, blank: true}
				e := newEngine(b, v, 256<<20, 16)
				r := open(b, e, "a", size)
				for off := int64(0); off < size; off += unit {
					if _, err := r.ReadAt(b.Context(), p, off); err != nil {
						b.Fatal(err)
					}
				}
				requests = len(v.spans) + v.streams()
			}
			b.ReportMetric(float64(requests), "requests/op")
		})
	}
}

// BenchmarkWarmRead reads what is in memory through a reader: the policy and the
// copy.
func BenchmarkWarmRead(b *testing.B) {
	const size = 32 << 20
	e := newEngine(b, &service{blank: true}, 128<<20, 4)
	r := open(b, e, "a", size)
	p := make([]byte, unit)
	b.SetBytes(unit)
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := r.ReadAt(b.Context(), p, off); err != nil {
			b.Fatal(err)
		}
		off = (off + unit) % size
	}
}
