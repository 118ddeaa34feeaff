package commit

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/imagefs/imagefs/image"
)

// check compares what the service says of the new image with what was sent: its
// size, its md5, and its os_hash by whatever algorithm the service names.
func (r *run) check(ctx context.Context, img image.Image, sent *sums) error {
	if img.Size != r.snap.Size() || sent.size != r.snap.Size() {
		return differs(img, "size", fmt.Sprint(img.Size), fmt.Sprint(r.snap.Size()))
	}
	r.c.expect(img.HashAlgo, true)
	checked := false
	for _, claim := range []struct{ algo, value string }{{algoMD5, img.Checksum}, {img.HashAlgo, img.HashValue}} {
		if claim.value == "" || claim.algo == "" {
			continue
		}
		want, known := sent.hex(claim.algo)
		if !known {
			var err error
			if want, known, err = r.rehash(ctx, claim.algo); err != nil {
				return err
			}
		}
		if !known {
			r.log.Warn("the service names a hash that imagefs does not know; it was not compared", "image", img.ID, "algorithm", claim.algo)
			continue
		}
		if !strings.EqualFold(claim.value, want) {
			return differs(img, claim.algo, claim.value, want)
		}
		checked = true
	}
	if !checked {
		r.log.Warn("the service names no hash of the new image that could be compared; only its size was", "image", img.ID)
	}
	return nil
}

func differs(img image.Image, what, has, want string) error {
	return &image.Error{Op: "check", Image: img.ID, Kind: image.Corrupt, Detail: fmt.Sprintf("the service has %s %s, sent was %s", what, has, want)}
}

// rehash reads the content once more for an algorithm that was not computed
// while it was sent; false when that is not known here.
func (r *run) rehash(ctx context.Context, algo string) (string, bool, error) {
	h := image.NewHash(algo)
	if h == nil {
		return "", false, nil
	}
	buf := make([]byte, min(chunk, max(r.snap.Size(), 1)))
	for off, size := int64(0), r.snap.Size(); off < size; {
		p := buf[:min(int64(len(buf)), size-off)]
		n, err := r.snap.ReadAt(ctx, p, off)
		if n < len(p) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return "", false, contentError(err)
		}
		h.Write(p)
		off += int64(n)
		r.prog.read.Store(off)
	}
	return hexSum(h), true, nil
}
