package staging

import (
	"os"

	"github.com/imagefs/imagefs/image"
)

// Committed returns the data file of a draft that was committed and not changed since,
// and the image that it became, where the file has every byte of that; false for a
// draft over a base. The file stays the draft's: it is for whoever wants a link of it
// before Discard, and must neither be written nor closed.
func (d *Draft) Committed() (f *os.File, became image.Image, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.layered || d.dirty || d.closed || d.unlinked || d.rec.State != StateCommitted ||
		d.rec.Inherited == nil || d.rec.Inherited.ID != d.rec.Image || d.rec.Inherited.Size != d.size {
		return nil, image.Image{}, false
	}
	return d.file, *d.rec.Inherited, true
}
