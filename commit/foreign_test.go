package commit

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/staging"
)

// An image that the draft has had before is not its own any more: wherever a later
// commit is killed, what lies in the trash stays there.
func TestRecoverLeavesEarlierImages(t *testing.T) {
	for name, last := range map[string][]byte{"other bytes": pattern(700), "the first bytes again": pattern(900)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.keep = time.Hour
				h := newHouse(t, f)
				d := h.draft(staging.Spec{Name: "x"}, pattern(900))
				first, err := h.Commit(ctxb, d)
				check(t, err)
				h.write(d, []byte("second"), 0)
				_, err = h.Commit(ctxb, d)
				check(t, err)
				check(t, d.Truncate(ctxb, int64(len(last))))
				h.write(d, last, 0)
				check(t, d.Accept(ctxb, image.Attributes{}))
				var scenes []scene
				f.hook = h.filming(&scenes)
				_, err = h.Behind(ctxb, d, anybody)
				f.hook = nil
				check(t, err)
				for _, s := range scenes {
					h := s.resumed(t)
					check(t, h.recover())
					var shown []image.Image
					for _, img := range h.service.all() {
						if _, trashed := img.Trashed(); !trashed {
							shown = append(shown, img)
						}
					}
					if _, trashed := h.service.images[first.ID].Trashed(); !trashed || !bytes.Equal(h.stored(first.ID), pattern(900)) {
						t.Errorf("killed at %+v: the first image is %+v", s.call, h.service.images[first.ID])
					}
					if len(shown) != 1 || shown[0].Hidden || !bytes.Equal(h.stored(shown[0].ID), last) {
						t.Errorf("killed at %+v: the service shows %+v", s.call, shown)
					}
					check(t, h.store.Close())
				}
			})
		})
	}
}
