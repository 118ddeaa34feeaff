package cache

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// takeAll leaves no room among the blocks that wait for the disk, as a disk does that
// does not take them; giveAll ends that.
func takeAll(c *Cache) (giveAll func()) {
	for range mostUnwritten {
		c.unwritten <- struct{}{}
	}
	return func() {
		for range mostUnwritten {
			<-c.unwritten
		}
	}
}

// TestReadersDoNotWaitForTheDisk: who waits for a block gets it before the disk does.
func TestReadersDoNotWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := onDisk(t, &service{}, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
		f := open(t, c, "a", 100*unit)
		giveAll := takeAll(c)
		begun := time.Now()
		expect(t, f, 0, unit)
		if took := time.Since(begun); took != 0 {
			t.Errorf("took %v", took)
		}
		if f.of.onDisk(0) {
			t.Error("on a disk that takes nothing")
		}
		giveAll()
		synctest.Wait()
		if !f.of.onDisk(0) {
			t.Error("not on the disk, which takes it now")
		}
	})
}

// TestStuckDisk: fetches wait for a disk that takes nothing once, then read on without
// it, and come back to it later.
func TestStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &service{}
		c := onDisk(t, v, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
		f := open(t, c, "a", 100*unit)
		giveAll := takeAll(c)
		begun := time.Now()
		expect(t, f, 0, 20*unit)
		if took := time.Since(begun); took != diskPatience {
			t.Errorf("took %v", took)
		}
		expect(t, f, 30*unit, 20*unit)
		if took := time.Since(begun); took != diskPatience {
			t.Errorf("took %v", took)
		}
		giveAll()
		expect(t, f, 60*unit, 2*unit)
		synctest.Wait()
		if f.of.onDisk(0) || !f.of.onDisk(60) {
			t.Errorf("on disk: %v, %v", f.of.onDisk(0), f.of.onDisk(60))
		}
		time.Sleep(2 * diskPause)
		giveAll = takeAll(c)
		begun = time.Now()
		expect(t, f, 70*unit, 20*unit)
		if took := time.Since(begun); took != diskPatience {
			t.Errorf("took %v", took)
		}
		giveAll()
		synctest.Wait()
	})
}

// TestClockSetBackWhileDiskIsStuck: a disk is not passed over for longer than a pause, also
// where the clock was set back meanwhile.
func TestClockSetBackWhileDiskIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := onDisk(t, &service{}, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
		f := open(t, c, "a", 100*unit)
		giveAll := takeAll(c)
		c.diskStuck.Store(time.Now().Add(time.Hour + diskPause).UnixNano())
		time.AfterFunc(diskPatience/2, giveAll)
		expect(t, f, 0, unit)
		time.Sleep(diskPatience)
		synctest.Wait()
		if !f.of.onDisk(0) {
			t.Error("the disk is still passed over")
		}
	})
}

// TestCloseDoesNotWaitForAStuckDisk: what waits for room is given up.
func TestCloseDoesNotWaitForAStuckDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := onDisk(t, &service{}, filepath.Join(t.TempDir(), "cache"), 64*unit, nil)
		f := open(t, c, "a", 100*unit)
		giveAll := takeAll(c)
		expect(t, f, 0, unit)
		begun := time.Now()
		c.Close()
		if took := time.Since(begun); took != 0 {
			t.Errorf("took %v", took)
		}
		giveAll()
	})
}

// TestClosedFileIsWritten: what was fetched for a File that has closed meanwhile is kept,
// and then nothing of the image is left in memory.
func TestClosedFileIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "cache")
		v := &service{}
		c := onDisk(t, v, dir, unit, nil) // a block and what it costs do not fit
		img := record("a", 4*unit)
		f := c.Open(img.Key("http://test"), img)
		giveAll := takeAll(c)
		if n, err := f.ReadAt(t.Context(), make([]byte, unit), 0); n != int(unit) || err != nil {
			t.Error(n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		giveAll()
		synctest.Wait()
		if n := len(c.images); n != 0 {
			t.Errorf("%d images are left", n)
		}
		g := open(t, c, "a", 4*unit)
		expect(t, g, 0, unit)
		if n := len(v.requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}
