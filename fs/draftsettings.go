package fs

import (
	"cmp"
	"context"
	"slices"

	"github.com/imagefs/imagefs/image"
)

// willBe is the record as it is, or as the next commit makes it: what was set on the
// draft counts. ok is false where there is neither an image nor a draft.
func (n *node) willBe() (img image.Image, ok bool) {
	img, d := n.now()
	if d == nil {
		return img, img.ID != ""
	}
	d.mu.Lock()
	settings, over := d.settings, cmp.Or(d.follows, d.replaces)
	d.mu.Unlock()
	switch {
	case img.ID != "":
	case over != nil: // the commit carries its record over
		img = image.Image{
			Visibility: over.Visibility, Hidden: over.Hidden, MinDisk: over.MinDisk, MinRAM: over.MinRAM,
			Tags: over.Tags, Properties: over.CarriedProperties(),
		}
	default:
		img = n.fs.fresh()
	}
	return settings.Over(img), true
}

// keepsLocked reports whether a change of the record waits for the draft's commit, img
// being the image under it. Of a new file there is no record. Otherwise the record is
// changed at once, and the commit carries that over; but where bytes are to be
// committed, what lets more people see the file, or protects it, is meant for the new
// ones: the old ones must not be shown around, nor stay for good. equal: the record
// says the same as far as is known.
func (d *draft) keepsLocked(img image.Image, c image.Change, equal bool) bool {
	switch {
	case img.ID == "":
		return true
	case d.change == d.settled:
		return false
	case equal, !c.Property && formats(c.Field):
		return true
	case c.Field == fieldVisibility && !c.Property:
		return img.HasData() && wider(c.Value, img.Visibility)
	}
	return c.Field == fieldProtected && !c.Property && c.Value == true
}

// wider reports whether a visibility lets more projects see an image than another one.
func wider(v any, than image.Visibility) bool {
	rank := map[image.Visibility]int{image.VisibilityPrivate: 1, image.VisibilityShared: 2, image.VisibilityCommunity: 3, image.VisibilityPublic: 4}
	text, _ := v.(string) // as changeOf makes it
	return rank[image.Visibility(text)] > rank[than]
}

// formatFixed says why the formats of the file cannot be chosen any more, nil if they
// can: the service takes them for bytes that are still to come. removes: they are to be
// found by the content, against which a record without bytes keeps what that cannot tell.
func (d *draft) formatFixed(img image.Image, removes bool) error {
	fixed := &image.Error{Op: "set format", Image: img.ID, Kind: image.NotPermitted, Detail: "the format of an image is fixed; that of a new file can be set until it is closed"}
	if d == nil {
		return fixed
	}
	d.mu.Lock()
	clean := d.change == d.settled
	d.mu.Unlock()
	keeps := removes && img.Status == image.StatusQueued && slices.Contains(undetectable, img.DiskFormat)
	if img.ID != "" && clean || d.bytes.ShowsBase() || keeps {
		return fixed
	}
	return nil
}

// setOn keeps a change for the draft's commit, in the node's turn. A try of the commit
// behind brings it to the record as it publishes, but for the formats: with others it
// has to begin anew.
func (d *draft) setOn(c image.Change) error {
	d.mu.Lock()
	settings := d.settings.With(c)
	if !c.Property && formats(c.Field) {
		d.interruptLocked(errOvertaken)
	}
	d.mu.Unlock()
	return d.putSettings(settings)
}

// setUnder is told of a change that the record under the draft has by now: what was to
// wait for the commit is overruled.
func (d *draft) setUnder(c image.Change) error {
	d.mu.Lock()
	settings, waits := d.settings.Without(c), d.settings.Sets(c)
	d.interruptLocked(errOvertaken) // it may carry over what was before
	d.mu.Unlock()
	if !waits {
		return nil
	}
	return d.putSettings(settings)
}

func (d *draft) putSettings(s image.Settings) error {
	if err := d.bytes.SetSettings(s); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settings = s
	return nil
}

// tookSettings notes that the image which was committed has what was set.
func (d *draft) tookSettings() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settings = image.Settings{}
}

// keepSettings brings to the record behind the node what was set on a draft that has
// come to nothing else to commit.
func (d *draft) keepSettings(ctx context.Context) error {
	img, _ := d.node.now()
	d.mu.Lock()
	settings, unlinked := d.settings, d.unlinked
	d.mu.Unlock()
	if img.ID == "" || unlinked || settings.IsZero() {
		return nil
	}
	if missing := settings.Missing(img); len(missing) > 0 {
		if err := d.node.update(ctx, img, missing); err != nil {
			return err
		}
	}
	return d.putSettings(image.Settings{})
}
