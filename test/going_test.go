package test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Who reads an image while others delete it is told that it is gone, also while the
// service has deleted its data, and not yet its record.
func TestReadWhileItIsDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, s service) {
		const (
			block = 128 << 10
			size  = 64 * block
		)
		data := noise(172, size)
		m := mountOn(t, s)
		for i := range 4 { // not each of them is read at that moment
			name := fmt.Sprintf("going-%d.img", i)
			img := s.upload(t, image.New{Name: name}, data)
			m.until("the image to be there", func() bool {
				st, err := os.Stat(m.path(name))
				return err == nil && st.Size() == size
			})
			f, err := os.Open(m.path(name))
			if err != nil {
				t.Fatal(err)
			}
			deleted := make(chan error, 1)
			go func() { deleted <- s.api.Delete(t.Context(), img.ID) }()
			// From the end, lest anything be read ahead: each read is a request.
			gone := false
			for off := int64(size - block); off > 0 && !gone; off -= block {
				_, err := f.ReadAt(make([]byte, 512), off)
				gone = err != nil
				if err != nil && !errors.Is(err, syscall.ESTALE) {
					t.Errorf("read: %v", err)
				}
			}
			if err := <-deleted; err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(f, make([]byte, 512)); !errors.Is(err, syscall.ESTALE) {
				t.Errorf("read after the end: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
