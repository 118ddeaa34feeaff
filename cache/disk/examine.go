package disk

import (
	"context"

	"github.com/imagefs/imagefs/image"
)

// Examined is what Examine has found of an image.
type Examined struct {
	Intact  int64 // blocks that have their checksums
	Damaged int64 // blocks that had not, and are dropped
	Hash    Verdict
	// Files that Pin has handed out and that have bytes which were found wrong: Open have
	// the right ones as soon as the blocks are written again, Lost never.
	Open, Lost int
}

// Verdict is what comparing an image with its hash has come to.
type Verdict int

// The verdicts.
const (
	NoVerdict Verdict = iota // it has no hash, or is not there whole
	Right
	Wrong // and so it is dropped
)

// Examine reads all blocks of an image that are on disk and compares them with their
// checksums, and a whole image with its hash, whatever was found before. It does to what is
// wrong what a reader and the verifier do, and rests while the cache is in use. told is
// called, by the caller's goroutine, with the bytes read and those to read. When ctx ends,
// what was found by then stands beside the error.
func (s *Store) Examine(ctx context.Context, key image.Key, size int64, told func(done, total int64)) (Examined, error) {
	var e Examined
	c := s.known(key, size)
	if c == nil {
		return e, nil
	}
	c.io.RLock()
	removals, pins := c.removals, c.pins
	c.io.RUnlock()
	sum := c.hash.New()
	total := s.Held(key, size)
	noted, ended := c.noteReading(total)
	defer ended()
	buf := make([]byte, s.blockSize)
	pace := pace{store: s}
	for _, index := range c.indexes() {
		if !c.has(index) {
			continue
		}
		if !pace.wait(ctx) {
			return e, ctx.Err()
		}
		p := buf[:c.blockLen(index)]
		switch _, found := c.look(index, p); found {
		case damaged:
			e.Damaged++
		case intact:
			e.Intact++
			if sum != nil {
				sum.Write(p)
			}
		}
		told(min(noted.done.Add(int64(len(p))), total), total)
	}
	switch {
	case sum == nil || e.Intact < c.blocks:
	case c.hash.Matches(sum):
		e.Hash = Right
		if f, now := c.beginVerify(); f != nil { // it was not verified, or touched since
			if now == removals && s.sys.sync(f) == nil {
				c.match(f, removals)
			}
			_ = f.Close() // it was only read
		}
	default:
		e.Hash = Wrong
		c.mismatch(removals)
	}
	if e.Damaged > 0 || e.Hash == Wrong {
		c.io.RLock()
		defer c.io.RUnlock()
		if c.pins == pins {
			e.Open = pins.count
		} else { // the files were removed
			e.Lost = pins.count
		}
	}
	return e, nil
}
