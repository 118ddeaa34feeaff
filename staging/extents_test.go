package staging

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// bits is the model of extents: one bool a byte.
type bits []bool

func (b bits) check(t *rapid.T, e *extents) {
	at, last := 0, int64(-1)
	for _, list := range e.runs {
		if len(list) == 0 || len(list) > maxRun {
			t.Fatalf("a run of %d extents", len(list))
		}
		for _, x := range list {
			if x.off <= last || x.end <= x.off {
				t.Fatalf("extent %v after one that ends at %d", x, last)
			}
			last = x.end
			for ; at < int(x.off); at++ {
				if b[at] {
					t.Fatalf("byte %d is missing", at)
				}
			}
			for ; at < int(x.end); at++ {
				if !b[at] {
					t.Fatalf("byte %d is too many", at)
				}
			}
		}
	}
	for ; at < len(b); at++ {
		if b[at] {
			t.Fatalf("byte %d is missing", at)
		}
	}
}

// at is the model's extents.at.
func (b bits) at(off int) (bool, int64) {
	for i := off; i < len(b); i++ {
		if b[i] != b[off] {
			return b[off], int64(i)
		}
	}
	if b[off] {
		return true, int64(len(b))
	}
	return false, math.MaxInt64
}

// TestExtentsAgainstBitmap begins with so many extents that there are several
// runs, and compares random changes with a bitmap.
func TestExtentsAgainstBitmap(t *testing.T) {
	const size = 5 * maxRun
	rapid.Check(t, func(t *rapid.T) {
		var e extents
		model := make(bits, size)
		if rapid.Bool().Draw(t, "crowded") {
			for i := 0; i < size; i += 2 {
				e.add(int64(i), int64(i+1))
				model[i] = true
			}
		}
		length := rapid.OneOf(rapid.IntRange(0, 8), rapid.IntRange(0, size))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			off := rapid.IntRange(0, size-1).Draw(t, "off")
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				had := false
				for i := off; i < size; i++ {
					had = had || model[i]
					model[i] = false
				}
				if got := e.cut(int64(off)); got != had {
					t.Fatalf("cut says %v, want %v", got, had)
				}
			} else {
				end := min(size, off+length.Draw(t, "length"))
				changed := false
				for i := off; i < end; i++ {
					changed = changed || !model[i]
					model[i] = true
				}
				if got := e.add(int64(off), int64(end)); got != changed {
					t.Fatalf("add says %v, want %v", got, changed)
				}
			}
			probe := rapid.IntRange(0, size-1).Draw(t, "probe")
			in, end := e.at(int64(probe))
			if wantIn, wantEnd := model.at(probe); in != wantIn || end != wantEnd {
				t.Fatalf("at(%d) = %v %d, want %v %d", probe, in, end, wantIn, wantEnd)
			}
		}
		model.check(t, &e)
		copied := e.clone()
		again, err := decodeExtents(e.encode(), size)
		if err != nil {
			t.Fatal(err)
		}
		e.cut(0)
		model.check(t, &copied)
		model.check(t, &again)
	})
}

func TestDecodeExtentsRefuses(t *testing.T) {
	for name, in := range map[string][]int64{
		"odd":               {1},
		"negative gap":      {-1, 2},
		"negative length":   {1, -2},
		"empty":             {1, 0},
		"touching":          {0, 4, 0, 4},
		"beyond the limit":  {0, 101},
		"overflow":          {1, math.MaxInt64},
		"overflow of a gap": {0, 1, math.MaxInt64, 1},
	} {
		if _, err := decodeExtents(in, 100); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// BenchmarkExtentsRandom adds 4 KiB extents at random to a set of many.
func BenchmarkExtentsRandom(b *testing.B) {
	var e extents
	r := rand.New(rand.NewPCG(1, 2))
	for range b.N {
		off := r.Int64N(1<<30) * 4096
		e.add(off, off+4096)
	}
	b.ReportMetric(float64(e.count()), "extents")
}
