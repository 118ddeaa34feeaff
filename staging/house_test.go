package staging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/imagefs/imagefs/image"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const service = "http://glance.test/v2"

// tester is what *testing.T and *rapid.T have in common here.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, Service: service, Project: "p"})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func create(t tester, s *Store, spec Spec) *Draft {
	t.Helper()
	d, err := s.Create(spec)
	must(t, err)
	return d
}

func write(t tester, d *Draft, text string, off int64) {
	t.Helper()
	n, err := d.WriteAt(context.Background(), []byte(text), off)
	must(t, err)
	if n != len(text) {
		t.Fatalf("wrote %d of %d bytes", n, len(text))
	}
}

// contents reads the whole draft.
func contents(t tester, d *Draft) []byte {
	t.Helper()
	p := make([]byte, d.Size()+1)
	n, err := d.ReadAt(context.Background(), p, 0)
	if !errors.Is(err, io.EOF) || n != len(p)-1 {
		t.Fatalf("read %d of %d bytes: %v", n, len(p)-1, err)
	}
	return p[:n]
}

func wantKind(t tester, err error, kind image.Kind) {
	t.Helper()
	if !image.Is(err, kind) {
		t.Fatalf("got %v, want the kind %q", err, kind)
	}
	var e *image.Error
	if !errors.As(err, &e) || e.Op == "" {
		t.Fatalf("%v is no *image.Error with an Op", err)
	}
}

// files lists the names in the store's directory.
func files(t tester, s *Store) []string {
	t.Helper()
	names, err := s.disk.list()
	must(t, err)
	return names
}

func kept(t tester, s *Store) []Record {
	t.Helper()
	list, err := s.Kept()
	must(t, err)
	return list
}

// memory is a Base of bytes.
type memory struct {
	data   []byte
	closed atomic.Int32
	hold   chan struct{} // where not nil, ReadAt waits for it or ctx
}

func (m *memory) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return 0, &image.Error{Op: "read", Kind: image.Interrupted, Err: ctx.Err()}
		}
	}
	if m.closed.Load() > 0 {
		return 0, errors.New("read of a closed base")
	}
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memory) Close() error {
	m.closed.Add(1)
	return nil
}

func over(data []byte) Spec {
	return Spec{Name: "disk", Entry: "disk", Base: &memory{data: data}, BaseImage: image.Image{ID: "base", Size: int64(len(data))}}
}

// tmpfs mounts a filesystem of so many bytes.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tmpfs")
	must(t, os.Mkdir(dir, 0o700))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	return dir
}
