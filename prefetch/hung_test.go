package prefetch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/imagefs/imagefs/cache"
	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// speechless is a log that does not take its first warning until it may. The disk warns of a
// damaged block with the files of the image held, as it holds them while the kernel does not
// answer.
type speechless struct {
	slog.Handler
	asked, may chan struct{}
	once       *sync.Once
}

func (s speechless) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (s speechless) Handle(context.Context, slog.Record) error {
	s.once.Do(func() {
		close(s.asked)
		<-s.may
	})
	return nil
}

// TestSpoolBesideHungDisk: while the disk does not answer to a write, readers of a spool get
// what the stream brings, hear that they are interrupted, and can close; and the engine
// goes on.
func TestSpoolBesideHungDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	log := speechless{Handler: slog.DiscardHandler, asked: make(chan struct{}), may: make(chan struct{}), once: &sync.Once{}}
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
	var examining sync.WaitGroup
	t.Cleanup(func() {
		close(log.may)
		examining.Wait()
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
	damage(t, dir)
	examining.Go(func() {
		if _, err := store.Examine(context.Background(), img.Key("http://test"), img.Size, func(int64, int64) {}); err != nil {
			t.Error(err)
		}
	})
	<-log.asked

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

// damage changes a byte of the only file of blocks below dir.
func damage(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.data"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, 17); err != nil {
		t.Fatal(err)
	}
	p[0] ^= 1
	if _, err := f.WriteAt(p, 17); err != nil {
		t.Fatal(err)
	}
}
