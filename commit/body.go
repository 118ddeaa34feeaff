package commit

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// chunk is how much of the snapshot is read at once, in bytes: a base image is
// read from the cache in spans that pay, and hashing runs at full speed.
const chunk = 256 << 10

// content is what an upload sends: one state of the draft. It is read once, from its
// first byte on.
type content interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
	wait() // until p, which was read last, may change
}

// body is one pass over the content, hashed as it is read. A transport may still
// be reading when the upload has returned: stop ends that.
type body struct {
	ctx    context.Context
	cancel context.CancelFunc
	from   content
	sent   *atomic.Int64 // bytes handed out; shared with the progress
	all    *atomic.Int64 // the same of all bodies
	ended  atomic.Bool   // stop was called

	mu   sync.Mutex // guards the fields below; held while a chunk is read, which cancel ends
	sums *sums
	buf  []byte // room for one chunk
	rest []byte // part of buf that was read and not handed out
	err  error  // a failure of the content, or errStopped
}

// errStopped is what a reader gets that outlives its upload.
var errStopped = errors.New("the upload has ended")

// newBody begins a pass that expects the service to name algo as os_hash_algo.
func newBody(ctx context.Context, from content, algo string, sent, all *atomic.Int64) *body {
	sent.Store(0)
	ctx, cancel := context.WithCancel(ctx)
	return &body{ctx: ctx, cancel: cancel, from: from, sent: sent, all: all, sums: newSums(algoMD5, algo), buf: make([]byte, min(chunk, max(from.Size(), 1)))}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.rest) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.sent.Add(int64(n))
	b.all.Add(int64(n))
	return n, nil
}

// fill reads the next chunk, which is then sent and hashed at the same time; b.mu
// is held.
func (b *body) fill() error {
	left := b.from.Size() - b.sums.size
	if left <= 0 {
		return io.EOF
	}
	p := b.buf[:min(int64(len(b.buf)), left)]
	b.wait() // the last chunk lies in the same place
	n, err := b.from.ReadAt(b.ctx, p, b.sums.size)
	if n < len(p) {
		if b.ended.Load() {
			b.err = errStopped
			return b.err
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the content is shorter than it said
		}
		b.err = contentError(err)
		return b.err
	}
	b.sums.add(p)
	b.rest = p
	return nil
}

// stop ends the reading for good and returns what was hashed and the failure of
// the content, if there was one. It waits for a read under way, which ends with
// the body's context.
func (b *body) stop() (*sums, error) {
	b.ended.Store(true)
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wait()
	err := b.err
	if errors.Is(err, errStopped) {
		err = nil
	}
	b.err = errStopped
	return b.sums, err
}

// wait waits until the last chunk was hashed.
func (b *body) wait() {
	b.sums.wait()
	b.from.wait()
}

// contentError is a failure to read the draft or what lies under it.
func contentError(err error) error {
	return &image.Error{Op: "read draft", Kind: image.KindOf(err), Err: err}
}

// readerAt reads content as format detection wants it.
type readerAt struct {
	ctx  context.Context
	from *staging.Snapshot
}

// ReadAt implements io.ReaderAt.
func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.from.ReadAt(r.ctx, p, off) }
