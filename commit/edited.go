package commit

import (
	"context"
	"errors"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// errWrongBase says that what was read of the image under an edit is not that image.
var errWrongBase = errors.New("what was read of the edited image does not have its hash")

// proof is what the first bytes of the image under an edit must hash to.
type proof struct {
	image.Digest
	image string // id
	size  int64  // bytes
}

// check compares what was read of the image.
func (p proof) check(read *sums) error {
	if sum, _ := read.hex(p.Algorithm); sum != p.Value {
		return &image.Error{Op: "compare", Image: p.image, Kind: image.Corrupt, Detail: p.Algorithm, Err: errWrongBase}
	}
	return nil
}

// prove finds out what the part of the image that may show under the draft must hash to:
// nothing, where no hash of the image is known. Of one that was cut, all has to be read for
// that, and before the upload: a service does not wait for bytes as long as that may take.
func (r *run) prove(ctx context.Context) error {
	over, _ := r.d.BaseImage()
	whole, shown := proof{Digest: over.Digest(), image: over.ID, size: over.Size}, r.snap.Shown()
	switch {
	case r.proof != nil, shown == 0, whole.New() == nil:
		return nil
	case shown == whole.size:
		r.proof = &whole
		return nil
	}
	part := proof{Digest: whole.Digest, image: over.ID, size: shown}
	read := newSums(whole.Algorithm)
	defer read.wait()
	buf := make([]byte, chunk)
	for read.size < whole.size {
		end := whole.size
		if read.size < shown {
			end = shown
		}
		p := buf[:min(chunk, end-read.size)]
		read.wait()
		if err := r.snap.ReadBase(ctx, p, read.size); err != nil {
			return contentError(err)
		}
		read.add(p)
		r.prog.read.Store(read.size)
		if read.size == shown {
			part.Value, _ = read.hex(part.Algorithm)
		}
	}
	if err := whole.check(read); err != nil {
		return contentError(err)
	}
	r.proof = &part
	return nil
}

// renew has the image under an edit read anew, after what was read of it turned out to be
// wrong, here or by others who have read all of it.
func (r *run) renew(err error) {
	over, ok := r.d.BaseImage()
	if !ok || over.Size == 0 { // there is none, or it is gone
		return
	}
	if errors.Is(err, errWrongBase) {
		r.c.bases.Wrong(over)
	}
	r.d.Renew(r.c.bases.OpenBase(over))
}

// edited is one pass over an edit, from its first byte to its last. It reads all of the
// image that may show, also what was written over, for no part of it has a hash of its own;
// and before it gives the last of these bytes it compares the hash. What was hashed is what
// is given: nothing is read twice.
type edited struct {
	*staging.Snapshot
	proof proof
	sums  *sums // of what was read of the image
}

// ReadAt is Snapshot.ReadAt, for the next bytes. p must not change before wait has returned.
func (e *edited) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if under := p[:max(0, min(int64(len(p)), e.proof.size-off))]; len(under) > 0 {
		if err := e.ReadBase(ctx, under, off); err != nil {
			return 0, err
		}
		if e.sums.add(under); e.sums.size == e.proof.size {
			if err := e.proof.check(e.sums); err != nil {
				return 0, err
			}
		}
	}
	if err := e.Overlay(p, off, e.wait); err != nil {
		return 0, err
	}
	return len(p), nil
}

// wait waits until what was read is hashed.
func (e *edited) wait() { e.sums.wait() }

// content is what the run sends in one pass, which is compared with the image under an edit
// where that can be.
func (r *run) content() content {
	if r.proof == nil {
		return plain{r.snap}
	}
	return &edited{Snapshot: r.snap, proof: *r.proof, sums: newSums(r.proof.Algorithm)}
}

// plain is a draft of which there is nothing to compare.
type plain struct{ *staging.Snapshot }

func (plain) wait() {}
