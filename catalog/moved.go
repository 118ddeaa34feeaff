package catalog

import (
	"context"

	"github.com/imagefs/imagefs/image"
)

// maxMoved is how many images that a lookup has not found under the name that they had are
// asked for: each costs a request.
const maxMoved = 16

// askMoved asks for images that a lookup has not found under the name that they had, and
// does not wait: others have renamed them, or a change of ours that was not answered has.
// Else no listing would show them before the next refresh. Where none is known, nobody
// misses them. One that still has the name, base, has left the listing. The caller holds mu.
func (c *Catalog) askMoved(base string, lost []string) {
	if len(lost) == 0 || !c.complete() {
		return
	}
	c.running.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, lookupBound)
		defer cancel()
		for _, id := range lost[:min(len(lost), maxMoved)] {
			_ = c.askFor(ctx, id, func(img image.Image, err error, began since) { // else the next refresh tells
				if err == nil && baseOf(image.Pack(img)) != base {
					c.askedUnseen(id, img, nil, began)
				}
			})
		}
	})
}
