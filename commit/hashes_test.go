package commit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// TestSums: pieces of any size give the hashes of the whole.
func TestSums(t *testing.T) {
	data := pattern(3*parallelFrom + 123)
	for _, algo := range []string{"sha512", "SHA256", "md5", "", "whirlpool"} {
		s := newSums(algoMD5, algo)
		for left, n := data, 1; len(left) > 0; n *= 3 {
			n = min(n, len(left))
			s.add(left[:n])
			left = left[n:]
		}
		for _, name := range []string{algoMD5, algo} {
			h := image.NewHash(name)
			got, ok := s.hex(name)
			if ok != (h != nil) {
				t.Errorf("expecting %q: %q is computed: %v", algo, name, ok)
			}
			if h == nil {
				continue
			}
			h.Write(data)
			if got != hexSum(h) || s.size != int64(len(data)) {
				t.Errorf("expecting %q: %s of %d bytes is %s", algo, name, s.size, got)
			}
		}
	}
}

// countingBase counts the bytes that are read of it.
type countingBase struct {
	staging.Base
	read atomic.Int64
}

func (b *countingBase) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := b.Base.ReadAt(ctx, p, off)
	b.read.Add(int64(n))
	return n, err
}

// TestContentIsReadOnce: whatever the service hashes with, once it is known the
// content is hashed by it while it is sent.
func TestContentIsReadOnce(t *testing.T) {
	const size = 8 << 20
	f := newFake()
	f.algo = "sha256"
	h := newHouse(t, f)
	passes := func(old image.Image) int64 {
		t.Helper()
		base := &countingBase{Base: h.OpenBase(old)}
		spec := h.edit(old)
		spec.Base = base
		_, err := h.Commit(ctxb, h.draft(spec, []byte("patch")))
		check(t, err)
		return base.read.Load() / (size - size/8) // detection reads little more than once
	}
	unhashed := f.put(image.Image{Name: "x", DiskFormat: "raw", ContainerFormat: "bare"}, make([]byte, size))
	unhashed.HashAlgo, unhashed.HashValue = "", ""
	f.mu.Lock()
	f.images[unhashed.ID] = unhashed
	f.mu.Unlock()
	if n := passes(unhashed); n != 2 {
		t.Errorf("where nothing tells the algorithm the content is read %d times, want 2", n)
	}
	if n := passes(h.only()); n != 1 {
		t.Errorf("the next content is read %d times, want 1", n)
	}

	f.algo = "blake2b"
	told := newHouse(t, f)
	told.expect("blake2b", false) // as a listing tells it
	h = told
	if n := passes(h.only()); n != 1 {
		t.Errorf("where a listing tells the algorithm the content is read %d times, want 1", n)
	}
}

// BenchmarkBody reads a content as an upload does: the figures beside those of
// the hashes alone (sums) tell whether sending and hashing overlap.
func BenchmarkBody(b *testing.B) {
	data := make([]byte, 64<<20)
	for _, algo := range []string{"sha512", "sha256", ""} {
		b.Run(fmt.Sprintf("algo=%s", algo), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				body := newBody(ctxb, memory{bytes.NewReader(data)}, algo, new(atomic.Int64), new(atomic.Int64))
				if _, err := io.Copy(io.Discard, body); err != nil {
					b.Fatal(err)
				}
				if _, err := body.stop(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// memory is a content in memory.
type memory struct{ *bytes.Reader }

func (memory) wait() {}

func (m memory) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return m.Reader.ReadAt(p, off)
}
