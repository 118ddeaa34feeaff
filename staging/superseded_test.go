package staging

import (
	"slices"
	"testing"

	"github.com/imagefs/imagefs/image"
)

// Of two drafts of one entry, after a crash in the middle of a rename, that one is
// left which was renamed over the other. What was not closed stays, and what another
// process holds.
func TestSuperseded(t *testing.T) {
	accept := func(d *Draft) error { return d.Accept(t.Context(), image.Attributes{}) }
	for name, c := range map[string]struct {
		was   func(*Draft) error // what the one that goes was
		entry string             // that it has by now
		held  bool
		open  bool // the one that comes was not closed
		left  []string
	}{
		"closed":              {was: accept, entry: "f", left: []string{"new"}},
		"being made":          {was: func(d *Draft) error { return d.Update(func(r *Record) { r.State, r.Image = StateCreated, "half" }) }, entry: "f", left: []string{"new", "old, unlinked"}},
		"open":                {was: func(*Draft) error { return nil }, entry: "f", left: []string{"new", "old"}},
		"failed":              {was: func(d *Draft) error { return d.Update(func(r *Record) { r.State = StateFailed }) }, entry: "f", left: []string{"new", "old"}},
		"of elsewhere":        {was: accept, entry: "g", left: []string{"new", "old"}},
		"not by a closed one": {was: accept, entry: "f", open: true, left: []string{"new", "old"}},
		"in use":              {was: accept, entry: "f", held: true, left: []string{"new", "old"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			old := create(t, s, Spec{Name: "f", Entry: c.entry})
			write(t, old, "old", 0)
			must(t, c.was(old))
			by := create(t, s, Spec{Name: "tmp", Entry: "tmp"})
			write(t, by, "new", 0)
			if !c.open {
				must(t, accept(by))
			}
			must(t, by.RenameOver("f", "f", nil, true, old.ID()))
			must(t, by.Close())
			if !c.held {
				must(t, old.Close())
			}
			again := openStore(t, dir)
			if c.held {
				must(t, old.Close())
			}
			var left []string
			for _, r := range kept(t, again) {
				what := map[string]string{old.ID(): "old", by.ID(): "new"}[r.Draft]
				if r.Unlinked {
					what += ", unlinked"
				}
				left = append(left, what)
			}
			slices.Sort(left)
			if !slices.Equal(left, c.left) {
				t.Errorf("left %q, want %q", left, c.left)
			}
		})
	}
}
