package commit

import (
	"context"
	"errors"

	"github.com/imagefs/imagefs/staging"
)

// Bytes are those of a draft, to be read once, from the first to the last: as
// staging.Draft gives them.
type Bytes interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	SeekData(off int64) (int64, bool, error)
	Size() int64
}

// Export calls read with the bytes of a draft, of which what shows of the image under an
// edit is compared with that image's hash, as in a commit: whoever reads the last of it
// gets an error of kind Corrupt instead where it is wrong. Then it is read anew, and read
// is called once more, to begin from nothing; after that it is Export's error. The draft
// stands still meanwhile. One that was unlinked is kind NotFound. ctx ends it.
func (c *Committer) Export(ctx context.Context, d *staging.Draft, read func(from Bytes) error) error {
	snap, err := d.BeginCommit(ctx)
	if err != nil {
		return err
	}
	defer snap.End(false)
	r := &run{c: c, d: d, snap: snap, prog: &progress{}}
	for try := 1; ; try++ {
		err := r.export(ctx, read)
		if err == nil || !errors.Is(err, errWrongBase) || try > 1 {
			return err
		}
		r.renew(err)
	}
}

// export is one pass.
func (r *run) export(ctx context.Context, read func(from Bytes) error) error {
	if err := r.prove(ctx); err != nil {
		return err
	}
	if r.proof == nil {
		return read(r.d)
	}
	from := inOrder{r.content()}
	defer from.wait()
	return read(from)
}

// inOrder are bytes of which all are read, for they have one hash.
type inOrder struct{ content }

func (b inOrder) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	b.wait() // p may be what was read before
	return b.content.ReadAt(ctx, p, off)
}

func (inOrder) SeekData(off int64) (int64, bool, error) { return off, true, nil }
