package prefetch

import (
	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/image"
)

// isForward tells the direction of a track that has a window.
func (t *track) isForward() bool { return t.forward > 0 }

// holds reports whether a read of n bytes at off belongs to the run. A run with a
// window takes what lies in its window and, out of order, what lies a little behind
// but not before its own beginning: that would be another run's. One without takes
// only what begins or ends near its ends: twice the length of a read, so that
// random readers of a large image hardly ever look sequential.
func (t *track) holds(off, n int64) bool {
	near := 2 * max(n, t.last)
	end := off + n
	switch {
	case t.length == 0:
		return off >= t.high-near && off <= t.high+near || end >= t.low-near && end <= t.low+near
	case t.isForward():
		return off >= max(t.low-near, t.high-max(t.length, disorder)) && off <= max(t.ahead, t.high+min(near, smallChunk))
	default:
		return end <= min(t.high+near, t.low+max(t.length, disorder)) && end >= min(t.ahead, t.low-min(near, smallChunk))
	}
}

// distance orders the tracks that a read could belong to: bytes between the read
// and where the run goes on.
func (t *track) distance(off, n int64) int64 {
	forward, backward := off-t.high, t.low-(off+n)
	if t.length == 0 {
		return min(abs(forward), abs(backward))
	}
	if t.isForward() {
		return abs(forward)
	}
	return abs(backward)
}

func abs(n int64) int64 { return max(n, -n) }

// unread is what was fetched ahead of the run and not read.
func (t *track) unread() image.Span {
	switch {
	case t.length == 0:
		return image.Span{}
	case t.isForward():
		return image.Span{Off: t.high, Len: max(0, t.ahead-t.high)}
	default:
		return image.Span{Off: t.ahead, Len: max(0, t.low-t.ahead)}
	}
}

// setMark says where the window may double next: a quarter of it further on.
func (t *track) setMark() {
	if t.isForward() {
		t.mark = t.high + t.length/4
	} else {
		t.mark = t.low - t.length/4
	}
}

// beyondMark reports whether the read of n bytes at off reaches beyond the mark.
func (t *track) beyondMark(off, n int64) bool {
	if t.isForward() {
		return off+n > t.mark
	}
	return off < t.mark
}

// plan appends the spans that bring the run its window, as long as the means allow.
// They are whole chunks, but for the end of the image: several requests are under way
// at once, and none is smaller than pays.
func (t *track) plan(want []image.Span, m means, size int64) []image.Span {
	t.length = min(t.length, max(m.bytes, cache.BlockSize))
	length := wholeBlocks(min(t.length, m.bytes))
	if length <= 0 {
		return want
	}
	chunk := min(max(wholeBlocks(max(length/max(fewestRequests, m.requests), min(wideChunk, length/4))), smallChunk), length)
	if t.isForward() {
		return t.planForward(want, length, chunk, size, max(fewestRequests, m.requests))
	}
	return t.planBackward(want, length, min(chunk, backChunk))
}

func wholeBlocks(n int64) int64 { return n / cache.BlockSize * cache.BlockSize }

// lastParts is how many times shorter than others the last requests of an image may be:
// as short as they can be behind a link, and not many of them where each is long
// because it is dear.
const lastParts = 4

// planForward divides the end of the image so that the last requests end together, as
// far as they may be short: a request that is left alone has no more than the rate of
// one connection.
func (t *track) planForward(want []image.Span, length, chunk, size, requests int64) []image.Span {
	// The block that holds the end of the last read came with that read.
	from := max(t.ahead, cache.Blocks(t.high)*cache.BlockSize)
	to := min(wholeBlocks(t.high)+length, size)
	least := max(wholeBlocks(chunk/lastParts), wideChunk)
	for from < to {
		n := min(chunk, max(wholeBlocks((size-from)/(2*requests)), least))
		if to-from < n {
			if to < size {
				break
			}
			n = to - from
		}
		want = append(want, image.Span{Off: from, Len: n})
		from += n
	}
	t.ahead = max(t.ahead, min(from, size))
	return want
}

func (t *track) planBackward(want []image.Span, length, chunk int64) []image.Span {
	from := wholeBlocks(min(t.ahead, t.low))
	to := max(0, cache.Blocks(t.low-length)*cache.BlockSize)
	for from > to && (from-to >= chunk || to == 0) {
		n := min(chunk, from-to)
		from -= n
		want = append(want, image.Span{Off: from, Len: n})
	}
	t.ahead = min(t.ahead, from)
	return want
}
