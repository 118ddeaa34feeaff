package prefetch

import (
	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

const (
	// firstWindow is how far ahead of a second sequential read to fetch at least,
	// in bytes. 512 KiB: two requests of the smallest size that still pays on a
	// service where each costs 4 ms, and little waste where the reader stops there.
	firstWindow = 512 << 10

	// firstReads is how many reads of the run's own length the first window holds
	// at least: with fewer, the next read reaches past what the last one fetched.
	firstReads = 4

	// smallChunk is the smallest request ahead of a reader, in bytes (but at the
	// end of the image): two blocks, the most that a lone small read may cost.
	smallChunk = 2 * cache.BlockSize

	// wideChunk is the smallest request ahead of a reader whose window holds four of
	// them, in bytes: behind 20 ms of round trip and 50 MB/s a connection works two
	// thirds of its time at 2 MiB, so that 16 fill 400 MB/s.
	wideChunk = 2 << 20

	// mostChunks is how many requests a large window is divided into at most: more
	// than fill a link only cost the service more.
	mostChunks = 16

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
// doubles when a reader had to wait although the window had been in force, up to
// the limit it is told.
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
	mark      int64 // a wait beyond this offset doubles the window
	used      int64 // clock of the last access
}

// note is told a read of n bytes at off, inside the image, before it is made, and
// how many bytes may be ahead of this handle's readers. It appends the spans to
// fetch ahead to want, the most urgent first, and returns what was fetched ahead
// for a run that is forgotten now.
func (w *window) note(want []image.Span, off, n, limit int64) (ahead []image.Span, drop image.Span) {
	if n <= 0 {
		return want, image.Span{}
	}
	w.clock++
	t := w.find(off, n)
	if t == nil {
		return want, w.begin(off, n)
	}
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
		// back has to be seen twice.
		switch {
		case t.forward > 0:
			t.ahead = t.high
		case t.backward > 1:
			t.ahead = t.low
		default:
			return want, image.Span{}
		}
		t.length = max(firstWindow, firstReads*t.last)
		want = t.plan(want, w.share(limit), w.size)
		t.mark = t.ahead
		return want, image.Span{}
	}
	return t.plan(want, w.share(limit), w.size), image.Span{}
}

// waited is told that the read of n bytes at off had to wait, after it was made. It
// appends the spans to fetch now that the window is larger, if it is.
func (w *window) waited(want []image.Span, off, n, limit int64) []image.Span {
	t := w.find(off, n)
	if t == nil || t.length == 0 {
		return want
	}
	if t.isForward() && off+n <= t.mark || !t.isForward() && off >= t.mark {
		return want
	}
	share := w.share(limit)
	if t.length >= share {
		return want
	}
	t.length = min(2*t.length, share)
	want = t.plan(want, share, w.size)
	t.mark = t.ahead
	return want
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
