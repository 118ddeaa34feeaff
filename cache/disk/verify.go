package disk

import (
	"context"
	"os"
	"runtime"
)

// enqueue asks for the image to be verified, if it can be. Store.mu is not held.
func (s *Store) enqueue(c *contents) {
	if c.hash.New() == nil {
		return
	}
	s.mu.Lock()
	if !c.queued {
		c.queued = true
		s.queue = append(s.queue, c)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next takes an image from the queue; nil when there is none. What it returned
// before is done.
func (s *Store) next() *contents {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifying = len(s.queue) > 0
	if len(s.queue) == 0 {
		return nil
	}
	c := s.queue[0]
	s.queue = s.queue[1:]
	c.queued = false
	return c
}

// verifyAll verifies images one by one until ctx ends. It is a goroutine whose
// thread asks for the disk last, and is not given back: it ends with the goroutine.
func (s *Store) verifyAll(ctx context.Context) {
	runtime.LockOSThread()
	yieldDisk()
	buf := make([]byte, s.blockSize)
	for ctx.Err() == nil {
		if c := s.next(); c != nil {
			c.stamp(ctx, buf)
			c.verify(ctx, buf)
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// verify computes the hash of an image that is complete and acts on it. It reads
// through a file of its own and without io, so that nobody waits for a thread that
// gets the disk last; when blocks are taken away meanwhile there is no verdict.
func (c *contents) verify(ctx context.Context, buf []byte) {
	f, removals := c.beginVerify()
	if f == nil {
		return
	}
	defer f.Close() // it was only read
	noted, ended := c.noteReading(c.id.size)
	defer ended()
	sum := c.hash.New()
	pace := pace{store: c.store}
	var page *page
	for index := range c.blocks {
		if !pace.wait(ctx) {
			return
		}
		if index%pageBlocks == 0 {
			page = c.page(index)
		}
		if page == nil {
			return
		}
		v := page.slots[index%pageBlocks].Load()
		if !isPresent(v) {
			return
		}
		p := buf[:c.blockLen(index)]
		if _, err := f.ReadAt(p, index*c.store.blockSize); err != nil || checksum(p) != sumOf(v) {
			c.io.RLock()
			same := c.removals == removals
			c.io.RUnlock()
			if same {
				c.damaged(index, v)
			}
			return
		}
		sum.Write(p)
		noted.done.Add(int64(len(p)))
	}
	if !c.hash.Matches(sum) {
		c.mismatch(removals)
		return
	}
	// What the header is about to say must not reach the disk before the bytes.
	if c.store.sys.sync(f) == nil {
		c.match(f, removals)
	}
}

// beginVerify opens the data file of an image that is to be verified; nil when it
// is not complete any more or was verified before and is unchanged.
func (c *contents) beginVerify() (*os.File, int64) {
	c.io.Lock()
	defer c.io.Unlock()
	if !c.complete() || c.openFiles(false) != nil {
		return nil, 0
	}
	if err := c.check(c.files); err != nil {
		c.spoiled(err)
		return nil, 0
	}
	if c.unchanged() {
		return nil, 0
	}
	f, err := c.reopen()
	if err != nil {
		return nil, 0
	}
	return f, c.removals
}

// match records that f, all of whose bytes were hashed and are on disk, is right.
func (c *contents) match(f *os.File, removals int64) {
	c.io.Lock()
	defer c.io.Unlock()
	if c.removals != removals || !c.complete() || c.openFiles(false) != nil {
		return
	}
	st, err := stat(f)
	if err != nil || st.Nlink == 0 {
		return
	}
	now := verifiedAs(st)
	c.verified = &now
	if c.writeHeader() != nil {
		c.verified = nil
		return
	}
	c.store.counts.verified.Add(1)
	c.store.log.Debug("cached image has its hash", "image", c.id.key.ID, "algorithm", c.hash.Algorithm)
}

// spoil forgets blocks that are wrong, and lets nobody who has the image open add to
// what comes in their place. io is held exclusively.
func (c *contents) spoil() {
	c.wrong.Add(1)
	c.clear()
}

// mismatch drops an image whose bytes do not have its hash.
func (c *contents) mismatch(removals int64) {
	s := c.store
	c.io.Lock()
	if c.removals != removals {
		c.io.Unlock()
		return
	}
	c.spoil()
	c.io.Unlock()
	c.forget()
	s.counts.mismatched.Add(1)
	s.log.Error("image does not have its hash; reads of it fail for those who have it open",
		"image", c.id.key.ID, "algorithm", c.hash.Algorithm, "want", c.hash.Value)
	if s.onMismatch != nil {
		s.onMismatch(c.id.key)
	}
}
