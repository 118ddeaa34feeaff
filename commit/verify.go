package commit

import (
	"context"
	"fmt"
	"io"

	"github.com/imagefs/imagefs/image"
)

// check compares what the service says of the new image with what was sent: its size
// and the strongest hash that it names. One that is equal leaves no other to compare.
func (r *run) check(ctx context.Context, img image.Image, sent *sum) error {
	if img.Size != r.snap.Size() || sent.size != r.snap.Size() {
		return differs(img, "size", fmt.Sprint(img.Size), fmt.Sprint(r.snap.Size()))
	}
	claim := img.Digest()
	if claim.Algorithm == "" {
		r.log.Warn("the service names no hash of the new image that could be compared; only its size was", "image", img.ID)
		return nil
	}
	r.c.expect(claim.Algorithm, true)
	has, known := sent.hex(claim.Algorithm)
	if !known {
		var err error
		if has, err = r.rehash(ctx, claim); err != nil {
			return err
		}
	}
	if has != claim.Value {
		return differs(img, claim.Algorithm, claim.Value, has)
	}
	return nil
}

func differs(img image.Image, what, has, want string) error {
	return &image.Error{Op: "check", Image: img.ID, Kind: image.Corrupt, Detail: fmt.Sprintf("the service has %s %s, sent was %s", what, has, want)}
}

// rehash reads the content for a hash that was not computed while it was sent, or not by
// this process, and returns what the content has.
func (r *run) rehash(ctx context.Context, claim image.Digest) (string, error) {
	h := claim.New()
	buf := make([]byte, min(chunk, max(r.snap.Size(), 1)))
	for off, size := int64(0), r.snap.Size(); off < size; {
		p := buf[:min(int64(len(buf)), size-off)]
		n, err := r.snap.ReadAt(ctx, p, off)
		if n < len(p) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return "", contentError(err)
		}
		h.Write(p)
		off += int64(n)
		r.prog.read.Store(off)
	}
	return hexSum(h), nil
}
