package cachetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/imagefs/imagefs/cache/disk"
	"github.com/imagefs/imagefs/image"
)

// Flip changes the byte at off of the only data file in the cache directory.
func Flip(t *testing.T, dir string, off int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.data"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	_, err = f.ReadAt(p, off)
	if err == nil {
		p[0] ^= 1
		_, err = f.WriteAt(p, off)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Speechless is a log that does not take its first warning until it may. The disk warns of a
// damaged block with the files of the image held, as it holds them while the kernel does not
// answer.
type Speechless struct {
	slog.Handler
	asked, may chan struct{}
	once       *sync.Once
}

// NewSpeechless returns one, for the Logger of a disk cache that is to Hang.
func NewSpeechless() Speechless {
	return Speechless{Handler: slog.DiscardHandler, asked: make(chan struct{}), may: make(chan struct{}), once: &sync.Once{}}
}

// Enabled is of slog.Handler.
func (s Speechless) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle is of slog.Handler.
func (s Speechless) Handle(context.Context, slog.Record) error {
	s.once.Do(func() {
		close(s.asked)
		<-s.may
	})
	return nil
}

// Hang has the disk cache in dir, whose log this is, hold the files of the only image that it
// has, whose first block it has, until answer is called, which waits for the end of it.
func (s Speechless) Hang(t *testing.T, store *disk.Store, dir string, key image.Key, size int64) (answer func()) {
	t.Helper()
	const within = 17 // any byte of the first block
	Flip(t, dir, within)
	var examining sync.WaitGroup
	examining.Go(func() {
		if _, err := store.Examine(context.Background(), key, size, func(int64, int64) {}); err != nil {
			t.Error(err)
		}
	})
	<-s.asked
	return func() {
		close(s.may)
		examining.Wait()
	}
}
