package disk

import (
	"os"
	"sync"
)

// pins count the files that were handed out of one pair of files. contents.io is
// held exclusively for both fields.
type pins struct {
	count  int
	charge int64 // bytes that the removed files still take
}

// pin opens the data file for somebody who reads it without asking for blocks.
func (c *contents) pin() (*os.File, func(), bool) {
	if !c.complete() { // who writes a block that is missing holds io
		return nil, nil, false
	}
	c.io.Lock()
	defer c.io.Unlock()
	if !c.complete() {
		return nil, nil, false
	}
	if c.verified == nil {
		c.store.enqueue(c) // should an error have kept it from being verified
		return nil, nil, false
	}
	if c.openFiles(false) != nil {
		return nil, nil, false
	}
	if err := c.check(c.files); err != nil {
		c.spoiled(err)
		return nil, nil, false
	}
	if !c.unchanged() {
		c.store.log.Warn("cached image was touched by somebody else; verified again", "image", c.id.key.ID)
		if c.unverify() {
			c.store.enqueue(c)
		}
		return nil, nil, false
	}
	f, err := c.reopen()
	if err != nil {
		return nil, nil, false
	}
	if !c.whole {
		c.whole = true
		if c.writeHeader() != nil {
			c.whole = false
			_ = f.Close() // it was only opened
			return nil, nil, false
		}
	}
	p := c.pins
	p.count++
	c.store.counts.pinned.Add(1)
	c.touchWhole()
	return f, sync.OnceFunc(func() {
		_ = f.Close() // it was only read
		c.unpin(p)
	}), true
}

// unpin ends one use of a file that was handed out.
func (c *contents) unpin(p *pins) {
	c.io.Lock()
	defer c.io.Unlock()
	c.store.counts.pinned.Add(-1)
	p.count--
	if p != c.pins { // its files were removed meanwhile
		if p.count == 0 {
			c.store.room.used.Add(-p.charge)
		}
		return
	}
	c.touchWhole()
}

// touchWhole makes an image that goes only whole the most recently used: its first
// block's stamp is enough. io is held exclusively.
func (c *contents) touchWhole() {
	if page, slot := c.slot(0); slot != nil && isPresent(slot.Load()) {
		c.touch(page, slot, slot.Load(), c.store.blockSize)
	}
}

// unchanged reports whether the data file is as it was verified. io is held, the
// files are open.
func (c *contents) unchanged() bool {
	st, err := stat(c.files.data)
	return err == nil && c.verified != nil && verifiedAs(st) == *c.verified
}

// reopen opens the data file once more, read-only. io is held, the files are open.
func (c *contents) reopen() (*os.File, error) {
	f, err := c.store.openFile(c.name+dataSuffix, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	ours, err := c.files.data.Stat()
	if err == nil {
		var its os.FileInfo
		if its, err = f.Stat(); err == nil && !os.SameFile(ours, its) {
			err = errSpoiled
		}
	}
	if err != nil {
		_ = f.Close() // it was only opened
		return nil, err
	}
	return f, nil
}
