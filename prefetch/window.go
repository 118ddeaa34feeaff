package prefetch

import (
	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

const (
	// firstWindow is how far ahead of a second sequential read to fetch at least,
	// in bytes. 512 KiB: two requests of the smallest size that still pays on a
	// service where each costs 10 ms, and little waste where the reader stops there.
	firstWindow = 512 << 10

	// firstReads is how many reads of the run's own length the first window holds
	// at least: with fewer, the next read reaches past what the last one fetched.
	firstReads = 4

	// wholeReads is the same for a run that begins where the image does with reads of
	// wholeRead bytes or more: who reads so mostly reads the image to its end, and
	// each doubling would cost a round trip.
	wholeReads = 16
	wholeRead  = 512 << 10

	// smallChunk is the smallest request ahead of a reader, in bytes (but at the
	// end of the image): two blocks, the most that a lone small read may cost.
	smallChunk = 2 * cache.BlockSize

	// wideChunk is the smallest request ahead of a reader whose window holds four of
	// them, in bytes: behind 20 ms of round trip and 50 MB/s a connection works half
	// of its time at 1 MiB.
	wideChunk = 1 << 20

	// backChunk is the largest request ahead of a backward reader, in bytes. A
	// body comes in ascending order, so its end, which that reader needs first,
	// comes last: 1 MiB is 20 ms at 50 MB/s, about a round trip.
	backChunk = 1 << 20

	// maxTracks is how many runs one handle may have at once: qemu-img convert
	// reads with eight coroutines, each sequential for some mebibytes.
	maxTracks = 8

	// disorder is how far behind the furthest read of a run another read of the
	// same run may be, in bytes. The kernel sends several READs at once; eight
	// coroutines with 2 MiB each are at most 16 MiB apart.
	disorder = 16 << 20

	// liveFor is how many accesses to other runs a run outlives: until then it
	// keeps its share of the handle's limit.
	liveFor = 64
)

// window is the read-ahead policy of one handle: it is told every read and names
// the spans to fetch ahead. It takes no lock, no clock and no context.
//
// Reads that continue each other form a track. A first read fetches nothing ahead,
// so a random reader never does; the second opens a window of firstWindow, which
// doubles when a reader has to wait although it has come a quarter of the window further
// since the last time, up to the limit it is told. So what is fetched ahead of a run is
// about four times as long as the run at most, but for the first window.
type window struct {
	size   int64 // of the image, bytes
	clock  int64 // accesses so far
	tracks []track
}

// track is one sequential run.
type track struct {
	low, high int64 // bytes: the run so far
	last      int64 // length of the longest read, bytes: the scale of a gap
	forward   int   // reads that went on where the run ended
	backward  int   // successive reads that went on before it began
	length    int64 // of the window, bytes; 0 while nothing is fetched ahead
	ahead     int64 // fetched ahead up to here (backward: down to here), bytes
	mark      int64 // a wait for bytes beyond this offset doubles the window
	used      int64 // clock of the last access
}

// means are what the readers of one handle may use now.
type means struct {
	bytes    int64 // ahead of them
	requests int64 // at once for each run, about
}

// note is told a read of n bytes at off, inside the image, before it is made, whether
// it has to wait, and the means. It appends the spans to fetch ahead to want, the most
// urgent first, and returns what was fetched ahead for a run that is forgotten now.
func (w *window) note(want []image.Span, off, n int64, wait bool, m means) (ahead []image.Span, drop image.Span) {
	if n <= 0 {
		return want, image.Span{}
	}
	w.clock++
	t := w.find(off, n)
	if t == nil {
		return want, w.begin(off, n)
	}
	wasForward := t.isForward()
	t.used = w.clock
	t.last = max(t.last, n)
	end := off + n
	switch {
	case end > t.high:
		t.forward++
		t.backward = 0
	case off < t.low:
		t.backward++
	}
	t.high, t.low = max(t.high, end), min(t.low, off)
	if t.length == 0 {
		// Two READs of one forward run may arrive in the wrong order, so going
		// back has to be seen twice; and nobody goes back beyond the beginning.
		switch {
		case t.forward > 0 || t.backward > 0 && t.low == 0 && n >= cache.BlockSize:
			t.forward = max(1, t.forward)
			t.ahead = t.high
		case t.backward > 1:
			t.ahead = t.low
		default:
			return want, image.Span{}
		}
		t.length = max(firstWindow, firstReads*t.last)
		if t.isForward() && t.low == 0 && n >= wholeRead && t.high >= 2*wholeRead {
			t.length = wholeReads * t.last
		}
		t.setMark()
	} else if wasForward != t.isForward() {
		t.setMark()
	} else if wait && t.beyondMark(off, n) {
		t.length *= 2
		t.setMark()
	}
	m.bytes = w.share(m.bytes)
	return t.plan(want, m, w.size), image.Span{}
}

// streaming reports whether a run of the handle is fetched ahead of.
func (w *window) streaming() bool {
	for i := range w.tracks {
		if w.tracks[i].length > 0 && w.live(&w.tracks[i]) {
			return true
		}
	}
	return false
}

// lengths are those of the windows of all runs that go on, in bytes.
func (w *window) lengths() (all []int64) {
	for i := range w.tracks {
		if t := &w.tracks[i]; t.length > 0 && w.live(t) {
			all = append(all, t.length)
		}
	}
	return all
}

func (w *window) live(t *track) bool { return w.clock-t.used <= liveFor }

// share divides the handle's limit among its runs that go on.
func (w *window) share(limit int64) int64 {
	runs := int64(0)
	for i := range w.tracks {
		if w.tracks[i].length > 0 && w.live(&w.tracks[i]) {
			runs++
		}
	}
	return limit / max(1, runs)
}

// find returns the track that the read belongs to; nil when it begins a new one.
func (w *window) find(off, n int64) *track {
	var best *track
	distance := int64(0)
	for i := range w.tracks {
		t := &w.tracks[i]
		if !t.holds(off, n) {
			continue
		}
		if d := t.distance(off, n); best == nil || d < distance {
			best, distance = t, d
		}
	}
	return best
}

// begin makes the read a track of its own, in place of the one that was longest
// without a read when there are too many, and returns what was fetched ahead for
// that one.
func (w *window) begin(off, n int64) (drop image.Span) {
	fresh := track{low: off, high: off + n, last: n, used: w.clock}
	if len(w.tracks) < maxTracks {
		w.tracks = append(w.tracks, fresh)
		return image.Span{}
	}
	oldest := &w.tracks[0]
	for i := range w.tracks {
		if w.tracks[i].used < oldest.used {
			oldest = &w.tracks[i]
		}
	}
	drop = oldest.unread()
	*oldest = fresh
	return drop
}
