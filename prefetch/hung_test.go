package prefetch

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/cachetest"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// TestSpoolBesideHungDisk: while the disk does not answer to a write, readers of a spool get
// what the stream brings, hear that they are interrupted, and can close; and the engine
// goes on.
func TestSpoolBesideHungDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	log := cachetest.NewSpeechless()
	store, err := disk.Open(disk.Options{Dir: dir, Limit: gib, BlockSize: cache.BlockSize, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	v := &service{wholeOnly: true, read: func(ctx context.Context, at int64) error {
		if at < 40*mib {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	c := cache.New(cache.Options{Memory: 16 * mib, Streams: 4, Source: v, Disk: store})
	e := New(Options{Cache: c, Whole: v, Service: "http://test", Memory: 16 * mib, Streams: 4})
	t.Cleanup(func() {
		e.Close()
		c.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})

	img := record("a", gib)
	r := e.Open(img)
	expect(t, r, 0, unit)
	for limit := time.Now().Add(time.Minute); onDisk(store, img) == 0 && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	t.Cleanup(log.Hang(t, store, dir, img.Key("http://test"), img.Size))

	done := make(chan struct{})
	go func() {
		defer close(done)
		// Behind what the stream may have brought before.
		for off := 5 * mib; off < 8*mib; off += mib {
			expect(t, r, off, mib)
		}
		ctx, interrupt := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, interrupt)
		if _, err := r.ReadAt(ctx, make([]byte, unit), 100*mib); !image.Is(err, image.Interrupted) {
			t.Errorf("interrupted: %v", err)
		}
		e.Stats()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		other := e.Open(record("b", mib))
		expect(t, other, 0, mib)
		other.Close()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("somebody waits for the disk")
	}
}
