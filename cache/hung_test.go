package cache

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/cache/disk"
)

// hungDisk returns a cache, and an open image whose disk has block 0 and does not answer any
// more until the test has ended.
func hungDisk(t *testing.T, v *service, memory, size int64) (*Cache, *File) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache")
	log := cachetest.NewSpeechless()
	store, err := disk.Open(disk.Options{Dir: dir, Limit: 1 << 30, BlockSize: BlockSize, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	c := New(Options{Memory: memory, Streams: 2, Source: v, Disk: store})
	t.Cleanup(c.Close)
	f := open(t, c, "a", size)
	expect(t, f, 0, unit)
	key := f.of.id.key
	eventually(t, func() bool { return f.of.onDisk(0) })
	t.Cleanup(log.Hang(t, store, dir, key, size))
	return c, f
}

// eventually waits for what a goroutine of the cache is about to bring.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for limit := time.After(time.Minute); !is(); {
		select {
		case <-limit:
			t.Fatal("it does not come")
		case <-time.After(time.Millisecond):
		}
	}
}

// soon fails the test, and does not hang it, where fn does not return.
func soon(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal(what + " waits for the disk")
	}
}

// A fetch brings its other blocks, and ends, while the disk does not answer to a write.
func TestFetchBesideHungDisk(t *testing.T) {
	c, f := hungDisk(t, &service{}, 64*unit, 100*unit)
	soon(t, "a read", func() { expect(t, f, 2*unit, 20*unit) })
	eventually(t, func() bool { return c.Stats().Running == 0 })
}

// Who closes the last File of an image does not wait for the disk, which may have to note
// what was used.
func TestCloseBesideHungDisk(t *testing.T) {
	c, f := hungDisk(t, &service{}, 64*unit, 100*unit)
	soon(t, "a close", func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	soon(t, "another image", func() { expect(t, open(t, c, "b", 4*unit), 0, 4*unit) })
}
