package prefetch

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// player plays reads against a window and keeps the books.
type player struct {
	fatal           func(format string, args ...any)
	w               window
	limit, requests int64
	had             map[int64]bool // blocks that were read or fetched ahead
	ahead           int64          // bytes fetched ahead in all
	spans           []image.Span
	found           int // reads whose blocks all were there already
	reads           int
}

func play(fatal func(string, ...any), size, limit int64) *player {
	return &player{fatal: fatal, w: window{size: size}, limit: limit, requests: 16, had: map[int64]bool{}}
}

// take checks what the window asks for.
func (p *player) take(want []image.Span) {
	for _, s := range want {
		if s.Off < 0 || s.Len <= 0 || s.End() > p.w.size {
			p.fatal("span %+v outside of %d bytes", s, p.w.size)
		}
		if s.Off%cache.BlockSize != 0 {
			p.fatal("span %+v", s)
		}
		p.ahead += s.Len
		p.spans = append(p.spans, s)
		for i := s.Off / cache.BlockSize; i*cache.BlockSize < s.End(); i++ {
			p.had[i] = true
		}
	}
	if len(want) > 0 {
		last := want[len(want)-1]
		for i := range p.w.tracks {
			t := &p.w.tracks[i]
			// Another run may end at the same block, with a window that has shrunk since.
			if !t.isForward() || t.ahead != last.End() || t.used != p.w.clock {
				continue
			}
			if ahead := t.unread().Len; ahead > t.length || ahead > p.limit {
				p.fatal("%d bytes ahead, window %d, limit %d", ahead, t.length, p.limit)
			}
		}
	}
	if len(p.w.tracks) > maxTracks {
		p.fatal("%d tracks", len(p.w.tracks))
	}
}

// read plays one read; it waited when some of its blocks were not there, or wait is
// set.
func (p *player) read(off, n int64, wait bool) {
	n = image.Span{Off: off, Len: n}.Clip(p.w.size).Len
	if n <= 0 {
		return
	}
	all := true
	for i := off / cache.BlockSize; i*cache.BlockSize < off+n; i++ {
		all = all && p.had[i]
		p.had[i] = true
	}
	p.reads++
	if all {
		p.found++
	}
	want, drop := p.w.note(nil, off, n, !all || wait, means{p.limit, p.requests})
	if drop.Len < 0 || drop.Len > 0 && (drop.Off < 0 || drop.End() > p.w.size) {
		p.fatal("drop %+v", drop)
	}
	p.take(want)
}

func TestFirstReadFetchesNothingAhead(t *testing.T) {
	p := play(t.Fatalf, gib, gib)
	p.read(0, 128*kib, true)
	if p.ahead != 0 {
		t.Errorf("%d bytes ahead of one read", p.ahead)
	}
	p.read(128*kib, 128*kib, true)
	if p.ahead != firstWindow {
		t.Errorf("%d bytes ahead of a second", p.ahead)
	}
}

func TestWindowDoublesOnlyForWaits(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	for i := range int64(400) {
		p.read(i*128*kib, 128*kib, false)
	}
	if got := p.w.tracks[0].length; got != firstWindow {
		t.Errorf("window of %d for a reader that never waits", got)
	}
	for i := int64(400); i < 4000; i++ {
		p.read(i*128*kib, 128*kib, true)
		if got := p.w.tracks[0].length; got > 64*mib {
			t.Fatalf("window of %d", got)
		}
	}
	if got := p.w.tracks[0].length; got != 64*mib {
		t.Errorf("window of %d for a reader that always waits", got)
	}
	p.limit = 8 * mib // memory is short now
	p.read(4000*128*kib, 128*kib, true)
	if got := p.w.tracks[0].length; got != 8*mib {
		t.Errorf("window of %d within a limit of 8 MiB", got)
	}
	p.limit = 0
	before := p.ahead
	for i := int64(4001); i < 5000; i++ {
		p.read(i*128*kib, 128*kib, true)
	}
	if p.ahead != before {
		t.Errorf("%d bytes ahead without memory", p.ahead-before)
	}
}

func TestWholeImageBeginsWide(t *testing.T) {
	for _, tt := range []struct{ off, n, want int64 }{
		{0, 512 * kib, 8 * mib},
		{0, 256 * kib, 1 * mib},
		{0, 384 * kib, 1536 * kib},
		{gib / 2, 512 * kib, 2 * mib},
	} {
		p := play(t.Fatalf, gib, 64*mib)
		p.read(tt.off, tt.n, true)
		p.read(tt.off+tt.n, tt.n, true)
		if p.ahead != tt.want {
			t.Errorf("%d KiB ahead of two reads of %d KiB at %d MiB", p.ahead/kib, tt.n/kib, tt.off/mib)
		}
	}
}

// TestFewRequestsAreLong: where the service wants few requests, the window is divided
// into that many.
func TestFewRequestsAreLong(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	p.requests = 2
	for off := int64(0); off < gib; off += 512 * kib {
		p.read(off, 512*kib, true)
	}
	if n := len(p.spans); n > 64 {
		t.Errorf("%d requests for 1 GiB", n)
	}
}

func TestSequentialNeedsFewRequests(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	for off := int64(0); off < gib; off += 128 * kib {
		p.read(off, 128*kib, true)
	}
	if n := len(p.spans); n > 350 { // 256 of 4 MiB, and those of the growing window and of the end
		t.Errorf("%d requests for 1 GiB", n)
	}
	if p.ahead > gib {
		t.Errorf("%d bytes for 1 GiB", p.ahead)
	}
}

func TestPatterns(t *testing.T) {
	const n = 128 * kib
	for _, tt := range []struct {
		name  string
		play  func(p *player)
		found float64 // least part of reads that found their blocks on the way
		ahead int64   // most bytes fetched ahead
	}{
		{"small sequential reads", func(p *player) {
			for off := int64(0); off < 16*mib; off += 4 * kib {
				p.read(off, 4*kib, false)
			}
		}, 0.99, 17 * mib},
		{"pairs in the wrong order", func(p *player) {
			for off := int64(0); off < 64*mib; off += 2 * n {
				p.read(off+n, n, false)
				p.read(off, n, false)
			}
		}, 0.98, 65 * mib},
		{"backward", func(p *player) {
			for off := 128 * mib; off > 64*mib; off -= n {
				p.read(off-n, n, false)
			}
		}, 0.98, 65 * mib},
		{"four streams in one handle", func(p *player) {
			for off := int64(0); off < 32*mib; off += n {
				for s := range int64(4) {
					p.read(s*200*mib+off, n, false)
				}
			}
		}, 0.98, 4 * 33 * mib},
		{"eight coroutines of two mebibytes", func(p *player) {
			r := rand.New(rand.NewPCG(1, 1))
			var at, stop [8]int64
			next := int64(0)
			for next < 256*mib {
				c := r.IntN(8)
				if at[c] == stop[c] {
					at[c], stop[c] = next, next+2*mib
					next += 2 * mib
				}
				p.read(at[c], n, false)
				at[c] += n
			}
		}, 0.85, 300 * mib}, // the chunks overlap by their windows
		{"two mebibytes apart", func(p *player) {
			for off := int64(0); off < 900*mib; off += 2 * mib {
				p.read(off, 4*kib, false)
			}
		}, 0, 0},
		{"the same again and again", func(p *player) {
			for range 100 {
				p.read(0, 4*kib, false)
			}
		}, 0.9, 0},
		{"uniform", func(p *player) {
			r := rand.New(rand.NewPCG(2, 2))
			for range 5000 {
				p.read(r.Int64N(gib), 4*kib, false)
			}
		}, 0, 4 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t.Fatalf, gib, 64*mib)
			tt.play(p)
			if found := float64(p.found) / float64(p.reads); found < tt.found {
				t.Errorf("%.3f of the reads found their blocks on the way", found)
			}
			if p.ahead > tt.ahead {
				t.Errorf("%d KiB were fetched ahead", p.ahead/kib)
			}
		})
	}
}

func TestForgottenRunsDropWhatIsAhead(t *testing.T) {
	w := window{size: 100 * gib}
	w.note(nil, 0, 128*kib, true, means{gib, 16})
	w.note(nil, 128*kib, 128*kib, true, means{gib, 16})
	var dropped image.Span
	for i := int64(1); i <= maxTracks; i++ {
		if _, drop := w.note(nil, i*gib, 4*kib, true, means{gib, 16}); drop.Len > 0 {
			dropped = drop
		}
	}
	if want := (image.Span{Off: 256 * kib, Len: firstWindow}); dropped != want {
		t.Errorf("dropped %+v, want %+v", dropped, want)
	}
}

// TestWindowProperties plays random mixtures: nothing outside of the image, no
// window over its limit.
func TestWindowProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 2*gib).Draw(t, "size")
		p := play(t.Fatalf, size, 0)
		at := rapid.Int64Range(0, size-1).Draw(t, "start")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p.limit = rapid.Int64Range(0, 100*mib).Draw(t, "limit")
			n := rapid.Int64Range(1, mib).Draw(t, "n")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				at = rapid.Int64Range(0, size-1).Draw(t, "seek")
			case 1:
				at = max(0, at-2*n)
			}
			for range rapid.IntRange(1, 20).Draw(t, "run") {
				p.read(at, n, rapid.Bool().Draw(t, "wait"))
				at = min(at+n, size-1)
			}
		}
		for i := range p.w.tracks {
			if length := p.w.tracks[i].length; length > 100*mib {
				t.Fatalf("window of %d", length)
			}
		}
	})
}

// TestSequentialIsCovered: whatever the size of the reads and of the image, a
// sequential reader finds everything behind its second read fetched ahead, each
// byte at most once.
func TestSequentialIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 200*mib).Draw(t, "size")
		n := rapid.Int64Range(4*kib, mib).Draw(t, "n")
		p := play(t.Fatalf, size, rapid.Int64Range(4*mib, 64*mib).Draw(t, "limit"))
		p.requests = rapid.Int64Range(1, 32).Draw(t, "requests")
		slow := rapid.Bool().Draw(t, "slow")
		for off := int64(0); off < size; off += n {
			before := p.found
			p.read(off, n, slow)
			if off >= 2*n && p.found == before {
				t.Fatalf("the read at %d was not fetched ahead", off)
			}
		}
		last := int64(0)
		for _, s := range p.spans {
			if s.Off < last {
				t.Fatalf("span %+v comes again", s)
			}
			last = s.End()
		}
	})
}

// TestOneLargeReadIsNoWholeImage: both of the first reads must be large.
func TestOneLargeReadIsNoWholeImage(t *testing.T) {
	for _, second := range []int64{4 * kib, 500 * kib} {
		p := play(t.Fatalf, gib, 64*mib)
		p.read(0, mib, true)
		p.read(mib, second, true)
		if p.ahead > 4*mib {
			t.Errorf("%d KiB ahead of reads of 1 MiB and %d KiB", p.ahead/kib, second/kib)
		}
	}
	p := play(t.Fatalf, gib, 64*mib)
	p.read(4*kib, 4*kib, true)
	p.read(0, 4*kib, true)
	if p.ahead != 0 {
		t.Errorf("%d KiB ahead of two small reads, the second before the first", p.ahead/kib)
	}
}

// TestTurningRound: a backward reader that turns round waits for a quarter of its window
// before that doubles, as any other.
func TestTurningRound(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	for off := 600 * mib; off > 500*mib; off -= 128 * kib {
		p.read(off-128*kib, 128*kib, true)
	}
	length := p.w.tracks[0].length
	p.read(600*mib, 128*kib, true)
	p.read(600*mib+128*kib, 128*kib, true)
	if got := p.w.tracks[0].length; got != length {
		t.Errorf("window of %d after %d, two reads after it turned", got, length)
	}
}

func TestTwoReadsInTheWrongOrderOpenNoWindow(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	p.read(mib+128*kib, 128*kib, true)
	p.read(mib, 128*kib, true)
	if p.ahead != 0 {
		t.Errorf("%d bytes ahead", p.ahead)
	}
}

// TestWrongOrderAtTheBeginning: the kernel sends the first READs of an image at once,
// and the daemon takes them in any order.
func TestWrongOrderAtTheBeginning(t *testing.T) {
	p := play(t.Fatalf, gib, 64*mib)
	p.read(512*kib, 512*kib, true)
	p.read(0, 512*kib, true)
	if want := (image.Span{Off: mib, Len: mib}); p.ahead != 8*mib || p.spans[0] != want {
		t.Errorf("%d KiB ahead: %+v", p.ahead/kib, p.spans)
	}
}

func TestRunsOfAHandleShareItsLimit(t *testing.T) {
	p := play(t.Fatalf, 100*gib, 8*mib)
	for off := int64(0); off < 64*mib; off += 128 * kib {
		for s := range int64(4) {
			p.read(s*10*gib+off, 128*kib, true)
		}
	}
	sum := int64(0)
	for i := range p.w.tracks {
		sum += p.w.tracks[i].unread().Len
	}
	if sum > 8*mib || sum < 6*mib {
		t.Errorf("%d KiB ahead of four runs", sum/kib)
	}
}
